#include "ringdns/sink.hpp"

#include <algorithm>

namespace ringdns {

Sink::Sink(Io& io, StreamId stream, Token token, bool flush)
    : io_(&io), stream_(stream), token_(token), flush_(flush) {}

Sink::Sink(Sink& channel, FrameKind kind) : channel_(&channel), kind_(kind) {}

bool Sink::full() const {
  if (channel_) return channel_->full();
  return !failed() && filling_.size() >= full_size && in_flight_;
}

bool Sink::drained() const {
  if (failed()) return true;
  return channel_ ? pending() == 0 && channel_->drained() : pending() == 0 && !in_flight_;
}

void Sink::pump(Instant now, bool ending) {
  if (channel_) {
    if (pending() > 0) {
      FrameHeader header{kind_, static_cast<uint32_t>(pending()),
                         static_cast<uint32_t>(filling_results_)};
      channel_->filling_.append(&header, sizeof header);
      channel_->filling_.append(filling_.bytes());
      filling_.clear();
      filling_results_ = 0;
    }
    return channel_->pump(now, ending);
  }
  if (failed()) return filling_.clear();  // nobody will read it: keep it from growing
  if (in_flight_ || pending() == 0) return;
  bool due = ending || flush_ || pending() >= good_size || now >= deadline();
  if (!due) return;
  std::swap(filling_, writing_);
  filling_.clear();
  writing_results_ = std::exchange(filling_results_, 0);
  in_flight_ = true;
  handed_over_ = now;
  written_ = 0;
  write_on();
}

void Sink::write_on() {
  Bytes left = writing_.bytes().subspan(written_);
  io_->write(stream_, left.first(std::min(left.size(), most_written)), token_);
}

Instant Sink::deadline() const {
  if (channel_) return channel_->deadline();
  return in_flight_ || pending() == 0 || failed() ? Instant::max() : handed_over_ + gathering;
}

void Sink::on_written(int32_t result) {
  if (channel_) return channel_->on_written(result);
  if (result >= 0) {
    written_ += static_cast<size_t>(result);
    if (written_ < writing_.size() && !failed()) return write_on();
  }
  in_flight_ = false;
  if (result >= 0) {
    writing_results_ = 0;
    written_total_ += writing_.size();
  } else if (error_ == 0) {
    error_ = -result;
  }
}

void Sink::abandon() {
  if (channel_) return channel_->abandon();
  if (error_ == 0) error_ = ECANCELED;
}

}  // namespace ringdns
