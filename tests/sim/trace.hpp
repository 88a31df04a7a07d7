// What happens in one seed, line by line, for a reader: scripts/sim SEED.
#pragma once

#include <string>

#include "dice.hpp"
#include "ringdns/address.hpp"

namespace sim {

// Our own bug, or the engine's: the seed has failed. Prints how, and ends as `ensure` does.
[[noreturn]] void violation(const char* format, ...) __attribute__((format(printf, 1, 2)));

class Trace {
 public:
  explicit Trace(bool on) : on_(on) {}
  bool on() const { return on_; }
  void at(Instant now) { now_ = now; }
  // "  1.203456 udp      ..."
  void say(const char* what, const char* format, ...) const __attribute__((format(printf, 3, 4)));

 private:
  bool on_;
  Instant now_{};
};

// "3fa1 www.test. A", and for a reply its code, flags and counts. Never reads out of bounds.
std::string describe(Bytes message);

}  // namespace sim
