// The third implementation of the seam: a simulated kernel with virtual time. It holds the engine
// to its side of the contract (io.hpp), and hands everything that leaves the host to a World, which
// decides what comes of it, and when.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "ringdns/io.hpp"
#include "timers.hpp"
#include "trace.hpp"

namespace sim {

class Channel;

using Octets = std::vector<uint8_t>;

// Whom the host talks to. Called while the engine waits; answers with SimIo's deliver_...().
class World {
 public:
  virtual ~World() = default;

  // A datagram handed over. Returns 0 when it left, or -errno.
  virtual int32_t on_datagram(uint32_t socket, const Datagram& datagram) = 0;
  // May a descriptor be had? 0, or an errno.
  virtual int on_open_socket(const SocketOptions&) { return 0; }
  struct Reception {
    int error = 0;         // errno: it cannot even start
    Duration after{};      // told so much later ...
    int32_t result = 0;    // ... with this
    bool silent = false;   // it gets no answer at all
  };
  virtual Reception on_connect(uint32_t connection, const ConnectOptions& options) = 0;
  virtual void on_connected(uint32_t) {}
  // A write was handed over: when it completes, if ever, with what.
  virtual Reception on_write(uint32_t connection, Bytes bytes) = 0;
  virtual void on_bytes(uint32_t connection, Bytes bytes) = 0;  // of a write that completed
  virtual void on_close(uint32_t connection, CloseKind kind) = 0;
  virtual void on_timer(uint32_t) {}
  // A descriptor that is not the simulated kernel's own is opened as a stream.
  virtual std::unique_ptr<Channel> adopt(Fd) { return nullptr; }
  // How much later than its first event a turn looks at what came meanwhile.
  virtual Duration slack() { return {}; }
  // How long closing takes.
  virtual Duration farewell() { return {}; }
};

// A file, pipe or signalfd.
class Channel {
 public:
  virtual ~Channel() = default;
  // When an operation that begins now completes; Instant::max(): not before SimIo::kick_all().
  virtual Instant ready(Instant now) = 0;
  // Its result. `waits`: after all, not yet.
  static constexpr int32_t waits = INT32_MIN;
  virtual int32_t read(MutableBytes) { return -EBADF; }
  virtual int32_t write(Bytes) { return -EBADF; }
};

class SimIo final : public Io {
 public:
  static constexpr Instant epoch{std::chrono::hours(1)};
  static constexpr size_t most_octets = 65536;  // of one received completion

  SimIo(World& world, Trace& trace) : world_(world), trace_(trace) {}

  // A descriptor that open_stream() takes.
  Fd add(std::unique_ptr<Channel> channel);

  const char* name() const override { return "simulation"; }
  OpenedSocket open_datagram_socket(const SocketOptions& options, Token token) override;
  void send_datagrams(std::span<const Datagram> batch) override;
  StreamId open_stream(Fd fd) override;
  void read(StreamId stream, MutableBytes into, Token token) override;
  void write(StreamId stream, Bytes bytes, Token token) override;
  void close_stream(StreamId stream) override;
  OpenedConnection connect(const ConnectOptions& options, Token token) override;
  void set_receiving(StreamId connection, bool on) override;
  void close_connection(StreamId connection, CloseKind kind) override;
  Turn wait(Instant deadline, uint32_t expected) override;

  // ---- The World's side
  Instant now() const { return now_; }
  const Address& local_of(uint32_t socket) const { return sockets_[socket].local; }
  uint32_t sockets() const { return static_cast<uint32_t>(sockets_.size()); }
  uint32_t socket_at(const Address& local) const;  // none
  static constexpr uint32_t none = UINT32_MAX;
  const Address& local_of_connection(uint32_t connection) const {
    return connections_[connection].local;
  }
  void deliver_datagram(uint32_t socket, Instant at, const Address& from, Bytes bytes);
  void deliver_unreachable(uint32_t socket, Instant at, const Address& to, Bytes quoted, int error);
  void deliver_connected(uint32_t connection, Instant at, int32_t result);
  void deliver_bytes(uint32_t connection, Instant at, Bytes bytes);
  void deliver_end(uint32_t connection, Instant at, int32_t result);  // 0: FIN, else -errno
  void deliver_written(uint32_t connection, Instant at, int32_t result);
  void call_world(Instant at, uint32_t cookie);
  void kick_all();  // looks again at channels that were not ready

