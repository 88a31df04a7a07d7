// Time, datagrams, and what completions lend.
#include "kernel.hpp"

#include <sanitizer/asan_interface.h>

#include <cerrno>

namespace sim {

namespace {
constexpr size_t lent_block = 4 * SimIo::most_octets;
constexpr size_t most_told = 512;  // completions a turn, about
constexpr uint8_t stale_octet = 0xdb;
constexpr UnixTime wall_epoch{std::chrono::seconds(1'700'000'000)};
}  // namespace

// ---- What completions lend, and what the engine lends

// Whoever still reads what an earlier turn lent reads rubbish, or has AddressSanitizer at his neck.
void SimIo::retire() {
  for (size_t block = 0; block < lent_blocks_; ++block) {
    size_t used = block + 1 == lent_blocks_ ? lent_used_ : lent_block;
    ASAN_UNPOISON_MEMORY_REGION(lent_[block].data(), used);
    std::memset(lent_[block].data(), stale_octet, used);
    ASAN_POISON_MEMORY_REGION(lent_[block].data(), lent_block);
  }
  lent_blocks_ = lent_used_ = 0;
  for (size_t i = 0; i < lent_addresses_used_; ++i) lent_addresses_[i] = Address();
  lent_addresses_used_ = 0;
  completions_.clear();
}

Bytes SimIo::lend(Bytes bytes) {
  if (lent_blocks_ == 0 || lent_block - lent_used_ < bytes.size()) {
    if (lent_blocks_ == lent_.size()) lent_.emplace_back(lent_block);
    ++lent_blocks_;
    lent_used_ = 0;
  }
  uint8_t* at = lent_[lent_blocks_ - 1].data() + lent_used_;
  ASAN_UNPOISON_MEMORY_REGION(at, bytes.size());
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  // To the next multiple of 8, which is what AddressSanitizer's marks are good for.
  lent_used_ = std::min((lent_used_ + bytes.size() + 7) & ~size_t{7}, lent_block);
  return {at, bytes.size()};
}

uint32_t SimIo::pack(Bytes bytes, const Address& address, Token token) {
  uint32_t packet = static_cast<uint32_t>(packets_.size());
  if (free_packets_.empty()) {
    packets_.emplace_back();
  } else {
    packet = free_packets_.back();
    free_packets_.pop_back();
  }
  packets_[packet].octets.assign(bytes.begin(), bytes.end());
  packets_[packet].address = address;
  packets_[packet].token = token;
  return packet;
}

void SimIo::begin(Operation& operation, Bytes bytes, Token token, const char* what) {
  if (operation.under_way) violation("two operations at once: %s", what);
  operation.under_way = true;
  operation.token = token;
  operation.bytes = bytes;
  operation.copy.assign(bytes.begin(), bytes.end());
}

void SimIo::check_unchanged(const Operation& operation) {
  if (!std::equal(operation.copy.begin(), operation.copy.end(), operation.bytes.begin()))
    violation("octets were changed while their write was in flight");
}

// ---- Datagrams

Io::OpenedSocket SimIo::open_datagram_socket(const SocketOptions& options, Token token) {
  OpenedSocket opened;
  opened.error = world_.on_open_socket(options);
  if (opened.error) return opened;
  Address local = options.bind;
  if (local.port() == 0) local.set_port(static_cast<uint16_t>(first_port + sockets_.size()));
  if (socket_at(local) != none) {
    opened.error = EADDRINUSE;
    return opened;
  }
  opened.id = SocketId{static_cast<uint32_t>(sockets_.size())};
  opened.receive_buffer = options.receive_buffer ? options.receive_buffer : 212992;
  opened.local = local;
  sockets_.push_back({local, token});
  return opened;
}

uint32_t SimIo::socket_at(const Address& local) const {
  for (uint32_t id = 0; id < sockets_.size(); ++id)
    if (sockets_[id].local == local) return id;
  return none;
}

void SimIo::send_datagrams(std::span<const Datagram> batch) {
  for (const Datagram& datagram : batch) {
    if (datagram.socket.v >= sockets_.size()) violation("a datagram for no socket");
    handed_.push_back({datagram, handed_copy_.size()});
    handed_copy_.insert(handed_copy_.end(), datagram.bytes.begin(), datagram.bytes.end());
  }
}

// As late as the contract allows, so that whoever uses its memory again too soon is found out.
void SimIo::hand_over() {
  for (const Handed& handed : handed_) {
    const Datagram& datagram = handed.datagram;
    if (!std::equal(datagram.bytes.begin(), datagram.bytes.end(),
                    handed_copy_.begin() + static_cast<ptrdiff_t>(handed.copy_at)))
      violation("a datagram's octets were changed before the next wait");
    int32_t result = world_.on_datagram(datagram.socket.v, datagram);
    if (result == 0) {
      ++counts_.datagrams_sent;
      continue;
    }
    ++counts_.sends_failed;
    trace_.say("refused", "%s: errno %d", describe(datagram.bytes).c_str(), -result);
    schedule(now_, {Kind::send_failed, datagram.socket.v, 0,
                    pack({}, {}, datagram.token), result});
  }
  handed_.clear();
  handed_copy_.clear();
}

void SimIo::deliver_datagram(uint32_t socket, Instant at, const Address& from, Bytes bytes) {
  schedule(at, {Kind::datagram, socket, 0, pack(bytes, from), 0});
}

void SimIo::deliver_unreachable(uint32_t socket, Instant at, const Address& to, Bytes quoted,
                                int error) {
  schedule(at, {Kind::unreachable, socket, 0, pack(quoted, to), -error});
}

void SimIo::call_world(Instant at, uint32_t cookie) {
  schedule(at, {Kind::world, cookie, 0, none, 0});
}

// ---- Time

Turn SimIo::wait(Instant deadline, uint32_t) {
  ++turns_;
  retire();
  hand_over();
  bool looked_only = deadline <= now_;
  for (;;) {
    for (uint32_t id : readable_) tell_arrived(id);
    readable_.clear();
    if (!completions_.empty()) break;
    Instant next = events_.next();
    if (next > std::max(deadline, now_)) {  // a deadline that is past: a look at what is there
      now_ = std::max(now_, deadline);
      break;
    }
    if (next == Instant::max()) violation("nothing will ever happen, and the engine waits for it");
    now_ = std::max(now_, next) + world_.slack();
    trace_.at(now_);
    Happening event;
    while (completions_.size() < most_told && events_.take(now_, event)) run(event);
  }
  trace_.at(now_);
  idle_turns_ = looked_only && completions_.empty() ? idle_turns_ + 1 : 0;
  if (idle_turns_ > 5000) violation("the engine spins");
  return {now_, wall_epoch + (now_ - epoch), completions_};
}

void SimIo::run(const Happening& event) {
  switch (event.kind) {
    case Kind::world: return world_.on_timer(event.id);
    case Kind::read: return complete_stream(event, true);
    case Kind::write: return complete_stream(event, false);
    case Kind::connected:
    case Kind::bytes:
    case Kind::end:
    case Kind::written:
    case Kind::closed: return run_connection(event, connections_[event.id]);
    case Kind::datagram:
    case Kind::unreachable:
    case Kind::send_failed: break;
  }
  const Packet& packet = packets_[event.packet];
  Completion completion{};
  completion.token = sockets_[event.id].token;
  if (event.kind == Kind::send_failed) {
    completion.event = Event::send_failed;
    completion.token = packet.token;
    completion.result = event.result;
  } else {
    constexpr size_t most_datagram = 4096;  // what the contract promises to be whole
    bool is_datagram = event.kind == Kind::datagram;
    Bytes bytes(packet.octets);
    completion.cut = is_datagram && bytes.size() > most_datagram;
    completion.event = is_datagram ? Event::datagram : Event::unreachable;
    completion.bytes = lend(bytes.first(std::min(bytes.size(), most_datagram)));
    completion.result = is_datagram ? static_cast<int32_t>(completion.bytes.size()) : event.result;
    if (lent_addresses_used_ == lent_addresses_.size()) lent_addresses_.emplace_back();
    lent_addresses_[lent_addresses_used_] = packet.address;
    completion.from = &lent_addresses_[lent_addresses_used_++];
    counts_.datagrams_received += is_datagram;
    if (trace_.on())
      trace_.say(is_datagram ? "udp <-" : "icmp <-", "%s %s", packet.address.text().c_str(),
                 describe(bytes).c_str());
  }
  unpack(event.packet);
  tell(completion);
}

}  // namespace sim
