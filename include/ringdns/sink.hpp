// Level 3: an output stream with two buffers: one is being filled while the Io writes the other.
// Whoever fills it appends whole lines or records between two calls of pump(), so only whole ones
// are ever written.
#pragma once

#include <cerrno>

#include "ringdns/buffer.hpp"
#include "ringdns/io.hpp"

namespace ringdns {

class Sink {
 public:
  // flush: hand everything over at once. framed: precede each write with a frame header of this
  // kind (processes.hpp). token marks this sink's completions.
  struct Setup {
    Token token;
    bool flush = false;
    char frame = 0;  // 0: no frames
  };
  Sink(Io& io, StreamId stream, const Setup& setup);

  Buffer& buffer() { return filling_; }

  // Too much is waiting for a slow reader: take no new input. What is in flight may still append.
  bool full() const { return filling_.size() >= full_size && in_flight_; }
  bool failed() const { return error_ != 0; }
  int error() const { return error_; }  // errno of the first write that failed
  bool drained() const { return failed() || (pending() == 0 && !in_flight_); }
  size_t pending() const { return filling_.size() - header_size(); }  // bytes not handed over
  size_t unwritten() const { return pending() + (in_flight_ ? writing_.size() : 0); }

  // Hands bytes over where that is due: a good lot, or little after a while. ending: all.
  void pump(Instant now, bool ending);
  // When pump() has something to do of itself; Instant::max() when not.
  Instant deadline() const;
  // Gives up on a reader that does not read: what is unwritten stays so.
  void abandon() { error_ = error_ ? error_ : ECANCELED; }
  // A completion with this sink's token.
  void on_written(int32_t result);

 private:
  static constexpr size_t good_size = 64 * 1024;
  static constexpr size_t full_size = 1024 * 1024;
  // A lone result goes out at once; under load results gather for this long.
  static constexpr Duration gathering = std::chrono::milliseconds(5);

  size_t header_size() const;
  void begin();

  Io& io_;
  StreamId stream_;
  Setup setup_;
  Buffer filling_;
  Buffer writing_;
  Instant handed_over_{};  // when the last write was
  bool in_flight_ = false;
  int error_ = 0;
};

}  // namespace ringdns
