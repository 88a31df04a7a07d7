// What comes back to the engine: replies over UDP and TCP, errors, deadlines.
#include <cerrno>

#include "ringdns/edns.hpp"
#include "ringdns/engine.hpp"

namespace ringdns {

namespace {
constexpr Duration congestion_pause = std::chrono::milliseconds(1);

TryOutcome outcome_of(uint16_t rcode) {
  switch (rcode) {
    case rcode::noerror:
    case rcode::nxdomain: return TryOutcome::useful;
    case rcode::servfail: return TryOutcome::failed;
    default: return TryOutcome::refused;
  }
}

bool local_back_pressure(int32_t error) {
  return error == -EAGAIN || error == -ENOBUFS || error == -ENOMEM;
}

void count_reply(ResolverCounts& counts, uint16_t rcode) {
  ++counts.replies;
  ++counts.rcodes[std::min<size_t>(rcode, ResolverCounts::kept_rcodes - 1)];
}

size_t rcode_index(const std::array<uint64_t, 24>& counters, uint16_t rcode) {
  return std::min<size_t>(rcode, counters.size() - 1);
}
}  // namespace

void Engine::on_datagram(const Completion& completion) {
  ++stats_.received;
  Udp::Match match = udp_.match(completion);
  switch (match.verdict) {
    case Verdict::match:
    case Verdict::header_only: break;
    case Verdict::runt:
    case Verdict::not_a_reply: ++stats_.unusable; return;
    case Verdict::unknown_id: ++stats_.mismatched_id; return;
    case Verdict::wrong_question: {
      ++stats_.mismatched_name;
      AskedResolver asked = lookups_.at(match.slot).asked[0];
      bool known = !asked.dedicated && asking_of(match.slot, *completion.from) == 0;
      if (known) ++resolvers_.counts(asked.index).mismatches;
      return on_near_miss(match.slot);
    }
  }
  uint32_t slot = match.slot;
  Lookup& lookup = lookups_[slot];
  if (lookup.on_tcp) {  // tcp.md 4
    ++stats_.late;
    return;
  }
  int asking = asking_of(slot, *completion.from);
  if (asking < 0) {
    ++stats_.mismatched_source;
    return on_near_miss(slot);
  }
  message_.index(completion.bytes);
  ++stats_.replies;
  if (completion.bytes.size() > std::max(lookup.advertised, small_size)) ++stats_.oversize;

  ReplyFacts reply;
  reply.truncated = completion.cut || message_.header().tc();
  reply.sent_options = lookup.edns == EdnsLevel::full && !edns_options_.empty();
  reply.from_current = asking == 0 && !lookup.choose;
  reply.rcode_unacceptable =
      match.verdict == Verdict::header_only || options_.retry[message_.rcode()];
  AskedResolver asked = lookup.asked[static_cast<size_t>(asking)];
  if (!asked.dedicated) {
    ResolverCounts& of_resolver = resolvers_.counts(asked.index);
    ++of_resolver.udp_replies;
    of_resolver.truncated += reply.truncated;
    if (!reply.from_current) resolvers_.heard(asked.index, now_);
    else resolvers_.sample_rtt(asked.index, to_us(now_) - lookup.sent_us);
    count_reply(of_resolver, message_.rcode());
  }
  TypeCounts& counts = stats_.of_type(lookup.type);
  ++counts.udp_replies;
  if (reply.truncated) {
    ++stats_.truncated;
    ++counts.truncated;
  }
  if (reply.from_current) {
    stats_.udp_latency.add(to_us(now_) - lookup.sent_us);
    truncation_.sample(*completion.from, lookup.type, reply.truncated, now_);
  }
  judge(slot, reply, *completion.from);
}

// tcp.md 24: somebody guesses, or the server answers from another address. TCP is safe from both.
void Engine::on_near_miss(uint32_t slot) {
  constexpr uint8_t suspicious = 2;
  Lookup& lookup = lookups_[slot];
  if (lookup.on_tcp || options_.tcp == Options::Tcp::disabled) return;
  if (++lookup.near_misses != suspicious || lookup.state != LookupState::udp_wait) return;
  ++stats_.near_misses;
  to_tcp(slot);
}

void Engine::on_tcp_reply(uint32_t slot, Bytes message) {
  Lookup& lookup = lookups_[slot];
  message_.index(message);
  if (!lookup.asked[0].dedicated) {
    ResolverCounts& counts = resolvers_.counts(lookup.asked[0].index);
    ++counts.tcp_replies;
    resolvers_.heard(lookup.asked[0].index, now_);
    count_reply(counts, message_.rcode());
  }
  if (auto timeout = find_keepalive(message_.opt_rdata())) tcp_.obey_keepalive(*timeout);
  if (lookup.transfer) return on_transfer(slot);
  ReplyFacts reply;
  reply.over_tcp = true;
  reply.truncated = message_.header().tc();
  reply.sent_options = lookup.edns == EdnsLevel::full;
  bool bare = match_question(message, lookups_.name(slot).bytes(), lookup.type) ==
              QuestionMatch::absent;
  reply.rcode_unacceptable = bare || options_.retry[message_.rcode()];
  if (reply.truncated) ++stats_.tcp.truncated;
  judge(slot, reply, asked_address(slot));
}

void Engine::judge(uint32_t slot, ReplyFacts& reply, const Address& from) {
  Lookup& lookup = lookups_[slot];
  reply.rcode = message_.rcode();
  reply.has_opt = message_.has_opt();
  reply.tcp_allowed = options_.tcp != Options::Tcp::disabled;
  ++stats_.rcodes_received[rcode_index(stats_.rcodes_received, reply.rcode)];
  stats_.reply_size.add(message_.packet().size());
  Action action = decide(lookup, reply);
  if (reply.from_current)
    returned(slot, action == Action::retry ? outcome_of(reply.rcode) : TryOutcome::useful);
  // That the plain query fared better shows that it was EDNS, not the question, that was rejected.
  bool fared_better = lookup.edns_rejected && lookup.advertised == 0 && action == Action::accept;
  if (fared_better && !lookup.asked[0].dedicated)
    resolvers_.remember_plain(lookup.asked[0].index, now_);
  switch (action) {
    case Action::accept:
      return accept(slot, from, reply.over_tcp ? Transport::tcp : Transport::udp);
    case Action::ignore: return;
    case Action::resend_no_options: return resend(slot, EdnsLevel::no_options);
    case Action::resend_plain:
      lookup.edns_rejected = true;
      return resend(slot, EdnsLevel::plain);
    case Action::to_tcp:
      lookup.truncated = true;
      return to_tcp(slot);
    case Action::resend_full:
      lookup.never_small = true;
      return fail_try(slot, FailureReason::truncated);
    case Action::truncated: return give_up(slot, FailureReason::truncated);
    case Action::retry:
      lookup.truncated |= reply.truncated;
      return fail_try(slot,
                      reply.truncated ? FailureReason::truncated : FailureReason::max_retries);
  }
}

// Each message is written as it comes: a zone may be of any size.
void Engine::on_transfer(uint32_t slot) {
  Lookup& lookup = lookups_[slot];
  const Address& from = asked_address(slot);
  ++stats_.rcodes_received[rcode_index(stats_.rcodes_received, message_.rcode())];
  stats_.reply_size.add(message_.packet().size());
  if (message_.rcode() != rcode::noerror) {
    tcp_.complete(slot);
    if (lookup.transferring) return give_up(slot, FailureReason::incomplete);
    // Refused: some other server may not. The last word is the answer.
    bool others = lookup.tries + 1u < std::min(resolvers_.size(), options_.tries) &&
                  options_.retry[message_.rcode()];
    return others ? fail_try(slot, FailureReason::max_retries)
                  : accept(slot, from, Transport::tcp);
  }
  TransferProgress progress;
  if (lookup.type == type::ixfr) progress = TransferProgress(options_.ixfr_serial);
  TransferProgress& transfer = transfers_.try_emplace(slot, progress).first->second;
  switch (transfer.take(message_)) {
    case TransferProgress::State::broken:
      tcp_.withdraw(slot);
      return lookup.transferring ? give_up(slot, FailureReason::incomplete)
                                 : fail_try(slot, FailureReason::incomplete);
    case TransferProgress::State::done: tcp_.complete(slot); return accept(slot, from, Transport::tcp);
    case TransferProgress::State::more: break;
  }
  lookup.transferring = true;
  write_reply(slot, from, Transport::tcp, true);
  lookups_.to_tcp_wait(slot, now_ + options_.tcp_timeout);
}

void Engine::on_tcp_failure(uint32_t slot, TcpFailure why) {
  Lookup& lookup = lookups_[slot];
  if (!lookup.asked[0].dedicated) ++resolvers_.counts(lookup.asked[0].index).tcp_failures;
  returned(slot, TryOutcome::unknown);
  // Where what was learned of the server had brought it there: to UDP, and no try is lost.
  bool chosen = lookup.optional && !lookup.lost;
  if (chosen) lookup.use_tcp = false;
  if (chosen || why == TcpFailure::crowded) return make_ready(slot);
  if (lookup.transferring) return give_up(slot, FailureReason::incomplete);
  FailureReason reason = why == TcpFailure::timeout ? FailureReason::timeout
                                                    : FailureReason::unreachable;
  fail_try(slot, lookup.truncated ? FailureReason::truncated : reason);
}

void Engine::on_unreachable(const Completion& completion) {
  ++stats_.unreachable;
  uint32_t slot = udp_.match_quoted(completion);
  if (slot == Lookups::none) return;
  Lookup& lookup = lookups_[slot];
  if (lookup.state != LookupState::udp_wait || asking_of(slot, *completion.from) != 0) return;
  lookup.icmp = true;
  // Another resolver is asked at once. The only one there is may be starting up: it gets its time.
  bool others = resolvers_.size() > 1 || lookup.dedicated_used < lookup.dedicated_count;
  if (others && !options_.sticky) fail_try(slot, FailureReason::unreachable);
}

void Engine::on_send_failed(const Completion& completion) {
  --stats_.sent;
  Lookup& lookup = lookups_[completion.token.slot];
  bool stale = lookup.generation != completion.token.generation ||
               lookup.state != LookupState::udp_wait;
  if (stale) return;
  if (local_back_pressure(completion.result)) {
    ++stats_.back_pressure;
    congested_until_ = now_ + congestion_pause;
    return make_ready(completion.token.slot);
  }
  ++stats_.send_errors;
  returned(completion.token.slot, TryOutcome::unknown);  // it is our trouble, not the resolver's
  fail_try(completion.token.slot, FailureReason::unreachable);
}

void Engine::on_timeout(uint32_t slot) {
  Lookup& lookup = lookups_[slot];
  if (lookup.state == LookupState::resting) return lookups_.to_ready(slot);
  if (lookup.state != LookupState::udp_wait) {
    bool held_up = lookup.transfer && tcp_.transfers_held();
    if (held_up) return lookups_.to_tcp_wait(slot, now_ + options_.tcp_timeout);
    ++stats_.tcp.timeouts;
    tcp_.withdraw(slot);
    return on_tcp_failure(slot, TcpFailure::timeout);
  }
  ++stats_.timeouts;
  ++lookup.timeouts;
  fail_try(slot, lookup.icmp ? FailureReason::unreachable : FailureReason::timeout);
}

int Engine::asking_of(uint32_t slot, const Address& from) const {
  const Lookup& lookup = lookups_.at(slot);
  for (int i = 0; i < lookup.asked_count; ++i)
    if (address_of(slot, lookup.asked[i]) == from) return i;
  return -1;
}

const Address& Engine::address_of(uint32_t slot, AskedResolver asked) const {
  return asked.dedicated ? lookups_.dedicated(slot)[asked.index]
                         : resolvers_.address(asked.index);
}

}  // namespace ringdns
