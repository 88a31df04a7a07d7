#include "ringdns/engine.hpp"

#include <cerrno>

namespace ringdns {

namespace {
constexpr Duration report_interval = std::chrono::seconds(1);
constexpr Duration congestion_pause = std::chrono::milliseconds(1);
constexpr uint16_t small_size = 512;

bool local_back_pressure(int32_t error) {
  return error == -EAGAIN || error == -ENOBUFS || error == -ENOMEM;
}

size_t rcode_index(const std::array<uint64_t, 24>& counters, uint16_t rcode) {
  return std::min<size_t>(rcode, counters.size() - 1);
}
}  // namespace

Engine::Engine(const Parts& parts)
    : options_(parts.options), io_(parts.io), rng_(parts.rng), resolvers_(parts.resolvers),
      lookups_(parts.lookups), udp_(parts.udp), feed_(parts.feed), formatter_(parts.formatter),
      status_(parts.status), output_(parts.output), log_(parts.log),
      status_sink_(parts.status_sink), stats_(parts.stats), signals_(parts.signals),
      input_size_(parts.input_size), edns_options_(parts.edns_options) {
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
  for (const Completion& completion : turn.done) dispatch(completion);
  lookups_.expire(now_, [this](uint32_t slot) { on_timeout(slot); });
  take_input();
  send();
  feed_.pump();
  report();
  output_.pump(now_, all_done());
  log_.pump(now_, all_done());
  status_sink_.pump(now_, all_done());
}

bool Engine::all_done() const { return feed_.exhausted() && lookups_.in_flight() == 0; }

bool Engine::finished() const {
  return output_.failed() || (all_done() && reported_end_ && output_.drained() &&
                              log_.drained() && status_sink_.drained());
}

Instant Engine::next_deadline() const {
  Instant deadline = std::min({lookups_.next_deadline(), output_.deadline(), log_.deadline(),
                               status_sink_.deadline(), next_report_});
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
    case signal_token: return on_signal(completion.result);
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
    case Verdict::wrong_question: ++stats_.mismatched_name; return;
  }
  uint32_t slot = match.slot;
  Lookup& lookup = lookups_[slot];
  int asking = asking_of(slot, *completion.from);
  if (asking < 0) {
    ++stats_.mismatched_source;
    return;
  }
  message_.index(completion.bytes);
  ++stats_.replies;
  ++stats_.rcodes_received[rcode_index(stats_.rcodes_received, message_.rcode())];
  if (completion.bytes.size() > std::max(lookup.advertised, small_size)) ++stats_.oversize;

  ReplyFacts reply;
  reply.rcode = message_.rcode();
  reply.truncated = completion.cut || message_.header().tc();
  reply.has_opt = message_.has_opt();
  reply.from_current = asking == 0 && !lookup.choose;
  reply.rcode_unacceptable =
      match.verdict == Verdict::header_only || options_.retry[message_.rcode()];
  if (reply.truncated) ++stats_.truncated;

