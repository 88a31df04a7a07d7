#include "ringdns/address.hpp"

#include <net/if.h>

#include <charconv>

namespace ringdns {

namespace {

// All digits, nothing else; 0 is no port.
std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || stop != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// An interface's name or number (RFC 4007 11.2).
std::optional<uint32_t> parse_scope(std::string_view text) {
  if (text.empty()) return std::nullopt;
  uint32_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && stop == text.data() + text.size()) return number;
  if (text.size() >= IF_NAMESIZE || text.find('\0') != text.npos) return std::nullopt;
  number = if_nametoindex(std::string(text).c_str());
  return number ? std::optional(number) : std::nullopt;
}

// inet_pton wants a terminated string, and would stop at a NUL that the text holds.
bool to_network(int family, std::string_view text, void* out) {
  char terminated[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof terminated || text.find('\0') != text.npos) return false;
  text.copy(terminated, text.size());
  terminated[text.size()] = '\0';
  return inet_pton(family, terminated, out) == 1;
}

std::optional<Address> parse_ipv4(std::string_view host, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (!to_network(AF_INET, host, &address.sin_addr)) return std::nullopt;
  return Address::from_sockaddr(&address, sizeof address);
}

std::optional<Address> parse_ipv6(std::string_view host, uint16_t port) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  const size_t percent = host.find('%');
  if (!to_network(AF_INET6, host.substr(0, percent), &address.sin6_addr)) return std::nullopt;
  if (percent != host.npos) {
    const auto scope = parse_scope(host.substr(percent + 1));
    // Elsewhere the kernel reports no scope, so nothing that comes back would ever match.
    if (!scope || !IN6_IS_ADDR_LINKLOCAL(&address.sin6_addr)) return std::nullopt;
    address.sin6_scope_id = *scope;
  }
  return Address::from_sockaddr(&address, sizeof address);
}

}  // namespace

std::optional<Address> Address::parse(std::string_view text, uint16_t default_port) {
  if (text.starts_with('[')) {
    const size_t bracket = text.find(']');
    if (bracket == text.npos) return std::nullopt;
    const std::string_view host = text.substr(1, bracket - 1), rest = text.substr(bracket + 1);
    if (rest.empty()) return parse_ipv6(host, default_port);
    const auto port = rest.starts_with(':') ? parse_port(rest.substr(1)) : std::nullopt;
    return port ? parse_ipv6(host, *port) : std::nullopt;
  }
  const size_t colon = text.find(':');
  if (colon == text.npos) return parse_ipv4(text, default_port);
  // A second colon: an IPv6 address, to which a port can be joined with brackets only.
  if (text.find(':', colon + 1) != text.npos) return parse_ipv6(text, default_port);
  const auto port = parse_port(text.substr(colon + 1));
  return port ? parse_ipv4(text.substr(0, colon), *port) : std::nullopt;
}

std::string Address::text() const {
  char host[INET6_ADDRSTRLEN] = "";
  inet_ntop(family(), octets().data(), host, sizeof host);
  std::string out = host;
  if (is_ipv6()) {
    char interface[IF_NAMESIZE];
    if (v6_.sin6_scope_id)
      out += '%' + (if_indextoname(v6_.sin6_scope_id, interface)
                        ? std::string(interface)
                        : std::to_string(v6_.sin6_scope_id));
    out = '[' + out + ']';
  }
  return out + ':' + std::to_string(port());
}

}  // namespace ringdns
