// Level 1: an IPv4 or IPv6 transport address.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "ringdns/base.hpp"

namespace ringdns {

// 28 bytes: the larger of the two sockaddr forms, zero beyond the family's own length.
class Address {
 public:
  Address() { std::memset(&v6_, 0, sizeof v6_); }
  static Address from_sockaddr(const void* sockaddr, size_t length) {
    Address address;
    std::memcpy(&address.v6_, sockaddr, length < sizeof v6_ ? length : sizeof v6_);
    return address;
  }

  // "192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:53", "[2001:db8::1]",
  // "fe80::1%eth0". Nothing else; no names are resolved.
  static std::optional<Address> parse(std::string_view text, uint16_t default_port);

  sa_family_t family() const { return v6_.sin6_family; }
  bool is_ipv4() const { return family() == AF_INET; }
  bool is_ipv6() const { return family() == AF_INET6; }
  uint16_t port() const { return ntohs(v6_.sin6_port); }  // same offset in both forms
  void set_port(uint16_t port) { v6_.sin6_port = htons(port); }

  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&v6_); }
  // The address alone, in network order: 4 or 16 octets.
  Bytes octets() const {
    if (is_ipv4()) return {reinterpret_cast<const uint8_t*>(&v4_.sin_addr), 4};
    return {reinterpret_cast<const uint8_t*>(&v6_.sin6_addr), 16};
  }
  socklen_t size() const { return is_ipv4() ? sizeof(sockaddr_in) : sizeof(sockaddr_in6); }
  // As many as octets() has.
  void set_octets(Bytes octets) {
    if (is_ipv4()) std::memcpy(&v4_.sin_addr, octets.data(), 4);
    else std::memcpy(&v6_.sin6_addr, octets.data(), 16);
  }

  // "192.0.2.1:53", "[2001:db8::1]:53"
  std::string text() const;

  // Of what == compares.
  size_t hash() const {
    std::array<uint64_t, 3> words{};
    if (is_ipv4()) {
      words[0] = v4_.sin_addr.s_addr;
    } else {
      std::memcpy(words.data(), &v6_.sin6_addr, 16);
      words[2] = v6_.sin6_scope_id;
    }
    uint64_t h = port();
    for (uint64_t word : words) {
      h = (h ^ word) * 0x9e3779b97f4a7c15;  // 2^64 / golden ratio: spreads neighbours apart
      h ^= h >> 32;
    }
    return h;
  }

  // Family, address, port and scope; never the flow label, which a peer may set.
  friend bool operator==(const Address& a, const Address& b) {
    if (a.family() != b.family() || a.v6_.sin6_port != b.v6_.sin6_port) return false;
    if (a.is_ipv4()) return a.v4_.sin_addr.s_addr == b.v4_.sin_addr.s_addr;
    return std::memcmp(&a.v6_.sin6_addr, &b.v6_.sin6_addr, 16) == 0 &&
           a.v6_.sin6_scope_id == b.v6_.sin6_scope_id;
  }

 private:
  union {
    sockaddr_in v4_;
    sockaddr_in6 v6_;
  };
};

static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
static_assert(sizeof(Address) == 28);

}  // namespace ringdns
