// Level 2: a network prefix, parsed, and an address drawn from it.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "ringdns/address.hpp"
#include "ringdns/rng.hpp"

namespace ringdns {

struct Prefix {
  Address address;  // port 0; the bits beyond the prefix are zero
  uint8_t length = 0;
};

// "192.0.2.0/24", "2001:db8::/56"
std::optional<Prefix> parse_prefix(std::string_view text);

// Port 0; the bits beyond the prefix are random.
Address draw_address(const Prefix& prefix, Rng& rng);

// From one of them, which are not none.
inline Address draw_source(const std::vector<Prefix>& prefixes, Rng& rng) {
  return draw_address(prefixes[rng.below(static_cast<uint32_t>(prefixes.size()))], rng);
}

}  // namespace ringdns
