// What is to happen later, soonest first; equal times in the order they were asked for.
#pragma once

#include <algorithm>
#include <vector>

#include "ringdns/base.hpp"

namespace responder {

template <class Payload>
class Timers {
 public:
  void add(ringdns::Instant at, Payload payload) {
    uint32_t slot = static_cast<uint32_t>(slots_.size());
    if (free_.empty()) {
      slots_.push_back(std::move(payload));
    } else {
      slot = free_.back();
      free_.pop_back();
      slots_[slot] = std::move(payload);
    }
    heap_.push_back({at, order_++, slot});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  ringdns::Instant next() const {
    return heap_.empty() ? ringdns::Instant::max() : heap_.front().at;
  }
  // Takes the first payload that is due.
  bool take(ringdns::Instant now, Payload& out) {
    if (heap_.empty() || heap_.front().at > now) return false;
    std::pop_heap(heap_.begin(), heap_.end(), later);
    uint32_t slot = heap_.back().slot;
    heap_.pop_back();
    out = std::move(slots_[slot]);
    free_.push_back(slot);
    return true;
  }

 private:
  struct Entry {
    ringdns::Instant at;
    uint64_t order;
    uint32_t slot;
  };
  static bool later(const Entry& a, const Entry& b) {
    return a.at != b.at ? a.at > b.at : a.order > b.order;
  }
  std::vector<Entry> heap_;
  std::vector<Payload> slots_;
  std::vector<uint32_t> free_;
  uint64_t order_ = 0;
};

}  // namespace responder
