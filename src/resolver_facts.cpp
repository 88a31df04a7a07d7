#include "ringdns/resolver_facts.hpp"

#include <bit>

namespace ringdns {

namespace {
constexpr size_t first_octave = 6;  // 64 us

// All of it is counters, so it is summed as such: none can be forgotten.
constexpr size_t words = offsetof(ResolverCounts, rtt) / sizeof(uint64_t);
}  // namespace

size_t RttHistogram::index_of(uint64_t us) {
  if (us < uint64_t{1} << first_octave) return 0;
  size_t octave = static_cast<size_t>(std::bit_width(us)) - 1;
  return std::min((octave - first_octave) * 2 + (us >> (octave - 1) & 1), size - 1);
}

uint64_t RttHistogram::upper_bound_us(size_t index) {
  return (uint64_t{3 + (index & 1)} << (index / 2 + first_octave - 1)) - 1;
}

uint64_t RttHistogram::total() const {
  uint64_t sum = 0;
  for (uint32_t count : counts) sum += count;
  return sum;
}

uint64_t RttHistogram::percentile_us(double share) const {
  uint64_t all = total(), below = 0;
  if (all == 0) return 0;
  uint64_t wanted = std::max<uint64_t>(1, static_cast<uint64_t>(share * static_cast<double>(all)));
  size_t index = 0;
  while ((below += counts[index]) < wanted) ++index;
  return upper_bound_us(index);
}

void ResolverCounts::add(const ResolverCounts& other) {
  auto sum = std::bit_cast<std::array<uint64_t, sizeof(ResolverCounts) / sizeof(uint64_t)>>(*this);
  auto addend = std::bit_cast<decltype(sum)>(other);
  for (size_t i = 0; i < words; ++i) sum[i] += addend[i];
  RttHistogram both = rtt;
  for (size_t i = 0; i < RttHistogram::size; ++i) both.counts[i] += other.rtt.counts[i];
  *this = std::bit_cast<ResolverCounts>(sum);
  rtt = both;
}

std::string_view name(ResolverState state) {
  static constexpr std::array<std::string_view, 3> names{"working", "resting", "on trial"};
  return names[static_cast<size_t>(state)];
}

}  // namespace ringdns