  uint32_t open_connections() const { return open_connections_; }
  uint32_t unclosed() const;  // of those, the ones that nobody asked to close
  uint64_t turns() const { return turns_; }
  // What the engine's own counts must agree with.
  struct Counts {
    uint64_t datagrams_sent = 0, sends_failed = 0, datagrams_received = 0, connects = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  enum class Kind : uint8_t {
    datagram, unreachable, send_failed, read, write, connected, bytes, end, written, closed, world,
  };
  struct Happening {
    Kind kind;
    uint32_t id, generation, packet;
    int32_t result;
  };
  struct Packet {
    Octets octets;
    Address address;
    Token token;
  };
  struct Socket {
    Address local;
    Token token;
  };
  struct Operation {
    bool under_way = false;
    Token token;
    MutableBytes into;  // read
    Bytes bytes;        // write
    Octets copy;        // of those, as they were
  };
  struct StreamState {
    std::unique_ptr<Channel> channel;
    bool open = false;
    Operation reading, writing;
  };
  enum class Phase : uint8_t { free, connecting, connected, failed, closing };
  struct Connection {
    Phase phase = Phase::free;
    uint32_t generation = 0;
    Token token;
    Address local;
    bool receiving = true;
    bool ended = false;      // FIN or error told
    bool end_known = false;  // arrived
    bool readable = false;   // listed in readable_
    int32_t end = 0;
    Octets arrived;
    Operation writing;
  };

  void retire();
  void hand_over();
  void run(const Happening& event);
  void run_connection(const Happening& event, Connection& connection);
  void complete_stream(const Happening& event, bool reading);
  void finish_write(Connection& connection, uint32_t id, int32_t result);
  void mark_readable(uint32_t id);
  void tell_arrived(uint32_t id);
  void tell(const Completion& completion) { completions_.push_back(completion); }
  Bytes lend(Bytes bytes);
  uint32_t pack(Bytes bytes, const Address& address = {}, Token token = {});
  void unpack(uint32_t packet) { free_packets_.push_back(packet); }
  void schedule(Instant at, Happening event) { events_.add(at, event); }
  Connection& connection_at(StreamId id, const char* what);
  StreamState& stream_at(StreamId id, const char* what);
  void begin(Operation& operation, Bytes bytes, Token token, const char* what);
  static void check_unchanged(const Operation& operation);

  // Streams' and connections' ids do not overlap: mixing them up shows.
  static constexpr uint32_t first_connection = 1u << 16;
  static constexpr int first_descriptor = 1 << 20;
  static constexpr uint16_t first_port = 20000, first_connection_port = 40000;

  World& world_;
  Trace& trace_;
  Instant now_ = epoch;
  responder::Timers<Happening> events_;
  std::vector<Packet> packets_;
  std::vector<uint32_t> free_packets_;
  std::vector<Socket> sockets_;
  std::vector<StreamState> streams_;
  std::vector<Connection> connections_;
  std::vector<uint32_t> free_connections_;
  std::vector<uint32_t> readable_;
  uint32_t open_connections_ = 0;
  uint16_t next_port_ = first_connection_port;

  struct Handed {
    Datagram datagram;
    size_t copy_at;
  };
  std::vector<Handed> handed_;
  Octets handed_copy_;
  std::vector<Completion> completions_;
  // What completions lend until the next wait, which then overwrites it.
  std::deque<Octets> lent_;
  size_t lent_blocks_ = 0, lent_used_ = 0;
  std::deque<Address> lent_addresses_;
  size_t lent_addresses_used_ = 0;
  Counts counts_;
  uint64_t turns_ = 0;
  uint32_t idle_turns_ = 0;  // in a row, that neither waited nor had anything to tell
};

}  // namespace sim
