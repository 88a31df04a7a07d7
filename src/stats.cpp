#include "ringdns/stats.hpp"

#include <bit>

namespace ringdns {

std::string_view name(FailureReason reason) {
  static constexpr std::array<std::string_view, failure_reasons> names{
      "TIMEOUT", "MAXRETRIES", "TRUNCATED", "UNREACHABLE", "INTERRUPTED"};
  return names[static_cast<size_t>(reason)];
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
