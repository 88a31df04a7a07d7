#include "simulated.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <cerrno>

namespace contract {

namespace {

std::unique_ptr<Simulated> current;

bool is(const Address& address, const char* text) {
  std::optional<Address> other = Address::parse(text, address.port());
  return other && *other == address;
}

bool mapped(const Address& address) {
  return address.is_ipv6() && IN6_IS_ADDR_V4MAPPED(reinterpret_cast<const in6_addr*>(
                                  address.octets().data()));
}

}  // namespace

Simulated* simulated() { return current.get(); }

Surroundings::Surroundings(const Implementation& implementation) {
  if (implementation.simulated) current = std::make_unique<Simulated>();
}
Surroundings::~Surroundings() { current.reset(); }

std::unique_ptr<Io> Simulated::make_io() {
  auto io = std::make_unique<sim::SimIo>(*this, trace_);
  io_ = io.get();
  return io;
}

// ---- Handles

Fd Simulated::keep(Peer peer) {
  Fd handle(eventfd(0, EFD_CLOEXEC));
  REQUIRE(handle.valid());
  sweep();  // one of that number may have been closed a moment ago
  if (auto old = peers_.find(handle.get()); old != peers_.end()) {
    close(old->second);
    peers_.erase(old);
  }
  peers_.emplace(handle.get(), std::move(peer));
  return handle;
}

void Simulated::sweep() {
  for (auto one = peers_.begin(); one != peers_.end();) {
    if (fcntl(one->first, F_GETFD) >= 0) {
      ++one;
      continue;
    }
    close(one->second);
    one = peers_.erase(one);
  }
}

void Simulated::close(Peer& peer) {
  switch (peer.kind) {
    case Kind::udp:
    case Kind::listener: return;
    case Kind::stream: {
      Line& line = lines_[peer.connection];
      // As Linux does: a reset where something is unread.
      bool unread = !line.arrived.empty() || line.in_flight.size() > line.taken;
      if (!line.host_closed && !line.closed)
        io_->deliver_end(peer.connection, now(), unread ? -ECONNRESET : 0);
      line.closed = true;
      return;
    }
    case Kind::read_end: peer.pipe->reader = false; break;
    case Kind::write_end: peer.pipe->writer = false; break;
  }
  if (io_) io_->kick_all();
}

Simulated::Peer* Simulated::find(Kind kind, const Address& address) {
  for (auto& [number, peer] : peers_)
    if (peer.kind == kind && peer.address == address) return &peer;
  return nullptr;
}

// ---- Datagrams

Fd Simulated::udp(sa_family_t family) {
  return keep({.kind = Kind::udp, .address = loopback(family, next_port_++)});
}

void Simulated::send(const Fd& from, const Address& to, const std::string& bytes) {
  uint32_t socket = io_->socket_at(to);
  REQUIRE(socket != sim::SimIo::none);
  io_->deliver_datagram(socket, now(), at(from).address, bytes_of(bytes));
}

std::optional<std::string> Simulated::receive(const Fd& fd, Address* from) {
  Peer& peer = at(fd);
  if (peer.datagrams.empty()) return std::nullopt;
  auto [bytes, sender] = std::move(peer.datagrams.front());
  peer.datagrams.erase(peer.datagrams.begin());
  if (from) *from = sender;
  return bytes;
}

int32_t Simulated::on_datagram(uint32_t socket, const Datagram& datagram) {
  constexpr size_t most = 65507;
  const Address& to = *datagram.to;
  if (to.port() == 0) return -EINVAL;
  if (is(to, "255.255.255.255")) return -EACCES;
  if (mapped(to)) return -ENETUNREACH;
  if (datagram.bytes.size() > most) return -EMSGSIZE;
  sweep();
  if (Peer* peer = find(Kind::udp, to)) {
    peer->datagrams.emplace_back(std::string(datagram.bytes.begin(), datagram.bytes.end()),
                                 io_->local_of(socket));
  } else {
    io_->deliver_unreachable(socket, now(), to, datagram.bytes, ECONNREFUSED);
  }
  return 0;
}

int Simulated::on_open_socket(const SocketOptions& options) {
  if (is(options.bind, "192.0.2.77")) return EADDRNOTAVAIL;
  return find(Kind::udp, options.bind) ? EADDRINUSE : 0;
}

// ---- Connections

Fd Simulated::listener(const Address& address, int backlog) {
  Peer peer{.kind = Kind::listener, .address = address, .blackhole = backlog == 0};
  if (peer.address.port() == 0) peer.address.set_port(next_port_++);
  return keep(std::move(peer));
}

Fd Simulated::accept(const Fd& listener) {
  std::vector<uint32_t>& waiting = at(listener).waiting;
  REQUIRE(!waiting.empty());
  uint32_t connection = waiting.front();
  waiting.erase(waiting.begin());
  return keep({.kind = Kind::stream, .connection = connection});
}

sim::World::Reception Simulated::on_connect(uint32_t connection, const ConnectOptions& options) {
  Reception out;
  sweep();
  // Whose handle is still about hears of an earlier connection of that number no more.
  std::erase_if(peers_, [&](auto& one) {
    return one.second.kind == Kind::stream && one.second.connection == connection;
  });
  lines_[connection] = Line();
  lines_[connection].listener = options.to;
  Peer* listener = find(Kind::listener, options.to);
  if (is(options.bind, "192.0.2.77")) out.error = EADDRNOTAVAIL;
  else if (is(options.to, "255.255.255.255")) out.result = -ENETUNREACH;
  else if (!listener) out.result = -ECONNREFUSED;
  else out.silent = listener->blackhole;
  return out;
}

void Simulated::on_connected(uint32_t connection) {
  if (Peer* listener = find(Kind::listener, lines_[connection].listener))
    listener->waiting.push_back(connection);
}

// What the window has room for goes over at once, the rest as the peer reads.
void Simulated::take_in(uint32_t connection) {
  Line& line = lines_[connection];
  size_t room = line.arrived.size() < window ? window - line.arrived.size() : 0;
  Bytes more = line.in_flight.subspan(line.taken);
  more = more.first(std::min(room, more.size()));
  line.arrived.append(more.begin(), more.end());
  line.taken += more.size();
}

sim::World::Reception Simulated::on_write(uint32_t connection, Bytes bytes) {
  sweep();
  Line& line = lines_[connection];
  line.in_flight = bytes;
  line.taken = 0;
  Reception out;
  if (line.closed) {
    io_->deliver_end(connection, now(), -ECONNRESET);
    out.result = -EPIPE;
    return out;
  }
  take_in(connection);
  out.silent = line.taken < bytes.size();
  return out;
}

PlainRead Simulated::read(const Fd& fd, size_t most) {
  Peer& peer = at(fd);
  std::string& held = peer.kind == Kind::stream ? lines_[peer.connection].arrived : peer.pipe->held;
  PlainRead out{-ETIMEDOUT, held.substr(0, most)};
  held.erase(0, out.bytes.size());
  if (!out.bytes.empty()) out.result = static_cast<ssize_t>(out.bytes.size());
  if (peer.kind == Kind::read_end) {
    if (out.bytes.empty() && !peer.pipe->writer) out.result = 0;
    io_->kick_all();
    return out;
  }
  Line& line = lines_[peer.connection];
  if (line.host_closed) {
    if (out.bytes.empty()) out.result = line.end;
  } else if (line.taken < line.in_flight.size()) {
    take_in(peer.connection);
    if (line.taken == line.in_flight.size())
      io_->deliver_written(peer.connection, now(), static_cast<int32_t>(line.taken));
  }
  return out;
}

bool Simulated::write(const Fd& fd, std::string_view bytes) {
  Peer& peer = at(fd);
  if (peer.kind == Kind::write_end) {
    peer.pipe->held += bytes;
    io_->kick_all();
    return true;
  }
  if (lines_[peer.connection].host_closed) return false;
  io_->deliver_bytes(peer.connection, now(), bytes_of(bytes));
  return true;
}

void Simulated::finish(const Fd& fd) { io_->deliver_end(at(fd).connection, now(), 0); }

void Simulated::reset(Fd& fd) {
  Line& line = lines_[at(fd).connection];
  io_->deliver_end(at(fd).connection, now(), -ECONNRESET);
  line.closed = true;
  fd.reset();
}

void Simulated::on_close(uint32_t connection, CloseKind kind) {
  Line& line = lines_[connection];
  line.host_closed = true;
  line.end = kind == CloseKind::fin ? 0 : -ECONNRESET;
  if (kind == CloseKind::reset) line.arrived.clear();
  line.in_flight = {};
  line.taken = 0;
}

// ---- Pipes

class Simulated::PipeChannel final : public sim::Channel {
 public:
  PipeChannel(std::shared_ptr<PipeState> state, bool reads)
      : state_(std::move(state)), reads_(reads) {}
  ~PipeChannel() override { (reads_ ? state_->reader : state_->writer) = false; }
  Instant ready(Instant now) override { return now; }
  int32_t read(MutableBytes into) override {
    size_t count = std::min(into.size(), state_->held.size());
    if (count == 0) return state_->writer ? waits : 0;
    std::copy_n(state_->held.begin(), count, into.begin());
    state_->held.erase(0, count);
    return static_cast<int32_t>(count);
  }
  int32_t write(Bytes bytes) override {
    if (!state_->reader) return -EPIPE;
    size_t room = state_->held.size() < window ? window - state_->held.size() : 0;
    Bytes more = bytes.subspan(done_, std::min(room, bytes.size() - done_));
    state_->held.append(more.begin(), more.end());
    done_ += more.size();
    if (done_ < bytes.size()) return waits;
    done_ = 0;
    return static_cast<int32_t>(bytes.size());
  }

 private:
  std::shared_ptr<PipeState> state_;
  bool reads_;
  size_t done_ = 0;  // of the write under way
};

Pipe Simulated::pipe() {
  auto state = std::make_shared<PipeState>();
  Fd read_end = keep({.kind = Kind::read_end, .pipe = state});
  Fd write_end = keep({.kind = Kind::write_end, .pipe = state});
  return {std::move(read_end), std::move(write_end)};
}

std::unique_ptr<sim::Channel> Simulated::adopt(Fd fd) {
  Peer peer = std::move(at(fd));
  peers_.erase(fd.get());
  return std::make_unique<PipeChannel>(peer.pipe, peer.kind == Kind::read_end);
}

}  // namespace contract
