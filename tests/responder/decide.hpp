// Which rule applies to a query, and how a reply after it leaves: what both transports share.
#pragma once

#include "respond.hpp"

namespace responder {

struct Asked {
  const Query& query;
  Transport over;
  Instant now;
  uint64_t connection = 0, position = 0;  // TCP: ordinals
};

// Null when no rule applies. Counts what conditions count.
const Rule* find_rule(ListenerState& listener, const Asked& asked);

inline bool draw(Rng& rng, uint64_t threshold) {
  return threshold == always || (threshold != 0 && rng.next() < threshold);
}

Duration draw_delay(Rng& rng, const Rule& rule);

}  // namespace responder
