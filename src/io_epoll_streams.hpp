// Streams and TCP connections over epoll.
#pragma once

#include <vector>

#include "io_epoll.hpp"

namespace ringdns {

class EpollStreams {
 public:
  EpollStreams(int epoll, TurnResults& results, const EpollFeatures& features)
      : epoll_(epoll), results_(results), features_(features) {}

  StreamId open(Fd fd);
  void read(StreamId id, MutableBytes into, Token token);
  void write(StreamId id, Bytes bytes, Token token);
  void close(StreamId id);
  Io::OpenedConnection connect(const ConnectOptions& options, Token token);
  void set_receiving(StreamId id, bool on);
  void close_connection(StreamId id, CloseKind kind);

  // Tries what was handed over since the last turn; what cannot be done at once waits for epoll.
  void run_submitted();
  void on_event(uint32_t index, uint32_t events, TurnShare share);

 private:
  // How to read and write without ever waiting, and without setting O_NONBLOCK on an open file
  // that other processes share.
  enum class Access : uint8_t {
    direct,     // a regular file: always ready, epoll does not take it
    own,        // an open file of our own, with O_NONBLOCK
    socket,     // MSG_DONTWAIT
    nowait,     // RWF_NOWAIT; where the kernel does not know it there:
    readiness,  // only when poll() says so, and then no more than a pipe takes at once
  };

  enum class State : uint8_t {
    free,
    stream,
    connecting,  // connected is still to be told
    receiving,
    ended,       // the peer's FIN or an error was told: no more input
    closing,     // closed is to be told at the next turn, nothing else but a write's end before it
  };

  struct Transfer {
    uint8_t* data = nullptr;
    size_t size = 0;
    size_t done = 0;
    Token token;
    bool active = false;
  };

  struct Stream {
    Fd fd;
    State state = State::free;
    Access access = Access::direct;
    CloseKind close_kind = CloseKind::fin;
    bool registered = false;  // with epoll
    bool submitted = false;   // on submitted_
    bool paused = false;      // receives nothing for now
    uint32_t armed = 0;       // events that epoll looks for now
    int error = 0;            // of connect() or of a write: the connection is dead
    Token token;              // the connection's
    Transfer reading, writing;
  };

  uint32_t allocate();
  void release(uint32_t index);
  void submit(uint32_t index);
  void start(uint32_t index);
  void finish_closing(uint32_t index);

  void try_read(Stream& stream);
  void try_write(Stream& stream);
  void try_receive(Stream& stream, TurnShare share);
  void finish_connect(Stream& stream, int error);
  void end_input(Stream& stream, int32_t result);

  // Bytes moved, or -errno; -EAGAIN: not now.
  ssize_t read_some(Stream& stream, MutableBytes into);
  ssize_t write_some(Stream& stream, Bytes bytes);

  // Has epoll look for what the stream waits for, and for nothing else: an event that nobody acts
  // on would come again and again.
  void arm(uint32_t index);
  uint32_t wanted(const Stream& stream) const;
  void disarm(Stream& stream);
  void cannot_wait(uint32_t index, int error);

  void tell_read(Stream& stream, int32_t result);
  void tell_written(Stream& stream, int32_t result);

  int epoll_;
  TurnResults& results_;
  EpollFeatures features_;
  std::vector<Stream> streams_;
  std::vector<uint32_t> free_, submitted_, closing_;
};

}  // namespace ringdns
