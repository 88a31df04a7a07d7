// The other ends of the suite's cases where the seam is the simulated kernel (tests/sim): what
// support.cpp has plain sockets for. A handle is a descriptor of its own, an eventfd, so that it is
// Fd's destructor that closes the peer, here as there.
#pragma once

#include <map>
#include <optional>

#include "kernel.hpp"
#include "support.hpp"

namespace contract {

class Simulated final : public sim::World {
 public:
  std::unique_ptr<Io> make_io();
  Instant now() const { return io_ ? io_->now() : sim::SimIo::epoch; }
  void sweep();  // peers whose handles were closed since

  Fd udp(sa_family_t family);
  Fd listener(const Address& at, int backlog);
  Fd accept(const Fd& listener);
  Pipe pipe();
  Address local_of(const Fd& fd) { return at(fd).address; }
  void send(const Fd& from, const Address& to, const std::string& bytes);
  std::optional<std::string> receive(const Fd& fd, Address* from);
  PlainRead read(const Fd& fd, size_t most);
  bool write(const Fd& fd, std::string_view bytes);
  void finish(const Fd& fd);
  void reset(Fd& fd);

 private:
  enum class Kind : uint8_t { udp, listener, stream, read_end, write_end };
  struct PipeState {
    std::string held;
    bool reader = true, writer = true;
  };
  class PipeChannel;
  struct Peer {
    Kind kind;
    Address address{};
    std::vector<std::pair<std::string, Address>> datagrams{};  // udp
    bool blackhole = false;                                     // listener
    std::vector<uint32_t> waiting{};                            // listener: not yet accepted
    uint32_t connection = 0;                                    // stream
    std::shared_ptr<PipeState> pipe{};
  };
  // The peer's side of a connection, accepted or not.
  struct Line {
    Address listener{};
    std::string arrived;    // from the host, unread
    Bytes in_flight;        // of the host's write
    size_t taken = 0;       // of that
    bool host_closed = false, closed = false;
    int32_t end = 0;        // what reading ends in, once the host has closed
  };
  static constexpr size_t window = 256 * 1024;  // octets that wait unread, of a line or a pipe

  Peer& at(const Fd& fd) { return peers_.at(fd.get()); }
  Fd keep(Peer peer);
  void close(Peer& peer);
  Peer* find(Kind kind, const Address& address);
  void take_in(uint32_t connection);

  int32_t on_datagram(uint32_t socket, const Datagram& datagram) override;
  int on_open_socket(const SocketOptions& options) override;
  Reception on_connect(uint32_t connection, const ConnectOptions& options) override;
  void on_connected(uint32_t connection) override;
  Reception on_write(uint32_t connection, Bytes bytes) override;
  void on_bytes(uint32_t, Bytes) override {}
  void on_close(uint32_t connection, CloseKind kind) override;
  std::unique_ptr<sim::Channel> adopt(Fd fd) override;

  sim::Trace trace_{false};
  sim::SimIo* io_ = nullptr;
  std::map<int, Peer> peers_;  // by the handle's number
  std::map<uint32_t, Line> lines_;
  uint16_t next_port_ = 30000;
};

// Of the case under way; null where the seam is a real kernel's.
Simulated* simulated();

}  // namespace contract
