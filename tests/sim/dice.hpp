// Chance, drawn from a seed: each use has a stream of its own, so that a draw more in one place
// changes nothing in another.
#pragma once

#include "ringdns/rng.hpp"

namespace sim {

using namespace ringdns;
using namespace std::chrono_literals;

enum class Stream : uint32_t { scenario, network, servers, host, engine };

inline Rng::Seed seed_of(uint64_t seed, Stream stream) {
  return {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32),
          static_cast<uint32_t>(stream), 0x73696d};
}

class Dice {
 public:
  Dice(uint64_t seed, Stream stream) : rng_(seed_of(seed, stream)) {}

  uint32_t below(uint32_t bound) { return rng_.below(bound); }
  uint32_t between(uint32_t least, uint32_t most) { return least + below(most - least + 1); }
  double share() { return static_cast<double>(rng_.next()) / 4294967296.0; }
  // A rate of 0 costs nothing, not even a draw.
  bool chance(double rate) { return rate > 0 && share() < rate; }
  Duration time(Duration least, Duration most) {
    double spread = static_cast<double>((most - least).count());
    return least + Duration(static_cast<int64_t>(spread * share()));
  }
  template <class T, size_t n>
  const T& pick(const T (&list)[n]) {
    return list[below(n)];
  }

 private:
  Rng rng_;
};

}  // namespace sim