  switch (decide(lookup, reply)) {
    case Action::accept: return accept(slot, *completion.from);
    case Action::ignore: return;
    case Action::resend_no_options: return resend(slot, EdnsLevel::no_options);
    case Action::resend_plain:
      if (!lookup.asked[0].dedicated) resolvers_.remember_plain(lookup.asked[0].index, now_);
      return resend(slot, EdnsLevel::plain);
    case Action::resend_full:
      lookup.never_small = true;
      return fail_try(slot, FailureReason::truncated);
    case Action::truncated: return give_up(slot, FailureReason::truncated);
    case Action::retry: return fail_try(slot, FailureReason::max_retries);
  }
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
  Lookup& lookup = lookups_[completion.token.slot];
  bool stale = lookup.generation != completion.token.generation ||
               lookup.state != LookupState::udp_wait;
  if (stale) return;
  --stats_.sent;
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
      feed_.stop();
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

// ---- What goes out

void Engine::take_input() {
  while (lookups_.has_free() && !output_.full()) {
    const Question* question = feed_.next();
    if (!question) return;
    start(*question);
  }
}

void Engine::start(const Question& question) {
  uint64_t number = next_number_++;
  ++stats_.lookups;
  if (question.resolvers.empty()) {
    uint32_t twin = lookups_.find(question.name, question.type);
    if (twin != Lookups::none) {
      ++stats_.duplicates;
      ++stats_.tries[lookups_[twin].tries];
      ++lookups_[twin].copies;
      return;
    }
  }
  uint32_t slot = lookups_.start(question.name, question.type, number);
  Lookup& lookup = lookups_[slot];
  lookup.edns = first_level();
  udp_.acquire(slot, lookup);
  ++stats_.tries[0];
  if (!question.resolvers.empty()) take_dedicated(slot, question.resolvers);
}

void Engine::take_dedicated(uint32_t slot, std::string_view words) {
  Lookup& lookup = lookups_[slot];
  for (Fields fields = split(words); !fields.first.empty(); fields = split(fields.rest)) {
    auto address = Address::parse(fields.first, 53);
    bool kept = address && udp_.can_reach(*address) && lookup.dedicated_count < max_dedicated;
    if (kept)
      lookups_.dedicated(slot)[lookup.dedicated_count++] = *address;
    else
      ++stats_.unusable_dedicated;
  }
}

void Engine::send() {
  if (now_ < congested_until_) return;
  while (lookups_.any_ready() && udp_.room() > 0) {
    uint32_t slot = lookups_.front_ready();
    Lookup& lookup = lookups_[slot];
    const Address& to = choose(slot);
    Query query;
    query.id = lookup.id;
    query.recursion_desired = !options_.norecurse;
    query.name = lookups_.name(slot).bytes();
    query.type = lookup.type;
    query.edns = edns_for(lookup);
    lookup.advertised = query.edns.present ? query.edns.udp_size : 0;
    udp_.add(slot, lookup, to, query);
    lookups_.to_udp_wait(slot, now_ + options_.interval);
  }
  stats_.sent += udp_.flush();
}

const Address& Engine::choose(uint32_t slot) {
  Lookup& lookup = lookups_[slot];
  bool keep = !lookup.choose || (options_.sticky && lookup.asked_count > 0);
  lookup.choose = false;
  if (keep) return address_of(slot, lookup.asked[0]);

  AskedResolver next;
  if (lookup.dedicated_used < lookup.dedicated_count) {
    next.dedicated = 1;
    next.index = lookup.dedicated_used++ & 0x7fffffff;
  } else if (options_.predictable) {
    next.index = (lookup.number + lookup.tries) % resolvers_.size() & 0x7fffffff;
  } else {
    std::array<uint32_t, 4> avoid;
    size_t count = 0;
    for (int i = 0; i < lookup.asked_count; ++i)
      if (!lookup.asked[i].dedicated) avoid[count++] = lookup.asked[i].index;
    next.index = resolvers_.choose(rng_, {avoid.data(), count}) & 0x7fffffff;
  }
  // Asked again after all: it stays one entry, now the latest.
  auto end = lookup.asked.begin() + lookup.asked_count;
  auto place = std::find(lookup.asked.begin(), end, next);
  if (place == end && lookup.asked_count < lookup.asked.size()) ++lookup.asked_count;
  if (place == lookup.asked.end()) --place;
  std::copy_backward(lookup.asked.begin(), place, place + 1);
  lookup.asked[0] = next;
  return address_of(slot, next);
}

EdnsOptions Engine::edns_for(Lookup& lookup) const {
  EdnsOptions edns;
  AskedResolver asked = lookup.asked[0];
  bool plain = !options_.edns || lookup.edns == EdnsLevel::plain ||
               (!asked.dedicated && resolvers_.plain(asked.index, now_));
  if (plain) return edns;
  edns.present = true;
  edns.dnssec_ok = options_.dnssec_ok;
  edns.udp_size = lookup.small ? std::min(small_size, options_.edns_size) : options_.edns_size;
  if (lookup.edns == EdnsLevel::full) edns.options = edns_options_;
  return edns;
}

// ---- What becomes of a lookup

void Engine::resend(uint32_t slot, EdnsLevel level) {
  ++stats_.edns_fallbacks;
  lookups_[slot].edns = level;
  lookups_.to_ready(slot);
}

void Engine::fail_try(uint32_t slot, FailureReason reason) {
  Lookup& lookup = lookups_[slot];
  stats_.tries[lookup.tries] -= lookup.copies;
  ++lookup.tries;
  stats_.tries[lookup.tries] += lookup.copies;
  if (lookup.tries >= options_.tries) return give_up(slot, reason);
  if (signal_ != 0) return give_up(slot, FailureReason::interrupted);

  lookup.choose = true;
  lookup.icmp = false;
  // tcp.md 9 and 10: smaller after a loss; plain at the last try of one that nobody answered.
  lookup.small = lookup.timeouts > 0 && !lookup.never_small;
  bool last = lookup.tries + 1u >= options_.tries;
  bool unanswered = lookup.timeouts == lookup.tries;
  lookup.edns = last && unanswered ? EdnsLevel::plain : first_level();
  lookups_.to_ready(slot);
}

void Engine::accept(uint32_t slot, const Address& from) {
  const Lookup& lookup = lookups_[slot];
  stats_.answered += lookup.copies;
  stats_.rcodes[rcode_index(stats_.rcodes, message_.rcode())] += lookup.copies;
  if (message_.malformed()) ++stats_.malformed;
  bool listed = options_.filter_rcodes[message_.rcode()];
  bool written = options_.filter == Options::Filter::off ||
                 listed == (options_.filter == Options::Filter::only);
  if (written) {
    Reply reply{message_, from, Transport::udp, wall_};
    for (uint32_t copy = 0; copy < lookup.copies; ++copy)
      formatter_.append_reply(output_.buffer(), reply);
    output_.count_results(lookup.copies);
  } else {
    stats_.filtered += lookup.copies;
  }
  finish(slot);
}

void Engine::give_up(uint32_t slot, FailureReason reason) {
  const Lookup& lookup = lookups_[slot];
  stats_.failed[static_cast<size_t>(reason)] += lookup.copies;
  Failure failure{lookups_.name(slot).bytes(), lookup.type, rr_class::internet, reason};
  for (uint32_t copy = 0; copy < lookup.copies; ++copy)
    formatter_.append_failure(output_.buffer(), failure);
  finish(slot);
}

void Engine::finish(uint32_t slot) {
  udp_.release(lookups_[slot]);
  lookups_.finish(slot);
}

void Engine::abandon_all() {
  for (uint32_t slot = 0; slot < lookups_.size(); ++slot)
    if (lookups_[slot].state != LookupState::free) give_up(slot, FailureReason::interrupted);
}

// ---- What is told

RunFacts Engine::facts() const {
  return {started_,           now_,  stats_, lookups_.in_flight(), feed_.bytes_consumed(),
          input_size_, feed_.next_line(), all_done()};
}

void Engine::report() {
  bool end = all_done() && !reported_end_;
  if (now_ < next_report_ && !end) return;
  if (end) {
    ensure(stats_.lookups == stats_.answered + stats_.failed_total(), "every lookup has an outcome");
    reported_end_ = true;
  }
  next_report_ = now_ + report_interval;
  // A reader of stderr that does not read misses updates; it does not hold up the run.
  if (status_ && status_sink_.pending() == 0) status_->append(status_sink_.buffer(), facts());
}

}  // namespace ringdns
