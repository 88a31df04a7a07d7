#include <doctest/doctest.h>

#include <set>

#include "ringdns/lookups.hpp"

using namespace ringdns;

namespace {
WireName named(std::string_view text) {
  WireName name;
  REQUIRE(encode_name(text, name) == NameError::none);
  return name;
}
}  // namespace

TEST_CASE("a lookup is found by name and type while it is in flight") {
  Lookups lookups(4, false);
  uint32_t slot = lookups.start(named("a.test"), type::a, 0);
  CHECK(lookups.find(named("a.test"), type::a) == slot);
  CHECK(lookups.find(named("a.test"), type::aaaa) == Lookups::none);
  CHECK(lookups.find(named("A.test"), type::a) == Lookups::none);  // case is kept, so it counts
  lookups.finish(slot);
  CHECK(lookups.find(named("a.test"), type::a) == Lookups::none);
}

TEST_CASE("every slot is used once, and again after finish, under another generation") {
  Lookups lookups(3, false);
  std::set<uint32_t> slots;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(lookups.has_free());
    slots.insert(lookups.start(named("n" + std::to_string(i)), type::a, 0));
  }
  CHECK(slots.size() == 3);
  CHECK_FALSE(lookups.has_free());
  uint32_t generation = lookups[1].generation;
  lookups.finish(1);
  CHECK(lookups.in_flight() == 2);
  CHECK(lookups.start(named("again"), type::a, 0) == 1);
  CHECK(lookups[1].generation != generation);
}

TEST_CASE("ready lookups are served in order; waiting ones expire") {
  Instant now{std::chrono::hours(1)};
  Lookups lookups(3, false);
  lookups.expire(now, [](uint32_t) {});
  uint32_t a = lookups.start(named("a"), type::a, 0), b = lookups.start(named("b"), type::a, 1);
  CHECK(lookups.front_ready() == a);
  lookups.to_udp_wait(a, now + std::chrono::milliseconds(10));
  CHECK(lookups.front_ready() == b);
  CHECK(lookups.waiting() == 1);
  std::vector<uint32_t> expired;
  lookups.expire(now + std::chrono::milliseconds(11), [&](uint32_t slot) {
    expired.push_back(slot);
    lookups.to_ready(slot);
  });
  CHECK(expired == std::vector<uint32_t>{a});
  CHECK(lookups.waiting() == 0);
  lookups.finish(b);
  CHECK(lookups.front_ready() == a);
}

TEST_CASE("the table finds the right slots through many starts and finishes") {
  constexpr uint32_t slots = 64;
  Lookups lookups(slots, false);
  Rng rng({3});
  std::vector<int> name_of(slots, -1);
  for (int step = 0; step < 20000; ++step) {
    int name = static_cast<int>(rng.below(200));
    WireName wire = named("name-" + std::to_string(name));
    uint32_t found = lookups.find(wire, type::a);
    auto known = std::find(name_of.begin(), name_of.end(), name);
    REQUIRE((found != Lookups::none) == (known != name_of.end()));
    if (found != Lookups::none) {
      REQUIRE(name_of[found] == name);
      lookups.finish(found);
      name_of[found] = -1;
    } else if (lookups.has_free()) {
      name_of[lookups.start(wire, type::a, 0)] = name;
    }
  }
}

TEST_CASE("an id pool hands out each of 65536 ids once, in no foreseeable order") {
  Rng rng({9});
  IdPool ids;
  std::vector<bool> seen(IdPool::capacity);
  uint32_t ascending = 0;
  uint16_t before = 0;
  for (uint32_t i = 0; i < IdPool::capacity; ++i) {
    uint16_t id = ids.acquire(rng, i);
    REQUIRE_FALSE(seen[id]);
    seen[id] = true;
    REQUIRE(ids.holder(id) == i);
    ascending += id > before;
    before = id;
  }
  CHECK(ids.available() == 0);
  CHECK(ascending > IdPool::capacity / 2 - 1000);
  CHECK(ascending < IdPool::capacity / 2 + 1000);
  ids.release(77);
  CHECK(ids.holder(77) == IdPool::none);
  CHECK(ids.acquire(rng, 5) == 77);
}
