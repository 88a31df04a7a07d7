#include "ringdns/saver.hpp"

namespace ringdns {

void Saver::advance(Instant now, bool settled, bool ending) {
  // Where output is lost, or the list is another one, the checkpoint there is stays.
  bool lost = parts_.output.failed() || (parts_.unresolved && parts_.unresolved->failed());
  if (error_ || lost || !parts_.feed.foreign().empty()) {
    ended_ = ending;
    waiting_ = settled_ = false;
    return;
  }
  settled_ = settled;
  if (due_ == Instant{}) due_ = now + parts_.interval;
  bool last = ending && settled && !ended_;
  bool due = settled && !waiting_ && now >= due_ && changed();
  if (last || due) take();
  ended_ |= last;
  if (!waiting_ || !written()) return;
  waiting_ = false;
  Kept kept = parts_.keep(text_.bytes());
  due_ = now + std::max(parts_.interval, share_of_time * kept.took);
  error_ = kept.error;
}

Instant Saver::deadline() const {
  bool later = waiting_ || !settled_ || ended_ || error_ || !changed();
  return later ? Instant::max() : due_;
}

bool Saver::changed() const {
  return parts_.ledger.changes() != known_changes_ || parts_.feed.next_line() != known_line_;
}

bool Saver::written() const {
  return parts_.output.written() >= output_target_ &&
         (!parts_.unresolved || parts_.unresolved->written() >= unresolved_target_);
}

void Saver::take() {
  known_changes_ = parts_.ledger.changes();
  known_line_ = parts_.feed.next_line();
  output_target_ = parts_.output.appended();
  if (parts_.unresolved) unresolved_target_ = parts_.unresolved->appended();
  ++latest_.sequence;
  latest_.output_size = parts_.from.output_size + output_target_;
  latest_.unresolved_size = parts_.from.unresolved_size + unresolved_target_;
  parts_.feed.describe(latest_);
  // Lines in flight come before those that an earlier run left and this one has yet to reach.
  std::vector<Place>& unfinished = latest_.unfinished;
  size_t left = unfinished.size();
  if (!parts_.ledger.empty()) {
    latest_.base_line = parts_.ledger.lowest().line;
    latest_.base_offset = parts_.ledger.lowest().offset;
  }
  parts_.ledger.each_open(
      [&](const Ledger::Entry& entry) { unfinished.push_back({entry.line, entry.part}); });
  std::rotate(unfinished.begin(), unfinished.begin() + static_cast<ptrdiff_t>(left),
              unfinished.end());
  text_.clear();
  append_checkpoint(text_, latest_);
  waiting_ = true;
}

}  // namespace ringdns
