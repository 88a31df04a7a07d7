// Streams and TCP connections on a ring.
#pragma once

#include <deque>
#include <vector>

#include "io_uring_ring.hpp"

namespace ringdns {

class RingStreams {
 public:
  RingStreams(Ring& ring, RingFeatures& features, std::vector<Completion>& done);
  bool open(uint32_t concurrency);  // false: no memory

  StreamId open_stream(Fd fd);
  void read(StreamId id, MutableBytes into, Token token);
  void write(StreamId id, Bytes bytes, Token token);
  void close_stream(StreamId id);

  Io::OpenedConnection connect(const ConnectOptions& options, Token token);
  void set_receiving(StreamId id, bool on);
  void close_connection(StreamId id, CloseKind kind);

  // Before each wait: received bytes may be overwritten, what waited for buffers goes on.
  void prepare();
  void on_finished(const Finished& finished);

  // Tear-down: nothing is begun again, everything in flight comes back.
  void cancel();

 private:
  enum class State : uint8_t {
    free,
    stream,      // reads and writes when asked
    connecting,  // a connect is in flight, or has failed; no other operation is
    connected,   // receives by itself, until it is deaf
    closing,     // told to close; what is in flight comes back first
  };
  struct Transfer {
    Token token;
    uint8_t* bytes = nullptr;
    size_t size = 0;
    size_t done = 0;
  };
  struct Stream {
    Fd fd;
    State state = State::free;
    uint32_t generation = 0;
    // What the kernel has of ours: at most one operation in each direction.
    Op receiving = Op::none;
    Op sending = Op::none;
    bool paused = false;  // is not to receive for now
    bool deaf = false;  // the peer's FIN or an error has been told
    bool writing = false;
    bool terminal = false;
    bool file = false;     // a regular one
    int64_t position = 0;  // of such a one, where the write that is out begins
    uint16_t buffer = 0;  // of a single receive
    CloseKind close_kind = CloseKind::fin;
    Transfer in, out;
    Token token;
    Address to;
  };
  struct Reference {
    uint32_t index;
    uint32_t generation;
  };

  uint32_t acquire();
  void release(uint32_t index);
  Reference reference(uint32_t index) const { return {index, streams_[index].generation}; }
  bool current(Reference reference) const;
  void hand_over(io_uring_sqe* entry, Op op, uint32_t index);
  static void leave_to_worker(io_uring_sqe* entry, const Stream& stream);
  void poll(Op op, uint32_t index, uint32_t events);
  void tell(Event event, Token token, int32_t result, Bytes bytes = {});

  void go_on_reading(uint32_t index);
  void on_read(uint32_t index, int32_t result);
  void go_on_writing(uint32_t index);
  void on_write(uint32_t index, int32_t result);
  void end_write(Stream& stream, int32_t result);

  void on_connect(uint32_t index, int32_t result);
  bool may_receive(const Stream& stream) const {
    return stream.state == State::connected && stream.receiving == Op::none && !stream.paused &&
           !stream.deaf;
  }
  void start_receiving(uint32_t index);
  void receive_once(uint32_t index);
  void on_receive(uint32_t index, const Finished& finished);
  void cancel_operations(uint32_t index);
  void close_if_quiet(uint32_t index);

  Ring& ring_;
  RingFeatures& features_;
  std::vector<Completion>& done_;
  bool ending_ = false;
  std::deque<Stream> streams_;
  std::vector<uint32_t> free_;
  BufferPool buffers_;
  std::vector<Reference> to_receive_;       // connections without a receive in flight
  std::vector<Reference> wanting_buffers_;  // readable, while every buffer is lent
  std::vector<Reference> to_close_;
  std::vector<Reference> visited_;
};

}  // namespace ringdns
