#include <doctest/doctest.h>

#include <map>

#include "ringdns/tcp_machine.hpp"

using namespace ringdns;
using S = ConnectionState;
using E = ConnectionEvent;
using A = ConnectionAction;

namespace {
constexpr S states[] = {S::free, S::connecting, S::active, S::draining, S::idle, S::closing};
constexpr E events[] = {E::acquired, E::connected, E::failed, E::postponed,
                        E::work,     E::drained,   E::retire, E::died,
                        E::misbehaved, E::timer,   E::evicted, E::closed};

// tcp.md "Connection slot", line by line. Whatever is not here changes nothing.
const std::map<std::pair<S, E>, std::pair<A, S>> table = {
    {{S::free, E::acquired}, {A::open, S::connecting}},
    {{S::connecting, E::connected}, {A::flush, S::active}},
    {{S::connecting, E::failed}, {A::charge, S::closing}},
    {{S::connecting, E::postponed}, {A::finish, S::closing}},
    {{S::connecting, E::timer}, {A::charge, S::closing}},
    {{S::connecting, E::died}, {A::charge, S::closing}},
    {{S::active, E::work}, {A::flush, S::active}},
    {{S::active, E::drained}, {A::rest, S::idle}},
    {{S::active, E::timer}, {A::requeue_reset, S::closing}},
    {{S::active, E::died}, {A::requeue_fin, S::closing}},
    {{S::active, E::misbehaved}, {A::requeue_reset, S::closing}},
    {{S::active, E::retire}, {A::none, S::draining}},
    {{S::draining, E::drained}, {A::finish, S::closing}},
    {{S::draining, E::timer}, {A::requeue_reset, S::closing}},
    {{S::draining, E::died}, {A::requeue_fin, S::closing}},
    {{S::draining, E::misbehaved}, {A::requeue_reset, S::closing}},
    {{S::idle, E::work}, {A::flush, S::active}},
    {{S::idle, E::died}, {A::finish, S::closing}},
    {{S::idle, E::timer}, {A::finish, S::closing}},
    {{S::idle, E::evicted}, {A::finish, S::closing}},
    {{S::idle, E::retire}, {A::finish, S::closing}},
    {{S::idle, E::misbehaved}, {A::requeue_reset, S::closing}},
    {{S::closing, E::closed}, {A::release, S::free}},
};
}  // namespace

TEST_CASE("tcp.md's table, and nothing beyond it") {
  for (S state : states)
    for (E event : events) {
      CAPTURE(static_cast<int>(state));
      CAPTURE(static_cast<int>(event));
      auto line = table.find({state, event});
      ConnectionStep step = ringdns::step(state, event);
      CHECK(step.action == (line == table.end() ? A::none : line->second.first));
      CHECK(step.next == (line == table.end() ? state : line->second.second));
    }
}

TEST_CASE("REQ 23: no busy connection is evicted, and every way out leads through closing") {
  for (S state : {S::connecting, S::active, S::draining})
    CHECK(step(state, E::evicted).next == state);
  for (S state : states)
    for (E event : events) {
      ConnectionStep next = step(state, event);
      if (next.next == S::free && state != S::free) CHECK(state == S::closing);
    }
}
