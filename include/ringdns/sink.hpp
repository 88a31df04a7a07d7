// Level 4: an output stream with two buffers: one is being filled while the Io writes the other.
// Whoever fills it appends whole lines or records between two calls of pump(), so only whole ones
// are ever written. A worker process has several sinks that send frames down one channel sink.
#pragma once

#include <cerrno>

#include "ringdns/buffer.hpp"
#include "ringdns/frames.hpp"
#include "ringdns/io.hpp"

namespace ringdns {

class Sink {
 public:
  // token marks its completions. flush: hand everything over at every pump().
  Sink(Io& io, StreamId stream, Token token, bool flush = false);
  // What is appended goes as frames of this kind into the channel's buffer.
  Sink(Sink& channel, FrameKind kind);

  Buffer& buffer() { return filling_; }
  // Results were appended: so that a failed write can say how many were lost.
  void count_results(uint64_t count) { filling_results_ += count; }

  // Too much is waiting for a slow reader: take no new input. What is in flight may still append.
  bool full() const;
  int error() const { return channel_ ? channel_->error() : error_; }  // errno of a failed write
  bool failed() const { return error() != 0; }
  bool in_flight() const { return in_flight_; }
  size_t pending() const { return filling_.size(); }  // bytes not handed over
  bool drained() const;  // nothing is left to write, or nothing can be written any more
  // Octets appended in all, and those of them that are written, in whole lots: a lot that failed
  // counts as unwritten, though a part of it may have been.
  uint64_t appended() const {
    return written_total_ + (in_flight_ ? writing_.size() : 0) + pending();
  }
  uint64_t written() const { return written_total_; }
  uint64_t unwritten_results() const { return filling_results_ + writing_results_; }

  // Hands bytes over where that is due: a good lot, or little after a while. ending: all.
  void pump(Instant now, bool ending);
  // When pump() has something to do of itself; Instant::max() when not.
  Instant deadline() const;
  // A completion with this sink's token.
  void on_written(int32_t result);
  // Gives up on a reader that does not read: what is unwritten stays so.
  void abandon();

 private:
  static constexpr size_t good_size = 64 * 1024;
  static constexpr size_t full_size = 1024 * 1024;
  // What one write takes; its result is 32 bits.
  static constexpr size_t most_written = 16 * 1024 * 1024;
  // A lone result goes out at once; under load results gather for this long.
  static constexpr Duration gathering = std::chrono::milliseconds(5);

  void write_on();

  Io* io_ = nullptr;
  StreamId stream_;
  Token token_;
  bool flush_ = false;
  Sink* channel_ = nullptr;
  FrameKind kind_ = FrameKind::none;

  Buffer filling_;
  Buffer writing_;
  uint64_t filling_results_ = 0, writing_results_ = 0;
  size_t written_ = 0;      // of writing_
  uint64_t written_total_ = 0;
  Instant handed_over_{};  // when the last write was
  bool in_flight_ = false;
  int error_ = 0;
};

}  // namespace ringdns
