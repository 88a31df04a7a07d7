#include <cerrno>
#include <cstring>

#include "ringdns/transport.hpp"
#include "ringdns/wire.hpp"

namespace ringdns {

namespace {

// What the kernel charges to a socket's receive buffer for one small datagram.
constexpr uint32_t charge_per_reply = 1152;
constexpr uint32_t least_ports = 4;     // RFC 5452: the source port is half of the secret
constexpr uint32_t most_ports = 256;
constexpr uint32_t most_per_port = IdPool::capacity / 2;  // so that a free id is no rarity

}  // namespace

Udp::Udp(Io& io, Rng& rng, const Lookups& lookups, uint8_t socket_kind, uint8_t query_kind)
    : io_(io), rng_(rng), lookups_(lookups), socket_kind_(socket_kind), query_kind_(query_kind),
      arena_(batch_limit * max_query) {
  batch_.reserve(batch_limit);
}

std::string Udp::open(const Options& options, Families wanted) {
  uint32_t share = std::min(most_per_port, options.concurrency / least_ports + 1);
  wanted_buffer_ = options.receive_buffer.value_or(0);
  if (wanted_buffer_ == 0) wanted_buffer_ = std::max(share * charge_per_reply, 212992u);

  uint32_t needed = least_ports;
  for (uint32_t port = 0; port < needed; ++port) {
    Port opened;
    int error = 0;
    for (sa_family_t family : {AF_INET, AF_INET6}) {
      bool& want = family == AF_INET ? wanted.ipv4 : wanted.ipv6;
      if (!want) continue;
      Io::OpenedSocket socket = open_socket(options, family, port);
      if (!socket.id.valid()) {
        error = socket.error;
        if (port == 0) want = false;
        continue;
      }
      granted_ = socket.receive_buffer;
      (family == AF_INET ? opened.ipv4 : opened.ipv6) = socket.id;
    }
    if (!wanted.ipv4 && !wanted.ipv6)
      return std::string("cannot open a UDP socket: ") + std::strerror(error);
    // Out of descriptors or ports: fewer serve as well, only with smaller buffers between them.
    bool whole = wanted.ipv4 == opened.ipv4.valid() && wanted.ipv6 == opened.ipv6.valid();
    if (!whole) break;
    ports_.push_back(std::move(opened));
    if (port == 0) {
      uint32_t per_port = std::clamp(granted_ / charge_per_reply, 1u, most_per_port);
      needed = std::clamp((options.concurrency + per_port - 1) / per_port, least_ports, most_ports);
      if (!options.sources.empty() && wanted.ipv6) needed = most_ports;
      if (options.socket_count) needed = options.socket_count;
    }
  }
  families_ = wanted;
  spread_ = !options.sources.empty() && wanted.ipv6;
  if (uint64_t{ports_.size()} * IdPool::capacity < options.concurrency)
    return "-s " + std::to_string(options.concurrency) + " needs at least " +
           std::to_string(options.concurrency / IdPool::capacity + 1) +
           " sockets (65536 query ids each), got " + std::to_string(ports_.size());
  return {};
}

Io::OpenedSocket Udp::open_socket(const Options& options, sa_family_t family, uint32_t port) {
  SocketOptions socket;
  sockaddr_storage any{};
  any.ss_family = family;
  socket.bind = Address::from_sockaddr(&any, sizeof any);
  // With several addresses to bind to, the ports take turns.
  std::vector<Address> candidates;
  for (const Address& address : options.bind)
    if (address.family() == family) candidates.push_back(address);
  if (!candidates.empty()) socket.bind = candidates[port % candidates.size()];
  // A fixed port can be bound once only; further sockets on that address take the kernel's choice.
  if (port >= std::max<size_t>(candidates.size(), 1)) socket.bind.set_port(0);
  socket.foreign = family == AF_INET6 && !options.sources.empty();
  if (socket.foreign) socket.bind = draw_source(options.sources, rng_);
  socket.receive_buffer = wanted_buffer_;
  socket.send_buffer = options.send_buffer.value_or(0);
  return io_.open_datagram_socket(socket, {port, 0, socket_kind_});
}

void Udp::acquire(uint32_t slot, Lookup& lookup) {
  if (spread_) current_port_ = rng_.below(static_cast<uint32_t>(ports_.size()));
  while (ports_[current_port_].ids.available() == 0)
    current_port_ = rng_.below(static_cast<uint32_t>(ports_.size()));
  lookup.port = static_cast<uint16_t>(current_port_);
  lookup.id = ports_[current_port_].ids.acquire(rng_, slot);
}

void Udp::release(const Lookup& lookup) { ports_[lookup.port].ids.release(lookup.id); }

void Udp::add(uint32_t slot, const Lookup& lookup, const Address& to, const Query& query) {
  MutableBytes out(arena_.data() + arena_used_, max_query);
  size_t length = encode_query(query, out);
  arena_used_ += length;
  const Port& port = ports_[lookup.port];
  batch_.push_back({to.is_ipv4() ? port.ipv4 : port.ipv6,
                    {slot, lookup.generation, query_kind_},
                    &to,
                    out.first(length)});
}

uint32_t Udp::flush() {
  uint32_t sent = static_cast<uint32_t>(batch_.size());
  if (sent) io_.send_datagrams(batch_);
  batch_.clear();
  arena_used_ = 0;
  current_port_ = rng_.below(static_cast<uint32_t>(ports_.size()));
  return sent;
}

const Udp::Port* Udp::port_of(const Completion& completion) const {
  return completion.token.slot < ports_.size() ? &ports_[completion.token.slot] : nullptr;
}

Udp::Match Udp::match(const Completion& completion) const {
  if (completion.bytes.size() < header_size) return {Verdict::runt};
  Header header(completion.bytes);
  if (!header.qr() || header.opcode() != 0) return {Verdict::not_a_reply};
  const Port* port = port_of(completion);
  uint32_t slot = port ? port->ids.holder(header.id()) : IdPool::none;
  if (slot == IdPool::none) return {Verdict::unknown_id};
  switch (match_question(completion.bytes, lookups_.name(slot).bytes(), lookups_.at(slot).type)) {
    case QuestionMatch::same: return {Verdict::match, slot};
    case QuestionMatch::absent: return {Verdict::header_only, slot};
    case QuestionMatch::other: break;
  }
  return {Verdict::wrong_question, slot};
}

uint32_t Udp::match_quoted(const Completion& completion) const {
  const Port* port = port_of(completion);
  if (!port || completion.bytes.size() < header_size) return Lookups::none;
  uint32_t slot = port->ids.holder(Header(completion.bytes).id());
  if (slot == IdPool::none) return Lookups::none;
  // The quote may be cut short; what there is of the question must be ours.
  Bytes quoted = completion.bytes.subspan(header_size);
  Bytes name = lookups_.name(slot).bytes();
  size_t length = std::min(quoted.size(), name.size());
  return std::equal(name.begin(), name.begin() + length, quoted.begin()) ? slot : Lookups::none;
}

}  // namespace ringdns
