#include "ringdns/sink.hpp"

namespace ringdns {

Sink::Sink(Io& io, StreamId stream, Token token, bool flush)
    : io_(&io), stream_(stream), token_(token), flush_(flush) {}

Sink::Sink(Sink& channel, FrameKind kind) : channel_(&channel), kind_(kind) {}

bool Sink::full() const {
  return channel_ ? channel_->full() : filling_.size() >= full_size && in_flight_;
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
  if (in_flight_ || pending() == 0) return;
  if (failed()) return filling_.clear();  // nobody will read it: keep it from growing
  bool due = ending || flush_ || pending() >= good_size || now >= deadline();
  if (!due) return;
  std::swap(filling_, writing_);
  filling_.clear();
  writing_results_ = std::exchange(filling_results_, 0);
  in_flight_ = true;
  handed_over_ = now;
  io_->write(stream_, writing_.bytes(), token_);
}

Instant Sink::deadline() const {
  if (channel_) return channel_->deadline();
  return in_flight_ || pending() == 0 || failed() ? Instant::max() : handed_over_ + gathering;
}

void Sink::on_written(int32_t result) {
  if (channel_) return channel_->on_written(result);
  in_flight_ = false;
  if (result >= 0)
    writing_results_ = 0;
  else if (error_ == 0)
    error_ = -result;
}

void Sink::abandon() {
  if (channel_) return channel_->abandon();
  if (error_ == 0) error_ = ECANCELED;
}

}  // namespace ringdns
