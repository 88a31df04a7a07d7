#include "ringdns/stats.hpp"

#include <bit>

namespace ringdns {

std::string_view name(FailureReason reason) {
  static constexpr std::array<std::string_view, failure_reasons> names{
      "TIMEOUT", "MAXRETRIES", "TRUNCATED", "UNREACHABLE", "INTERRUPTED", "INCOMPLETE",
      "NORESOLVER"};
  return names[static_cast<size_t>(reason)];
}

uint64_t Histogram::percentile(double share) const {
  uint64_t all = total(), below = 0;
  if (all == 0) return 0;
  uint64_t wanted = std::max<uint64_t>(1, static_cast<uint64_t>(share * static_cast<double>(all)));
  for (size_t index = 0; index < size; ++index) {
    below += counts[index];
    if (below >= wanted) return upper_bound(index);
  }
  return upper_bound(size - 1);
}

// All of it is counters, so it is summed as such: none can be forgotten.
void Stats::add(const Stats& other) {
  using Counters = std::array<uint64_t, sizeof(Stats) / sizeof(uint64_t)>;
  auto sum = std::bit_cast<Counters>(*this);
  const auto addend = std::bit_cast<Counters>(other);
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += addend[i];
  *this = std::bit_cast<Stats>(sum);
}

}  // namespace ringdns
