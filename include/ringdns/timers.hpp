// Level 1: where each slot stands. Every slot is on exactly one list at any moment: a plain one
// (free, ready, ...) or a bucket of the timer wheel. Lists share one array of links, so moving a
// slot is a few stores, allocates nothing, and being on two lists cannot be expressed.
#pragma once

#include <algorithm>
#include <vector>

#include "ringdns/base.hpp"

namespace ringdns {

// Circular lists over slot indices; each list's sentinel is a node behind the last slot.
class SlotLists {
 public:
  SlotLists(uint32_t slots, uint32_t lists) : slots_(slots), nodes_(slots + lists) {
    for (uint32_t node = 0; node < nodes_.size(); ++node) nodes_[node] = {node, node};
  }

  void push_back(uint32_t list, uint32_t slot) {
    uint32_t sentinel = slots_ + list, last = nodes_[sentinel].previous;
    nodes_[slot] = {sentinel, last};
    nodes_[last].next = slot;
    nodes_[sentinel].previous = slot;
  }
  void remove(uint32_t slot) {
    Node node = nodes_[slot];
    nodes_[node.previous].next = node.next;
    nodes_[node.next].previous = node.previous;
    nodes_[slot] = {slot, slot};
  }
  bool empty(uint32_t list) const { return nodes_[slots_ + list].next == slots_ + list; }
  uint32_t front(uint32_t list) const { return nodes_[slots_ + list].next; }  // not empty
  bool listed(uint32_t slot) const { return nodes_[slot].next != slot; }
  // In the list's order; use() takes no slot off it.
  template <class Use>
  void each(uint32_t list, Use&& use) const {
    for (uint32_t slot = front(list); slot != slots_ + list; slot = nodes_[slot].next) use(slot);
  }

 private:
  struct Node {
    uint32_t next, previous;
  };
  uint32_t slots_;
  std::vector<Node> nodes_;
};

// A hashed timer wheel of one-millisecond ticks. It fires no timer early, and late by less than
// a tick plus the caller's own delay. A deadline beyond the wheel's horizon waits in the farthest
// bucket and is placed anew when that one comes up. expire() also tells the wheel the time: it is
// called once before the first arm().
class TimerWheel {
 public:
  static constexpr uint32_t buckets = 4096;
  static constexpr Duration tick = std::chrono::milliseconds(1);

  // Its buckets are the lists [first_list, first_list + buckets) of `lists`.
  TimerWheel(SlotLists& lists, uint32_t first_list, uint32_t slots)
      : lists_(lists), first_list_(first_list), ticks_(slots) {}

  // The slot is on no list.
  void arm(uint32_t slot, Instant deadline) {
    uint64_t due = std::max(tick_after(deadline), current_ + 1);
    ticks_[slot] = due;
    place(slot, due);
    ++armed_;
  }

  // The slot is armed.
  void disarm(uint32_t slot) {
    lists_.remove(slot);
    --armed_;
  }

  // Takes every slot whose deadline has passed off the wheel and hands it over. on_expired may
  // arm and disarm any slot.
  template <class F>
  void expire(Instant now, F&& on_expired) {
    uint64_t target = tick_before(now);
    if (armed_ == 0) current_ = std::max(current_, target);
    while (current_ < target) {
      ++current_;
      uint32_t bucket = bucket_of(current_);
      if (!(occupied_[bucket / 64] >> bucket % 64 & 1)) continue;
      occupied_[bucket / 64] &= ~(uint64_t{1} << bucket % 64);
      while (!lists_.empty(first_list_ + bucket)) {
        uint32_t slot = lists_.front(first_list_ + bucket);
        lists_.remove(slot);
        if (ticks_[slot] > current_) {
          place(slot, ticks_[slot]);
          continue;
        }
        --armed_;
        on_expired(slot);
      }
    }
  }

  // When expire() has something to do next; Instant::max() while nothing is armed. May be early,
  // never late.
  Instant next() const {
    if (armed_ == 0) return Instant::max();
    uint32_t start = bucket_of(current_ + 1);
    for (uint32_t step = 0; step <= buckets / 64; ++step) {
      uint32_t word = (start / 64 + step) % (buckets / 64);
      uint64_t bits = occupied_[word];
      if (step == 0) bits &= ~uint64_t{0} << start % 64;
      if (bits) {
        uint32_t bucket = word * 64 + static_cast<uint32_t>(std::countr_zero(bits));
        return Instant(tick * (current_ + 1 + (bucket - start) % buckets));
      }
    }
    return Instant::max();
  }

  uint32_t armed() const { return armed_; }
  template <class F>
  void each(F&& use) const {
    for (uint32_t word = 0; word < buckets / 64; ++word)
      for (uint64_t bits = occupied_[word]; bits != 0; bits &= bits - 1)
        lists_.each(first_list_ + word * 64 + static_cast<uint32_t>(std::countr_zero(bits)), use);
  }

 private:
  static uint64_t tick_before(Instant t) {
    return static_cast<uint64_t>(t.time_since_epoch() / tick);
  }
  static uint64_t tick_after(Instant t) {
    return static_cast<uint64_t>((t.time_since_epoch() + tick - Duration(1)) / tick);
  }
  static uint32_t bucket_of(uint64_t t) { return static_cast<uint32_t>(t % buckets); }

  void place(uint32_t slot, uint64_t at) {
    uint32_t bucket = bucket_of(std::min(at, current_ + buckets - 1));
    lists_.push_back(first_list_ + bucket, slot);
    occupied_[bucket / 64] |= uint64_t{1} << bucket % 64;
  }

  SlotLists& lists_;
  uint32_t first_list_;
  std::vector<uint64_t> ticks_;
  std::array<uint64_t, buckets / 64> occupied_{};  // a set bit may outlive its bucket's last slot
  uint64_t current_ = 0;  // every tick up to here is done
  uint32_t armed_ = 0;
};

}  // namespace ringdns
