#include "ringdns/sink.hpp"

#include "ringdns/frames.hpp"

namespace ringdns {

Sink::Sink(Io& io, StreamId stream, const Setup& setup) : io_(io), stream_(stream), setup_(setup) {
  begin();
}

size_t Sink::header_size() const { return setup_.frame ? frame_header_size : 0; }

void Sink::begin() {
  filling_.clear();
  if (setup_.frame) {
    filling_.reserve(frame_header_size);
    filling_.commit(frame_header_size);
  }
}

void Sink::pump(Instant now, bool ending) {
  if (in_flight_ || pending() == 0) return;
  if (failed()) return begin();
  bool due = ending || setup_.flush || pending() >= good_size || now >= deadline();
  if (!due) return;
  std::swap(filling_, writing_);
  begin();
  if (setup_.frame)
    encode_frame_header(writing_.data(), setup_.frame, writing_.size() - frame_header_size);
  in_flight_ = true;
  handed_over_ = now;
  io_.write(stream_, writing_.bytes(), setup_.token);
}

Instant Sink::deadline() const {
  return in_flight_ || pending() == 0 || failed() ? Instant::max() : handed_over_ + gathering;
}

void Sink::on_written(int32_t result) {
  in_flight_ = false;
  if (result < 0 && error_ == 0) error_ = -result;
}

}  // namespace ringdns
