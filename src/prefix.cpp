#include "ringdns/prefix.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace ringdns {
namespace {

// Puts fill(octet) where the prefix leaves it open.
template <class Fill>
Address filled(Address address, unsigned length, Fill fill) {
  std::array<uint8_t, 16> octets{};
  const size_t size = address.octets().size();
  std::copy_n(address.octets().begin(), size, octets.begin());
  for (size_t at = length / 8; at < size; ++at) {
    const unsigned open = at == length / 8 ? 0xffu >> length % 8 : 0xffu;
    octets[at] = static_cast<uint8_t>((octets[at] & ~open) | (fill() & open));
  }
  address.set_octets(octets);
  return address;
}

}  // namespace

std::optional<Prefix> parse_prefix(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const std::string host(text.substr(0, slash));
  const std::string_view length = text.substr(slash + 1);

  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  const bool is_v4 = inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1;
  if (!is_v4 && inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) return std::nullopt;

  Prefix prefix;
  const auto [stop, error] =
      std::from_chars(length.data(), length.data() + length.size(), prefix.length);
  if (error != std::errc() || stop != length.data() + length.size() ||
      prefix.length > (is_v4 ? 32 : 128))
    return std::nullopt;
  prefix.address = is_v4 ? Address::from_sockaddr(&v4, sizeof v4)
                         : Address::from_sockaddr(&v6, sizeof v6);
  prefix.address = filled(prefix.address, prefix.length, [] { return 0u; });
  return prefix;
}

Address draw_address(const Prefix& prefix, Rng& rng) {
  return filled(prefix.address, prefix.length, [&] { return rng.next(); });
}

}  // namespace ringdns
