// The engine's turn, what comes back, and what becomes of a lookup. Both edges that lead back,
// retry and UDP to TCP, are here.
#include "ringdns/engine.hpp"

#include <cerrno>

#include "ringdns/edns.hpp"

namespace ringdns {

namespace {
constexpr Duration congestion_pause = std::chrono::milliseconds(1);

bool local_back_pressure(int32_t error) {
  return error == -EAGAIN || error == -ENOBUFS || error == -ENOMEM;
}

size_t rcode_index(const std::array<uint64_t, 24>& counters, uint16_t rcode) {
  return std::min<size_t>(rcode, counters.size() - 1);
}
}  // namespace

Engine::Engine(const Parts& parts)
    : options_(parts.options), io_(parts.io), rng_(parts.rng), resolvers_(parts.resolvers),
      lookups_(parts.lookups), udp_(parts.udp), tcp_(parts.tcp), feed_(parts.feed),
      formatter_(parts.formatter),
      status_(parts.status), output_(parts.output), log_(parts.log),
      status_sink_(parts.status_sink), stats_(parts.stats), signals_(parts.signals),
      input_size_(parts.input_size), edns_options_(parts.edns_options),
      unresolved_(parts.unresolved), ledger_(parts.ledger), saver_(parts.saver),
      first_options_(with_keepalive(parts.edns_options)) {
  if (options_.format.kind == OutputFormat::Kind::zdns) lines_.emplace(output_, lookups_.size());
  if (signals_.valid())
    io_.read(signals_, {reinterpret_cast<uint8_t*>(&signal_info_), sizeof signal_info_},
             {0, 0, signal_token});
}

void Engine::advance(const Turn& turn) {
  now_ = turn.now;
  wall_ = turn.wall;
  if (started_ == Instant{}) {
    started_ = now_;
    next_report_ = now_ + report_interval;
  }
  tcp_.begin(now_);
  for (const Completion& completion : turn.done) dispatch(completion);
  write_repeats();
  if (write_failed()) stop_input();  // nobody takes results: what is in flight is let go
  else work();
  report();
  bool ending = all_done() || write_failed();
  output_.pump(now_, ending);
  if (unresolved_) unresolved_->pump(now_, ending);
  log_.pump(now_, ending);
  status_sink_.pump(now_, ending);
  // Half a zone is no outcome.
  if (saver_) saver_->advance(now_, !held_up() && transfers_.empty(), all_done());
}

void Engine::work() {
  if (output_.full() != tcp_.transfers_held()) tcp_.hold_transfers(output_.full());
  lookups_.expire(now_, [this](uint32_t slot) { on_timeout(slot); });
  take_input();
  send();
  tcp_.advance(*this);
  feed_.pump();
}

bool Engine::all_done() const {
  return feed_.exhausted() && lookups_.in_flight() == 0 && !held_up();
}

bool Engine::finished() const {
  bool drained = output_.drained() && (!unresolved_ || unresolved_->drained()) &&
                 log_.drained() && status_sink_.drained();
  return reported_end_ && drained && (!saver_ || saver_->done() || write_failed());
}

Instant Engine::next_deadline() const {
  Instant deadline = std::min({output_.deadline(), log_.deadline(), status_sink_.deadline(),
                               next_report_});
  if (unresolved_) deadline = std::min(deadline, unresolved_->deadline());
  if (saver_) deadline = std::min(deadline, saver_->deadline());
  if (write_failed()) return deadline;
  deadline = std::min({deadline, lookups_.next_deadline(), tcp_.next_deadline()});
  bool more_to_do = (input_waits_ && may_take()) || (held_up() && !output_.full());
  if (more_to_do) return now_;
  if (lookups_.any_ready()) deadline = std::min(deadline, std::max(now_, congested_until_));
  return deadline;
}

void Engine::dispatch(const Completion& completion) {
  switch (completion.token.kind) {
    case socket_token:
      return completion.event == Event::unreachable ? on_unreachable(completion)
                                                    : on_datagram(completion);
    case query_token: return on_send_failed(completion);
    case input_token: return feed_.on_read(completion.result);
    case output_token: return output_.on_written(completion.result);
    case log_token: return log_.on_written(completion.result);
    case status_token: return status_sink_.on_written(completion.result);
    case unresolved_token: return unresolved_->on_written(completion.result);
    case signal_token: return on_signal(completion.result);
    case connection_token: return tcp_.on_completion(completion, *this);
  }
  ensure(false, "a completion is for somebody");
}

// ---- What comes back

void Engine::on_datagram(const Completion& completion) {
  ++stats_.received;
  Udp::Match match = udp_.match(completion);
  switch (match.verdict) {
    case Verdict::match:
    case Verdict::header_only: break;
    case Verdict::runt:
    case Verdict::not_a_reply: ++stats_.unusable; return;
    case Verdict::unknown_id: ++stats_.mismatched_id; return;
    case Verdict::wrong_question: ++stats_.mismatched_name; return on_near_miss(match.slot);
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
  // Where what was learned of the server had brought it there: to UDP, and no try is lost.
  bool chosen = lookup.optional && !lookup.lost;
  if (chosen) lookup.use_tcp = false;
  if (chosen || why == TcpFailure::crowded) return lookups_.to_ready(slot);
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
    return lookups_.to_ready(completion.token.slot);
  }
  ++stats_.send_errors;
  fail_try(completion.token.slot, FailureReason::unreachable);
}

void Engine::on_timeout(uint32_t slot) {
  Lookup& lookup = lookups_[slot];
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

// The first signal ends the input and lets what is in flight come to its deadline; the second
// ends that too; a third ends a wait for a reader that does not read.
void Engine::on_signal(int32_t result) {
  if (result == static_cast<int32_t>(sizeof signal_info_)) {
    if (signal_ == 0) {
      signal_ = static_cast<int>(signal_info_.ssi_signo);
      stop_input();
    } else if (lookups_.in_flight() != 0) {
      abandon_all();
    } else {
      output_.abandon();
    }
  }
  io_.read(signals_, {reinterpret_cast<uint8_t*>(&signal_info_), sizeof signal_info_},
           {0, 0, signal_token});
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

// ---- What becomes of a lookup

void Engine::resend(uint32_t slot, EdnsLevel level) {
  ++stats_.edns_fallbacks;
  lookups_[slot].edns = level;
  lookups_.to_ready(slot);
}

void Engine::to_tcp(uint32_t slot) {
  lookups_[slot].use_tcp = true;
  lookups_.to_ready(slot);
}

void Engine::fail_try(uint32_t slot, FailureReason reason) {
  Lookup& lookup = lookups_[slot];
  stats_.tries[lookup.tries] -= lookup.copies;
  ++lookup.tries;
  stats_.tries[lookup.tries] += lookup.copies;
  if (lookup.tries >= options_.tries) return give_up(slot, reason);
  if (signal_ != 0) return give_up(slot, FailureReason::interrupted);

  if (lookup.transfer) transfers_.erase(slot);
  lookup.choose = true;
  lookup.icmp = lookup.edns_rejected = false;
  // tcp.md 9 and 10: smaller after a loss, then TCP where that is cheap; plain at the last try
  // of one that nobody answered.
  constexpr uint8_t losses_before_tcp = 2;
  bool lost = reason == FailureReason::timeout && !lookup.on_tcp;
  lookup.small = lookup.timeouts > 0 && !lookup.never_small;
  bool last = lookup.tries + 1u >= options_.tries;
  bool unanswered = lookup.timeouts == lookup.tries;
  lookup.edns = last && unanswered ? EdnsLevel::plain : EdnsLevel::full;
  lookup.lost = lost && lookup.timeouts == losses_before_tcp && !last && tcp_.roomy() &&
                options_.tcp == Options::Tcp::fallback && !needs_tcp(lookup);
  lookup.use_tcp = lookup.lost || needs_tcp(lookup);
  lookups_.to_ready(slot);
}

// Nothing but TCP will do, as against having been sent there by loss.
bool Engine::needs_tcp(const Lookup& lookup) const {
  return lookup.truncated || lookup.transfer || options_.tcp == Options::Tcp::only ||
         (lookup.near_misses >= 2 && lookup.on_tcp);
}

void Engine::accept(uint32_t slot, const Address& from, Transport transport) {
  const Lookup& lookup = lookups_[slot];
  stats_.answered += lookup.copies;
  outstanding_ -= lookup.copies;
  stats_.tcp.answers += lookup.on_tcp;
  stats_.rcodes[rcode_index(stats_.rcodes, message_.rcode())] += lookup.copies;
  write_reply(slot, from, transport);
  close_lines(slot);
  finish(slot);
}

void Engine::give_up(uint32_t slot, FailureReason reason) {
  const Lookup& lookup = lookups_[slot];
  stats_.failed[static_cast<size_t>(reason)] += lookup.copies;
  outstanding_ -= lookup.copies;
  stats_.tcp.failures += lookup.on_tcp;
  if (saver_ && reason == FailureReason::interrupted) {
    // No outcome: it is asked again by the run that goes on.
    stats_.left_open += lookup.copies;
    ledger_->leave(slot);
    return finish(slot);
  }
  write_failure(slot, reason);
  if (unresolved_) write_unresolved(slot, reason);
  close_lines(slot);
  finish(slot);
}

void Engine::finish(uint32_t slot) {
  const Lookup& lookup = lookups_[slot];
  if (lookup.has_port) udp_.release(lookup);
  if (lookup.state == LookupState::tcp_queued || lookup.state == LookupState::tcp_wait)
    tcp_.withdraw(slot);
  if (lookup.transfer) transfers_.erase(slot);
  lookups_.finish(slot);
}

void Engine::abandon_all() {
  for (uint32_t slot = 0; slot < lookups_.size(); ++slot)
    if (lookups_[slot].state != LookupState::free) give_up(slot, FailureReason::interrupted);
}

}  // namespace ringdns
