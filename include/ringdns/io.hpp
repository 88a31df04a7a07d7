// Level 2: the seam. Only its implementations talk to the kernel: io_uring.cpp, io_epoll.cpp, and
// in the tests a simulated network with virtual time. One contract suite (tests/contract) runs on
// all of them.
//
// The contract:
// - Nothing blocks but wait(). Operations are handed over at any time; what became of them is
//   told by the completions of a later wait().
// - read() and write() complete exactly once each. A datagram handed to send_datagrams()
//   completes only if it failed (Event::send_failed). A datagram socket receives from open to
//   close without being asked.
// - A connection tells Event::connected exactly once, unless it is closed before. From a successful
//   one on it receives without being asked, until a result of 0 (the peer's FIN) or an error; it
//   may still write after a FIN. Event::closed comes exactly once, after close_connection(), as
//   the connection's last completion; nothing else but the completion of a write still in flight
//   comes between the two.
// - Bytes handed to write(), and the memory handed to read(), belong to the Io until the
//   operation completes. Bytes and addresses handed to send_datagrams(), and the options of
//   connect(), are borrowed until the next wait() returns.
// - Completion::bytes and Completion::from stay valid until the next wait().
// - Time enters the program through Turn only, from a clock read once per turn.
// - The process ignores SIGPIPE; a write that nobody will read completes with -EPIPE.
#pragma once

#include <memory>
#include <string>

#include "ringdns/address.hpp"
#include "ringdns/base.hpp"

namespace ringdns {

using SocketId = Id<struct SocketTag>;
using StreamId = Id<struct StreamTag>;

// The caller's own mark on an operation, handed back untouched in its completion.
struct Token {
  uint32_t slot = 0;
  uint32_t generation : 24 = 0;
  uint32_t kind : 8 = 0;
};
static_assert(sizeof(Token) == 8);

enum class Event : uint8_t {
  datagram,     // token: the socket's. bytes, from. result: bytes received; a datagram cut to the
                // receive buffer has Completion::cut set (tcp.md 3: counts as truncated). Up to
                // 4096 octets, the most that EDNS ever advertises, come whole
  send_failed,  // token: the datagram's. result: -errno. -EAGAIN, -ENOBUFS, -ENOMEM: local
                // back-pressure, nothing left the machine
  unreachable,  // token: the socket's. ICMP error: result -errno, bytes: the start of the payload
                // of the datagram we had sent (may be cut), from: where that datagram was going
  read,         // token: the operation's. result: bytes read, 0 at the end of the stream, -errno
  written,      // token: the operation's. result: bytes written (all of them) or -errno
  connected,    // token: the connection's. result: 0 or -errno (then only closing is left to do)
  received,     // token: the connection's. result: octets in bytes; 0: the peer sent its FIN;
                // -errno: the connection is dead
  closed,       // token: the connection's. Its descriptor, id and bytes are free again
};

struct Completion {
  Event event;
  bool cut = false;
  int32_t result = 0;
  Token token;
  Bytes bytes;
  const Address* from = nullptr;
};

struct Turn {
  Instant now;
  UnixTime wall;  // the same moment on the wall clock
  std::span<const Completion> done;
};

struct Datagram {
  SocketId socket;
  Token token;
  const Address* to;
  Bytes bytes;
};

struct SocketOptions {
  Address bind;               // family decides the socket's; port 0: the kernel picks one
  bool foreign = false;       // that address need not be this host's (IP_FREEBIND)
  uint32_t receive_buffer = 0;  // bytes, 0: leave the kernel's default. Forced past rmem_max
  uint32_t send_buffer = 0;     // where privilege allows, else as much as is granted
};

struct ConnectOptions {
  Address to;
  Address bind;               // family AF_UNSPEC (a default Address): the kernel's choice
  bool foreign = false;       // that address need not be this host's (IP_FREEBIND)
  uint16_t max_segment = 0;   // TCP_MAXSEG, 0: leave it
  bool fast_open = false;     // RFC 7413, where kernel and peer have it; silently without elsewhere
};

enum class CloseKind : uint8_t {
  fin,    // orderly: FIN first, so that TIME_WAIT is on our side
  reset,  // RST (SO_LINGER 0): the peer misbehaved
};

class Io {
 public:
  virtual ~Io() = default;

  virtual const char* name() const = 0;  // "io_uring", "epoll", ...

  struct OpenedSocket {
    SocketId id;
    int error = 0;                // errno, where id is not valid
    uint32_t receive_buffer = 0;  // bytes granted, in the unit of SO_RCVBUF's argument
    Address local;
  };
  virtual OpenedSocket open_datagram_socket(const SocketOptions& options, Token token) = 0;

  // Sends all of them, in no particular order. Datagrams to one destination and of one length may
  // leave as one GSO send.
  virtual void send_datagrams(std::span<const Datagram> batch) = 0;

  // Adopts any descriptor: file, pipe, terminal, socket, signalfd. At most one read and one write
  // in flight on it. A regular file is read from and written at its current position. O_NONBLOCK
  // is left as it is: stdin and stdout are shared with other processes.
  virtual StreamId open_stream(Fd fd) = 0;
  virtual void read(StreamId stream, MutableBytes into, Token token) = 0;
  virtual void write(StreamId stream, Bytes bytes, Token token) = 0;
  // Nothing is in flight on it. Its id may be given to a stream opened later.
  virtual void close_stream(StreamId stream) = 0;

  // TCP, with TCP_NODELAY. A connection is a stream that receives by itself (Event::received):
  // write() works on it once it is connected, read() and close_stream() do not. Its memory of
  // received octets is shared by all connections, so an idle one costs next to nothing.
  struct OpenedConnection {
    StreamId id;
    int error = 0;  // errno, where id is not valid: no socket was to be had
  };
  virtual OpenedConnection connect(const ConnectOptions& options, Token token) = 0;
  // A connection that was connected: stops its receiving, or starts it again, so that TCP itself
  // holds up a peer that sends more than can be taken. What had arrived may still be told.
  virtual void set_receiving(StreamId connection, bool on) = 0;
  // In any state, once. A write in flight completes, with -ECANCELED or what became of it.
  virtual void close_connection(StreamId connection, CloseKind kind) = 0;

  // Submits what was handed over, waits until something completed or the deadline has passed, and
  // tells what is done. A deadline already past: looks without waiting. `expected` is how many
  // replies the caller has outstanding: an implementation may gather completions for up to about
  // a millisecond while many are expected, and must not when few are.
  virtual Turn wait(Instant deadline, uint32_t expected) = 0;
};

enum class IoChoice : uint8_t { automatic, io_uring, epoll };

struct IoResult {
  std::unique_ptr<Io> io;
  std::string why;  // automatic: why io_uring was not taken; else, without io, what failed
};

// automatic: io_uring where the kernel permits it, else epoll.
// concurrency: how many datagrams may be outstanding; sizes the queues and buffers.
IoResult make_io(IoChoice choice, uint32_t concurrency);

// One constructor per implementation; make_io calls these.
IoResult make_io_uring(uint32_t concurrency);
IoResult make_io_epoll(uint32_t concurrency);

}  // namespace ringdns
