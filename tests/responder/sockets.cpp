#include "sockets.hpp"

#include <cerrno>
#include <cstring>

namespace responder {
namespace {

constexpr int udp_buffer = 64 << 20;
constexpr int tcp_backlog = 4096;
constexpr int attempts = 100;  // of finding a port that is free for UDP and TCP alike

void set(int fd, int level, int option, int value) {
  setsockopt(fd, level, option, &value, sizeof value);
}

Fd open_bound(int type, const Address& address) {
  Fd fd(socket(address.family(), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return fd;
  // For a fixed port that an earlier run left in TIME_WAIT.
  if (type == SOCK_STREAM) set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (bind(fd.get(), address.data(), address.size()) != 0) fd.reset();
  return fd;
}

Address bound_address(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length);
  return Address::from_sockaddr(&storage, length);
}

void size_buffers(int fd) {
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &udp_buffer, sizeof udp_buffer) != 0)
    set(fd, SOL_SOCKET, SO_RCVBUF, udp_buffer);
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &udp_buffer, sizeof udp_buffer) != 0)
    set(fd, SOL_SOCKET, SO_SNDBUF, udp_buffer);
}

// A socket that holds the port but takes no datagram: it is connected to a peer that never
// speaks, so the kernel answers everybody else with port unreachable.
bool close_udp_door(int fd, Address self) {
  self.set_port(1);
  return connect(fd, self.data(), self.size()) == 0;
}

// A backlog of one, filled by a connection of our own: further SYNs are dropped unanswered.
bool make_blackhole(Listener& listener) {
  if (listen(listener.tcp.get(), 0) != 0) return false;
  listener.filler = Fd(socket(listener.address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  return listener.filler.valid() && connect(listener.filler.get(), listener.address.data(),
                                            listener.address.size()) == 0;
}

// False, with errno, when the port is not to be had for both.
bool open_pair(Listener& listener) {
  Address address = listener.address;
  listener.udp = open_bound(SOCK_DGRAM, address);
  if (!listener.udp.valid()) return false;
  if (address.port() == 0) address.set_port(bound_address(listener.udp.get()).port());
  listener.tcp = open_bound(SOCK_STREAM, address);
  return listener.tcp.valid();
}

bool open_doors(Listener& listener) {
  const ListenerSettings& settings = listener.state.plan->settings;
  listener.address = bound_address(listener.udp.get());
  size_buffers(listener.udp.get());
  if (settings.udp == Door::refuse && !close_udp_door(listener.udp.get(), listener.address))
    return false;
  switch (settings.tcp) {
    case Door::refuse: return true;  // bound and not listening: RST
    case Door::blackhole: return make_blackhole(listener);
    case Door::open: return listen(listener.tcp.get(), tcp_backlog) == 0;
  }
  return false;
}

bool open_one(Listener& listener) {
  for (int attempt = 0; attempt < attempts; ++attempt) {
    if (open_pair(listener)) return open_doors(listener);
    if (errno != EADDRINUSE || listener.address.port() != 0) return false;
  }
  return false;
}

bool open_all_on(std::vector<Listener>& listeners, uint16_t port) {
  for (Listener& listener : listeners) {
    listener.address.set_port(port);
    if (!open_pair(listener)) return false;
    port = bound_address(listener.udp.get()).port();
  }
  return true;
}

// All on one port: when it is taken on any address, all start anew.
bool open_on_one_port(std::vector<Listener>& listeners) {
  uint16_t wanted = listeners[0].address.port();
  for (int attempt = 0; attempt < attempts; ++attempt) {
    if (open_all_on(listeners, wanted)) {
      for (Listener& listener : listeners)
        if (!open_doors(listener)) return false;
      return true;
    }
    int error = errno;
    for (Listener& listener : listeners) listener.udp.reset(), listener.tcp.reset();
    errno = error;
    if (error != EADDRINUSE || wanted != 0) return false;
  }
  return false;
}

Address make_ipv4(uint32_t address, uint16_t port) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(address);
  in.sin_port = htons(port);
  return Address::from_sockaddr(&in, sizeof in);
}

}  // namespace

int Listener::socket_for(Source source) {
  if (source == Source::own) return udp.get();
  Fd& fd = source == Source::other_port ? other_port : other_address;
  if (!fd.valid()) {
    Address from = address;
    // IPv6 has one loopback address only, so there another port must do.
    if (source == Source::other_address && address.is_ipv4()) {
      uint32_t own = ringdns::load_u32(address.octets().data());
      from = make_ipv4(own ^ 0x00800000, address.port());
    } else {
      from.set_port(0);
    }
    fd = open_bound(SOCK_DGRAM, from);
    if (!fd.valid()) {
      from.set_port(0);
      fd = open_bound(SOCK_DGRAM, from);
    }
  }
  return fd.valid() ? fd.get() : udp.get();
}

std::optional<Address> parse_loopback(View text) {
  View host = text, port;
  size_t colon = text.rfind(':');
  bool bracketed = text.starts_with('[');
  if (bracketed) {
    size_t end = text.find(']');
    if (end == text.npos) return {};
    host = text.substr(1, end - 1);
    if (end + 1 < text.size()) {
      if (text[end + 1] != ':') return {};
      port = text.substr(end + 2);
    }
  } else if (colon != text.npos && text.find(':') == colon) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  auto number = port.empty() ? std::optional<uint64_t>(0) : parse_number(port, 65535);
  if (!number) return {};
  std::string name(host);
  in_addr v4;
  if (inet_pton(AF_INET, name.c_str(), &v4) == 1) {
    uint32_t address = ntohl(v4.s_addr);
    if (address >> 24 != 127) return {};
    return make_ipv4(address, static_cast<uint16_t>(*number));
  }
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(static_cast<uint16_t>(*number));
  if (inet_pton(AF_INET6, name.c_str(), &in6.sin6_addr) != 1 ||
      !IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr))
    return {};
  return Address::from_sockaddr(&in6, sizeof in6);
}

std::string address_text(const Address& address) {
  char host[INET6_ADDRSTRLEN] = "";
  inet_ntop(address.family(), address.octets().data(), host, sizeof host);
  std::string text = address.is_ipv6() ? "[" : "";
  text.append(host).append(address.is_ipv6() ? "]:" : ":");
  return text.append(std::to_string(address.port()));
}

Address numbered_address(size_t number) {
  constexpr size_t per_block = 250;
  uint32_t index = static_cast<uint32_t>(number - 1);
  uint32_t block = 1 + index / per_block, place = 1 + index % per_block;
  return make_ipv4(127u << 24 | block << 8 | place, 0);
}

std::string open_listeners(std::vector<Listener>& listeners, bool one_port) {
  auto failure = [](const Listener& listener) {
    return address_text(listener.address) + ": " + std::strerror(errno);
  };
  if (one_port) return open_on_one_port(listeners) ? "" : failure(listeners[0]);
  for (Listener& listener : listeners)
    if (!open_one(listener)) return failure(listener);
  return {};
}

}  // namespace responder
