// The engine's turn, and what becomes of a lookup. Both edges that lead back, retry and UDP to TCP,
// are here.
#include "ringdns/engine.hpp"

#include "ringdns/edns.hpp"

namespace ringdns {

namespace {
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
    rate_.set_rate(double{1} * options_.rate / options_.processes);
  }
  resolvers_.advance(now_);
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
  if (lookups_.any_ready()) deadline = std::min(deadline, std::max(now_, blocked_until_));
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

// ---- What becomes of a lookup

void Engine::resend(uint32_t slot, EdnsLevel level) {
  ++stats_.edns_fallbacks;
  lookups_[slot].edns = level;
  make_ready(slot);
}

void Engine::to_tcp(uint32_t slot) {
  lookups_[slot].use_tcp = true;
  make_ready(slot);
}

void Engine::make_ready(uint32_t slot) {
  returned(slot, TryOutcome::unknown);
  lookups_.to_ready(slot);
}

void Engine::returned(uint32_t slot, TryOutcome outcome) {
  Lookup& lookup = lookups_[slot];
  if (!lookup.out) return;
  lookup.out = false;
  Duration since = std::chrono::microseconds(to_us(now_) - lookup.sent_us);
  resolvers_.returned(lookup.asked[0].index, outcome, now_ - since, now_, rng_);
}

// After silence there was a wait already. Another resolver may well answer at once; those that
// failed it again and again get time.
Duration Engine::pause_before_retry(const Lookup& lookup, FailureReason reason) {
  constexpr uint32_t first_us = 10'000, most_doublings = 2;
  bool waited = reason == FailureReason::timeout;
  bool another = lookup.tries == 1 && (resolvers_.size() > 1 || lookup.dedicated_count > 1);
  if (waited || another || lookup.transfer) return {};
  uint32_t us = first_us << std::min<uint32_t>(lookup.tries - 1u, most_doublings);
  return std::chrono::microseconds(us / 2 + rng_.below(us));
}

void Engine::fail_try(uint32_t slot, FailureReason reason) {
  Lookup& lookup = lookups_[slot];
  note_failed_try(slot, reason);
  stats_.tries[lookup.tries] -= lookup.copies;
  ++lookup.tries;
  stats_.tries[lookup.tries] += lookup.copies;
  if (lookup.tries >= options_.tries) return give_up(slot, reason);
  if (signal_ != 0) return give_up(slot, FailureReason::interrupted);
  // What is to be completed over TCP was heard of.
  if (resolvers_.hopeless() && lookup.dedicated_count == 0 && !needs_tcp(lookup))
    return give_up(slot, FailureReason::no_resolver);

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
  Duration pause = pause_before_retry(lookup, reason);
  if (pause > Duration(0)) lookups_.to_resting(slot, now_ + pause);
  else lookups_.to_ready(slot);
}

// What it says of the resolver asked.
void Engine::note_failed_try(uint32_t slot, FailureReason reason) {
  Lookup& lookup = lookups_[slot];
  AskedResolver asked = lookup.asked[0];
  bool silent = reason == FailureReason::timeout || reason == FailureReason::unreachable;
  if (!asked.dedicated && lookup.out) {
    ResolverCounts& counts = resolvers_.counts(asked.index);
    counts.timeouts += reason == FailureReason::timeout;
    counts.unreachable += reason == FailureReason::unreachable;
  }
  returned(slot, silent ? TryOutcome::silent : TryOutcome::unknown);
  uint64_t& bits = lookups_.asked_bits(slot);
  if (lookup.tries == 0) bits = 0;
  if (!asked.dedicated) bits |= uint64_t{1} << asked.index % 64;
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
  if (int asking = asking_of(slot, from); asking >= 0) {
    AskedResolver asked = lookup.asked[static_cast<size_t>(asking)];
    if (!asked.dedicated) ++resolvers_.counts(asked.index).answered;
  }
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
  returned(slot, TryOutcome::unknown);
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
