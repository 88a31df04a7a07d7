#include <doctest/doctest.h>

#include "ringdns/rng.hpp"

using namespace ringdns;

TEST_CASE("the same seed gives the same stream, another seed another") {
  Rng a({1, 2, 3}), b({1, 2, 3}), c({1, 2, 4});
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    uint32_t value = a.next();
    CHECK(value == b.next());
    differs |= value != c.next();
  }
  CHECK(differs);
}

TEST_CASE("below() is in range and reaches every value about equally often") {
  Rng rng({42});
  std::array<int, 10> seen{};
  for (int i = 0; i < 100000; ++i) seen.at(rng.below(10))++;
  for (int count : seen) CHECK((count > 9500 && count < 10500));
}
