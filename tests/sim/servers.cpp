// Queries and replies over UDP.
#include "servers.hpp"

#include <algorithm>
#include <cerrno>

#include "ringdns/codes.hpp"

namespace sim {

namespace {

constexpr size_t header_size = 12;
constexpr uint8_t tc_bit = 2;

Address neighbour(const Address& address, uint8_t bit) {
  Address other = address;
  uint8_t bytes[sizeof(Address)];
  std::memcpy(bytes, other.data(), other.size());
  bytes[other.is_ipv4() ? offsetof(sockaddr_in, sin_addr) + 2
                        : offsetof(sockaddr_in6, sin6_addr) + 10] ^= bit;
  return Address::from_sockaddr(bytes, other.size());
}

uint8_t fold(uint8_t octet) { return octet >= 'A' && octet <= 'Z' ? octet | 0x20 : octet; }

}  // namespace

Servers::Servers(const Scenario& scenario, const Options& options, Trace& trace, Live live)
    : scenario_(scenario), options_(options), trace_(trace), live_(std::move(live)),
      dice_(scenario.seed, Stream::network), faults_(scenario.faults),
      plan_(responder::parse_plan(scenario.plan)),
      calm_plan_(responder::parse_plan("* delay 1ms answer\n")) {
  if (!plan_.error.empty()) violation("the plan: %s", plan_.error.c_str());
  auto plans = plan_.plan.for_listeners(scenario.servers.size());
  for (size_t n = 0; n < scenario.servers.size(); ++n) {
    servers_.push_back({scenario.servers[n], {plans[n], scenario.seed, n}});
    by_address_[scenario.servers[n]] = static_cast<uint32_t>(n);
  }
}

void Servers::calm() {
  trace_.say("calm", "all faults are off");
  calm_ = true;
  faults_ = Faults();
  auto plans = calm_plan_.plan.for_listeners(servers_.size());
  for (size_t n = 0; n < servers_.size(); ++n)
    servers_[n].listener = responder::ListenerState(plans[n], scenario_.seed, n);
}

Duration Servers::slack() {
  if (dice_.chance(faults_.hiccup)) return dice_.time(5ms, 2s);
  return dice_.time(1us, scenario_.slack + 2us);
}

Servers::Server* Servers::server_at(const Address& address) {
  auto found = by_address_.find(address);
  return found == by_address_.end() ? nullptr : &servers_[found->second];
}

uint32_t Servers::ordinal_of(std::string_view label) {
  uint32_t ordinal = 0;
  if (label.size() < 2 || (label[0] | 0x20) != 'w') return UINT32_MAX;
  for (char c : label.substr(1)) {
    if (c == '.') break;
    if (c < '0' || c > '9') return UINT32_MAX;
    ordinal = ordinal * 10 + static_cast<uint32_t>(c - '0');
  }
  return ordinal;
}

// ---- What the engine sends

void Servers::check_query(Bytes message) {
  if (query_.parse(message) != responder::QueryState::good)
    violation("the engine sent what is no query: %s", describe(message).c_str());
  Bytes name = query_.name();
  std::string_view label(reinterpret_cast<const char*>(name.data()) + 1, name[0]);
  if (ordinal_of(label) >= scenario_.names.size())
    violation("the engine asked for what nobody asked it: %s", describe(message).c_str());
}

// An id that is out may not be given to another lookup: a reply could be either's.
void Servers::check_id(uint32_t socket, const Datagram& datagram) {
  uint64_t key = uint64_t{socket} << 16 | load_u16(datagram.bytes.data());
  auto [owner, added] = owners_.try_emplace(key, datagram.token);
  bool same = owner->second.slot == datagram.token.slot &&
              owner->second.generation == datagram.token.generation;
  if (!added && !same && live_(owner->second))
    violation("an id is in flight twice on one socket: %s", describe(datagram.bytes).c_str());
  owner->second = datagram.token;
}

int32_t Servers::on_datagram(uint32_t socket, const Datagram& datagram) {
  check_query(datagram.bytes);
  check_id(socket, datagram);
  constexpr int32_t full[] = {-EAGAIN, -ENOBUFS, -ENOMEM};
  constexpr int32_t errors[] = {-EPERM, -ENETUNREACH, -EHOSTUNREACH, -EINVAL};
  if (dice_.chance(faults_.queue_full)) return dice_.pick(full);
  if (dice_.chance(faults_.send_error)) return dice_.pick(errors);
  if (trace_.on())
    trace_.say("udp ->", "%s %s", datagram.to->text().c_str(), describe(datagram.bytes).c_str());
  Server* server = server_at(*datagram.to);
  if (!server) return 0;
  if (dice_.chance(faults_.query_lost)) {
    trace_.say("fault", "that query is lost");
    return 0;
  }
  bool shut = server->listener.plan->settings.udp == responder::Door::refuse;
  if (shut || dice_.chance(faults_.unreachable)) refuse(socket, datagram);
  else answer(socket, datagram, *server);
  return 0;
}

void Servers::refuse(uint32_t socket, const Datagram& datagram) {
  message_.assign(datagram.bytes.begin(), datagram.bytes.end());
  if (dice_.chance(0.5)) message_.resize(dice_.between(8, static_cast<uint32_t>(message_.size())));
  if (dice_.chance(faults_.wrong_quote))
    message_[dice_.below(static_cast<uint32_t>(message_.size()))] ^= 0x11;
  constexpr int errors[] = {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH};
  io_->deliver_unreachable(socket, io_->now() + latency(), *datagram.to, message_,
                           dice_.pick(errors));
}

void Servers::answer(uint32_t socket, const Datagram& datagram, Server& server) {
  actions_.clear();
  responder::on_datagram(server.listener, query_, datagram.bytes, io_->now(), actions_);
  for (const responder::Action& action : actions_.list) reply(socket, datagram, action);
  if (dice_.chance(faults_.garbage)) {
    forgery_.resize(dice_.below(80));
    for (uint8_t& octet : forgery_) octet = static_cast<uint8_t>(dice_.below(256));
    io_->deliver_datagram(socket, io_->now() + latency(), server.address, forgery_);
  }
}

// ---- What comes back

void Servers::reply(uint32_t socket, const Datagram& datagram, const responder::Action& action) {
  Bytes bytes = actions_.of(action);
  message_.assign(bytes.begin(), bytes.end());
  Address from = *datagram.to;
  if (action.source == responder::Source::other_port)
    from.set_port(static_cast<uint16_t>(from.port() + 1));
  if (action.source == responder::Source::other_address) from = neighbour(from, 0x40);
  if (action.source != responder::Source::own || !may_be_believed(datagram.bytes)) mark(message_);

  Instant at = io_->now() + latency() + action.delay;
  if (dice_.chance(faults_.reordered)) at += dice_.time(0us, 4 * scenario_.latency + 5ms);
  if (dice_.chance(faults_.late)) at += dice_.time(50ms, 4s);
  forge(socket, from, at);
  if (dice_.chance(faults_.lost)) return trace_.say("fault", "its reply is lost");
  if (dice_.chance(faults_.corrupted) && !message_.empty()) {
    trace_.say("fault", "bits of its reply are flipped");
    Bytes name = query_.name();
    tainted_.insert(ordinal_of({reinterpret_cast<const char*>(name.data()) + 1, name[0]}));
    for (uint32_t flips = dice_.between(1, 3); flips > 0; --flips)
      message_[dice_.below(static_cast<uint32_t>(message_.size()))] ^=
          static_cast<uint8_t>(1u << dice_.below(8));
  }
  if (dice_.chance(faults_.cut))
    message_.resize(dice_.below(static_cast<uint32_t>(message_.size() + 1)));
  io_->deliver_datagram(socket, at, from, message_);
  if (dice_.chance(faults_.doubled))
    io_->deliver_datagram(socket, at + dice_.time(0us, 200ms), from, message_);
}

// What somebody off the path, or a broken box on it, sends ahead of the reply.
void Servers::forge(uint32_t socket, const Address& from, Instant at) {
  bool source = dice_.chance(faults_.forged_source), id = dice_.chance(faults_.forged_id),
       port = dice_.chance(faults_.forged_port);
  if (!source && !id && !port) return;
  if (message_.size() < header_size) return;
  forgery_ = message_;
  mark(forgery_);
  if (source) io_->deliver_datagram(socket, at, neighbour(from, 0x20), forgery_);
  uint32_t other = dice_.below(io_->sockets());
  bool fits = other != socket && io_->local_of(other).family() == from.family();
  if (port && fits) io_->deliver_datagram(other, at, from, forgery_);
  if (!id) return;
  for (uint32_t count = dice_.between(1, 3); count > 0; --count) {
    store_u16(forgery_.data(), static_cast<uint16_t>(load_u16(message_.data()) +
                                                     dice_.between(1, 65535)));
    io_->deliver_datagram(socket, at, from, forgery_);
  }
}

// Is message_ what a careful resolver may take for the whole reply to that query?
bool Servers::may_be_believed(Bytes query) const {
  if (message_.size() < header_size) return false;
  bool heads = message_[0] == query[0] && message_[1] == query[1] && (message_[2] & 0xf8) == 0x80 &&
               (message_[2] & tc_bit) == 0 && load_u16(&message_[4]) == 1;
  size_t end = query_.question_end;
  if (!heads || message_.size() < end) return false;
  return std::equal(message_.begin() + header_size, message_.begin() + static_cast<ptrdiff_t>(end),
                    query.begin() + header_size,
                    [](uint8_t a, uint8_t b) { return fold(a) == fold(b); });
}

// Its addresses become ones that no honest answer has, so that believing it shows.
void Servers::mark(MutableBytes message) {
  if (message.size() < header_size) return;
  size_t at = header_size;
  auto skip_name = [&] {
    while (at < message.size() && message[at] != 0 && message[at] < 64) at += 1 + message[at];
    at += at < message.size() && message[at] >= 64 ? 2 : 1;
  };
  for (uint32_t count = load_u16(&message[4]); count > 0 && at < message.size(); --count) {
    skip_name();
    at += 4;
  }
  for (uint32_t count = load_u16(&message[6]); count > 0; --count) {
    skip_name();
    if (at + 10 > message.size()) return;
    uint16_t type = load_u16(&message[at]), length = load_u16(&message[at + 8]);
    at += 10;
    if (at + length > message.size()) return;
    if (type == type::a || type == type::aaaa)
      std::fill_n(message.begin() + static_cast<ptrdiff_t>(at), length, uint8_t{6});
    at += length;
  }
}

}  // namespace sim
