#include <doctest/doctest.h>

#include <map>
#include <set>

#include "ringdns/rng.hpp"
#include "ringdns/timers.hpp"

using namespace ringdns;
using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {
const Instant start{std::chrono::hours(1000)};

struct Wheel {
  explicit Wheel(uint32_t slots) : lists(slots, TimerWheel::buckets), timers(lists, 0, slots) {
    timers.expire(start, [](uint32_t) {});
  }
  std::vector<uint32_t> expired(Instant now) {
    std::vector<uint32_t> slots;
    timers.expire(now, [&](uint32_t slot) { slots.push_back(slot); });
    return slots;
  }
  SlotLists lists;
  TimerWheel timers;
};
}  // namespace

TEST_CASE("slot lists: a slot moves between lists in order and off them") {
  SlotLists lists(4, 2);
  lists.push_back(0, 2);
  lists.push_back(0, 0);
  lists.push_back(1, 3);
  CHECK(lists.front(0) == 2);
  lists.remove(2);
  CHECK(lists.front(0) == 0);
  CHECK_FALSE(lists.listed(2));
  lists.push_back(1, 2);
  CHECK(lists.front(1) == 3);
  lists.remove(0);
  CHECK(lists.empty(0));
  CHECK_FALSE(lists.empty(1));
}

TEST_CASE("a timer fires at its deadline, never before") {
  Wheel wheel(2);
  wheel.timers.arm(1, start + microseconds(2500));
  CHECK(wheel.expired(start + microseconds(2499)).empty());
  CHECK(wheel.timers.next() <= start + milliseconds(3));
  CHECK(wheel.timers.next() > start + microseconds(2499));
  CHECK(wheel.expired(start + milliseconds(3)) == std::vector<uint32_t>{1});
  CHECK(wheel.timers.next() == Instant::max());
}

TEST_CASE("a disarmed timer does not fire") {
  Wheel wheel(3);
  for (uint32_t slot : {0, 1, 2}) wheel.timers.arm(slot, start + milliseconds(5));
  wheel.timers.disarm(1);
  CHECK(wheel.expired(start + milliseconds(6)) == std::vector<uint32_t>{0, 2});
}

TEST_CASE("a deadline beyond the horizon waits its whole time") {
  Wheel wheel(1);
  Instant deadline = start + milliseconds(3 * TimerWheel::buckets + 17);
  wheel.timers.arm(0, deadline);
  Instant now = start;
  while (now < deadline) {
    Instant next = wheel.timers.next();
    REQUIRE(next > now);
    if (next < deadline) CHECK(wheel.expired(next).empty());
    now = next;
  }
  CHECK(wheel.expired(deadline) == std::vector<uint32_t>{0});
}

TEST_CASE("a handler may arm and disarm others while timers fire") {
  Wheel wheel(3);
  wheel.timers.arm(0, start + milliseconds(1));
  wheel.timers.arm(1, start + milliseconds(1));
  std::vector<uint32_t> fired;
  wheel.timers.expire(start + milliseconds(1), [&](uint32_t slot) {
    fired.push_back(slot);
    if (slot == 0) {
      wheel.timers.disarm(1);
      wheel.timers.arm(2, start);  // in the past: fires at the next tick
    }
  });
  CHECK(fired == std::vector<uint32_t>{0});
  CHECK(wheel.expired(start + milliseconds(2)) == std::vector<uint32_t>{2});
}

TEST_CASE("against a plain map, over random arms, disarms and steps") {
  constexpr uint32_t slots = 200;
  Wheel wheel(slots);
  Rng rng({7});
  std::map<uint32_t, Instant> armed;
  Instant now = start;
  for (int step = 0; step < 20000; ++step) {
    uint32_t slot = rng.below(slots);
    if (armed.count(slot)) {
      wheel.timers.disarm(slot);
      armed.erase(slot);
    } else {
      armed[slot] = now + microseconds(rng.below(6'000'000));
      wheel.timers.arm(slot, armed[slot]);
    }
    if (rng.below(4) == 0) {
      now += microseconds(rng.below(20'000));
      auto fired = wheel.expired(now);
      for (uint32_t one : fired) {
        REQUIRE(armed.count(one));
        REQUIRE(armed[one] <= now);
        armed.erase(one);
      }
      for (auto& [one, deadline] : armed) REQUIRE(deadline + milliseconds(1) > now);
    }
    if (!armed.empty()) {
      Instant first = Instant::max();
      for (auto& [one, deadline] : armed) first = std::min(first, deadline);
      REQUIRE(wheel.timers.next() <= first + milliseconds(1));
    }
  }
}
