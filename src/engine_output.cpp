// What the engine writes: replies, for each line that asked, and status.
#include "ringdns/engine.hpp"

namespace ringdns {

namespace {
constexpr size_t repeats_at_once = 1024 * 1024;  // octets that a turn hands over
}

void Engine::write_reply(uint32_t slot, const Address& from, Transport transport, bool more) {
  append_reply(slot, from, transport, more);
  stats_.malformed += message_.malformed();  // now that its records are read
}

void Engine::append_reply(uint32_t slot, const Address& from, Transport transport, bool more) {
  const Lookup& lookup = lookups_[slot];
  bool listed = options_.filter_rcodes[message_.rcode()];
  bool written = options_.filter == Options::Filter::off ||
                 listed == (options_.filter == Options::Filter::only);
  if (!written) {
    if (more) return;
    stats_.filtered += lookup.copies;
    if (lines_) lines_->give_nothing(slot);
    return;
  }
  size_t before = output_.buffer().size();
  Reply reply{message_, from, transport, wall_, lookups_.name(slot).bytes(), lookup.type,
              lookup.transfer, more, lines_ ? lines_->waited(slot, now_) : Duration{}};
  if (lines_) {
    formatter_.append_reply(lines_->result(), reply);
    return more ? lines_->give_part(slot) : lines_->give(slot);
  }
  formatter_.append_reply(output_.buffer(), reply);
  output_.count_results(1);
  repeat_output(before, lookup.copies - 1);
}

void Engine::write_failure(uint32_t slot, FailureReason reason) {
  const Lookup& lookup = lookups_[slot];
  const Bytes asked_name = lookups_.name(slot).bytes();
  Failure failure{asked_name, lookup.type, rr_class::internet, reason};
  if (lines_) {
    failure.server = lookup.asked_count ? &asked_address(slot) : nullptr;
    failure.transport = lookup.on_tcp ? Transport::tcp : Transport::udp;
    failure.ended = wall_;
    failure.took = lines_->waited(slot, now_);
    // It was given up on for the reply at hand.
    const Reply last{message_, asked_address(slot), failure.transport, wall_, asked_name,
                     lookup.type, lookup.transfer, false, failure.took};
    if (reason == FailureReason::max_retries) failure.last = &last;
    formatter_.append_failure(lines_->result(), failure);
    return lines_->give(slot);
  }
  size_t before = output_.buffer().size();
  formatter_.append_failure(output_.buffer(), failure);
  if (output_.buffer().size() == before) return;
  output_.count_results(1);
  repeat_output(before, lookup.copies - 1);
}

void Engine::write_rejection(const Question& question) {
  formatter_.append_rejection(lines_->result(), {question.type, question.problem, wall_});
  lines_->reject();
}

// What was appended from there on, once more for each further line of the name; where a reader is
// slow, as it reads.
void Engine::repeat_output(size_t from, uint32_t times) {
  if (times == 0) return;
  Repeat repeat{{}, times};
  repeat.text.append(output_.buffer().view().substr(from));
  repeats_.push_back(std::move(repeat));
  write_repeats();
}

void Engine::write_repeats() {
  if (lines_) return lines_->write();
  if (output_.failed()) {
    for (const Repeat& repeat : repeats_) output_.count_results(repeat.times);
    repeats_.clear();
  }
  for (; !repeats_.empty() && !output_.full(); repeats_.pop_front()) {
    Repeat& repeat = repeats_.front();
    while (repeat.times > 0) {
      if (output_.pending() >= repeats_at_once || output_.full()) return;
      output_.buffer().append(repeat.text.view());
      output_.count_results(1);
      --repeat.times;
    }
  }
}

void Engine::close_lines(uint32_t slot) {
  if (ledger_) ledger_->close(slot, [](const Ledger::Entry&) {});
}

// Each line that asked, so that the file can be fed back: with several types, of one that failed.
void Engine::write_unresolved(uint32_t slot, FailureReason reason) {
  const Lookup& lookup = lookups_[slot];
  Buffer& out = unresolved_->buffer();
  ledger_->close(slot, [&](const Ledger::Entry& entry) {
    if (entry.several) {
      append_type(out, lookup.type);
      out.append(' ');
    }
    ledger_->append_text(out, entry);
    out.append("  # ");
    out.append(name(reason));
    out.append(" after ");
    out.append_decimal(lookup.tries);
    out.append(lookup.tries == 1 ? " try\n" : " tries\n");
    unresolved_->count_results(1);
    ++stats_.unresolved;
  });
}

bool Engine::write_failed() const {
  bool log_failed = log_.failed() && options_.error_log != "-";
  return output_.failed() || (unresolved_ && unresolved_->failed()) || log_failed ||
         (saver_ && saver_->error() != 0);
}

RunFacts Engine::facts() const {
  return {started_,
          now_,
          stats_,
          lookups_.in_flight(),
          feed_.bytes_consumed(),
          input_size_,
          feed_.next_line(),
          outstanding_ + feed_.unasked(),
          all_done()};
}

void Engine::report() {
  bool end = (all_done() || write_failed()) && !reported_end_;
  if (now_ < next_report_ && !end) return;
  if (end) tcp_.close_all();
  if (end && all_done()) {
    ensure(stats_.tcp.entries == stats_.tcp.answers + stats_.tcp.failures + stats_.tcp.back_to_udp,
           "every lookup that entered TCP left it");
    ensure(!lines_ || lines_->empty(), "every line has its object");
  }
  reported_end_ |= end;
  next_report_ = now_ + report_interval;
  // A reader of stderr that does not read misses updates; it does not hold up the run.
  if (status_ && (end || status_sink_.pending() == 0)) status_->append(status_sink_.buffer(), facts());
}

}  // namespace ringdns
