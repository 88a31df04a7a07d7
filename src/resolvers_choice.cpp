#include <algorithm>

#include "ringdns/resolvers.hpp"

namespace ringdns {

namespace {
constexpr Duration plain_memory = std::chrono::seconds(300);
}

Resolvers::Resolvers(std::vector<Address> addresses)
    : addresses_(std::move(addresses)), plain_until_(addresses_.size()) {
  ensure(!addresses_.empty(), "a run has resolvers");
}

uint32_t Resolvers::choose(Rng& rng, std::span<const uint32_t> avoid) const {
  // With few resolvers only the latest of those to avoid can be avoided.
  avoid = avoid.first(std::min<size_t>(avoid.size(), size() - 1));
  uint32_t index = rng.below(size());
  while (std::find(avoid.begin(), avoid.end(), index) != avoid.end()) index = (index + 1) % size();
  return index;
}

void Resolvers::remember_plain(uint32_t index, Instant now) {
  plain_until_[index] = now + plain_memory;
}

}  // namespace ringdns
