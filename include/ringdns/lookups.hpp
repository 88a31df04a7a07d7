// Level 4: the central table. Slots are made once, at start, for `-s` lookups; nothing is
// allocated per query.
#pragma once

#include <vector>

#include "ringdns/address.hpp"
#include "ringdns/base.hpp"
#include "ringdns/rng.hpp"
#include "ringdns/stats.hpp"
#include "ringdns/timers.hpp"
#include "ringdns/wire.hpp"

namespace ringdns {

enum class LookupState : uint8_t {
  free,        // on the free list
  ready,       // on the ready list; its next query has yet to be sent or queued
  resting,     // on the timer wheel; nothing is out, it is made ready again then
  udp_wait,    // on the timer wheel; a query was handed over, its answer may come
  tcp_queued,  // on the timer wheel and in the queue of the server asked[0]
  tcp_wait,    // on the timer wheel; its query was written to a connection
};

// What the next query of a lookup carries (tcp.md 9, 10).
enum class EdnsLevel : uint8_t {
  full,        // OPT with the options asked for
  no_options,  // OPT alone: the server answered FORMERR with an OPT
  plain,       // no OPT: the server does not speak EDNS
};

// One resolver that was asked: an index into the resolver list, or into the slot's own dedicated
// resolvers (--extended-input).
struct AskedResolver {
  uint32_t index : 31 = 0;
  uint32_t dedicated : 1 = 0;
  friend bool operator==(AskedResolver, AskedResolver) = default;
};

struct Lookup {
  LookupState state = LookupState::free;
  EdnsLevel edns = EdnsLevel::full;
  uint8_t tries = 0;       // failed ones
  uint8_t timeouts = 0;    // of those, unanswered ones
  uint16_t type = 0;
  uint16_t id = 0;         // of its UDP queries: kept through all tries, so that a late reply counts
  uint16_t port = 0;       // index of the source port, kept likewise
  uint16_t advertised = 0; // UDP size in the latest query's OPT; 0 when it had none
  uint8_t asked_count = 0; // entries of asked in use; asked[0] is the latest
  uint8_t dedicated_count = 0;
  uint8_t dedicated_used = 0;
  uint8_t near_misses = 0; // replies that were almost its own (tcp.md 24)
  uint8_t moves = 0;       // connections that died under it at no charge
  bool choose : 1 = true;  // the next query goes to a newly chosen resolver
  bool small : 1 = false;  // the next query advertises 512 octets (tcp.md 9)
  bool never_small : 1 = false;  // that was cut: ask with all we take from now on
  bool icmp : 1 = false;   // the network said that the resolver asked last cannot be reached
  bool has_port : 1 = false;     // id and port are held
  bool use_tcp : 1 = false;      // the next query goes over TCP
  bool edns_rejected : 1 = false;  // by the server asked last; the next query to it is plain
  bool truncated : 1 = false;    // a reply was: only TCP can complete it
  bool lost : 1 = false;         // it goes over TCP because UDP met silence only (tcp.md 9)
  bool optional : 1 = false;     // over UDP it could be answered as well
  bool on_tcp : 1 = false;       // entered TCP and has not left it
  bool transfer : 1 = false;     // AXFR, IXFR: an answer of many messages
  bool transferring : 1 = false; // some of which were written
  bool out : 1 = false;          // counted with resolver asked[0] as in flight
  uint32_t sent_us = 0;    // when the latest query left: microseconds, low 32 bits
  std::array<AskedResolver, 4> asked{};
  uint32_t generation = 0; // counts the slot's uses, so that stale completions are told apart
  uint32_t hash = 0;       // of name and type, for joining duplicates
  uint32_t copies = 1;     // input lines that wait for this answer
  uint64_t number = 0;     // 0 for the first lookup of the run; --predictable goes by it
};
static_assert(sizeof(Lookup) <= 64);

inline constexpr size_t max_dedicated = 16;  // resolvers kept of one input line
using DedicatedResolvers = std::array<Address, max_dedicated>;

class Lookups {
 public:
  Lookups(uint32_t slots, bool dedicated_resolvers)
      : lists_(slots, first_bucket + TimerWheel::buckets),
        timers_(lists_, first_bucket, slots),
        hot_(slots),
        names_(slots),
        asked_bits_(slots),
        dedicated_(dedicated_resolvers ? slots : 0),
        table_(std::bit_ceil(std::max<size_t>(size_t{slots} * 2, 16)), none),
        mask_(static_cast<uint32_t>(table_.size() - 1)) {
    for (uint32_t slot = 0; slot < slots; ++slot) lists_.push_back(free_list, slot);
  }

  static constexpr uint32_t none = UINT32_MAX;

  Lookup& operator[](uint32_t slot) { return hot_[slot]; }
  const Lookup& at(uint32_t slot) const { return hot_[slot]; }
  const WireName& name(uint32_t slot) const { return names_[slot]; }
  // Whom its failed tries asked: bit i % 64 stands for resolver i. Not read before the first.
  uint64_t& asked_bits(uint32_t slot) { return asked_bits_[slot]; }
  DedicatedResolvers& dedicated(uint32_t slot) { return dedicated_[slot]; }
  const DedicatedResolvers& dedicated(uint32_t slot) const { return dedicated_[slot]; }
  uint32_t size() const { return static_cast<uint32_t>(hot_.size()); }
  uint32_t in_flight() const { return in_flight_; }
  uint32_t waiting() const { return timers_.armed(); }
  uint32_t waiting_for_udp() const { return waiting_for_udp_; }
  bool has_free() const { return !lists_.empty(free_list); }

  // A slot in flight with exactly this name (its octets, case included), type and salt, for which
  // fits(slot) holds, or none. The salt keeps lookups of one name apart, where a list has it with
  // thousands of resolvers (--extended-input); 0 where it does not matter.
  template <class Fits>
  uint32_t find(const WireName& name, uint16_t type, size_t salt, Fits&& fits) const {
    uint32_t hash = hash_of(name, type, salt);
    for (uint32_t at = hash & mask_; table_[at] != none; at = (at + 1) & mask_) {
      uint32_t slot = table_[at];
      if (hot_[slot].hash == hash && hot_[slot].type == type && same(names_[slot], name) &&
          fits(slot))
        return slot;
    }
    return none;
  }
  uint32_t find(const WireName& name, uint16_t type) const {
    return find(name, type, 0, [](uint32_t) { return true; });
  }

  // Takes a free slot (has_free()) and puts it on the ready list.
  uint32_t start(const WireName& name, uint16_t type, uint64_t number, size_t salt = 0) {
    uint32_t slot = lists_.front(free_list);
    lists_.remove(slot);
    Lookup& lookup = hot_[slot];
    uint32_t generation = lookup.generation;
    lookup = Lookup{};
    lookup.generation = (generation + 1) & 0xffffff;
    lookup.type = type;
    lookup.number = number;
    lookup.hash = hash_of(name, type, salt);
    names_[slot].length = name.length;
    std::copy_n(name.octets.data(), name.length, names_[slot].octets.data());
    lookup.state = LookupState::ready;
    lists_.push_back(ready_list, slot);
    link(slot);
    ++in_flight_;
    return slot;
  }

  // From here on it is found under another salt.
  void salt(uint32_t slot, size_t salt) {
    unlink(slot);
    hot_[slot].hash = hash_of(names_[slot], hot_[slot].type, salt);
    link(slot);
  }

  bool any_ready() const { return !lists_.empty(ready_list); }
  uint32_t front_ready() const { return lists_.front(ready_list); }

  void to_ready(uint32_t slot) {
    leave(slot);
    hot_[slot].state = LookupState::ready;
    lists_.push_back(ready_list, slot);
  }

  void to_resting(uint32_t slot, Instant until) { wait(slot, LookupState::resting, until); }
  void to_udp_wait(uint32_t slot, Instant deadline) { wait(slot, LookupState::udp_wait, deadline); }
  void to_tcp_queued(uint32_t slot, Instant deadline) {
    wait(slot, LookupState::tcp_queued, deadline);
  }
  void to_tcp_wait(uint32_t slot, Instant deadline) { wait(slot, LookupState::tcp_wait, deadline); }

  void finish(uint32_t slot) {
    leave(slot);
    hot_[slot].state = LookupState::free;
    lists_.push_back(free_list, slot);
    unlink(slot);
    --in_flight_;
  }

  // Hands over each slot whose deadline passed; it is on no list then, and must be put on one.
  template <class F>
  void expire(Instant now, F&& on_expired) {
    timers_.expire(now, [&](uint32_t slot) { on_expired(slot); });
  }
  Instant next_deadline() const { return timers_.next(); }

  // What must hold between turns, in time proportional to the table: for tests. A violation is a
  // bug of ours and ends the process.
  void check() const {
    uint32_t free = 0, ready = 0, armed = 0, udp = 0;
    lists_.each(free_list, [&](uint32_t slot) {
      ensure(++free <= size(), "the free list has an end");
      ensure(hot_[slot].state == LookupState::free, "what is on the free list is free");
    });
    lists_.each(ready_list, [&](uint32_t slot) {
      ensure(++ready <= size(), "the ready list has an end");
      ensure(hot_[slot].state == LookupState::ready, "what is on the ready list is ready");
    });
    timers_.each([&](uint32_t slot) {
      ensure(++armed <= size(), "the timers' lists have an end");
      LookupState state = hot_[slot].state;
      udp += state == LookupState::udp_wait;
      ensure(state != LookupState::free && state != LookupState::ready, "what is timed waits");
    });
    ensure(free + ready + armed == size(), "every slot is on exactly one list");
    ensure(armed == timers_.armed(), "what waits is counted");
    ensure(in_flight_ == size() - free, "what is in flight is counted");
    ensure(waiting_for_udp_ == udp, "what waits for UDP is counted");
    uint32_t linked = 0;
    for (uint32_t slot : table_) {
      linked += slot != none;
      ensure(slot == none || find(names_[slot], hot_[slot].type, hot_[slot].hash, slot),
             "what is in flight is found by its name");
    }
    ensure(linked == in_flight_, "what is in flight is in the table, once");
  }

 private:
  // Does the search for this name and hash come by the slot?
  bool find(const WireName& name, uint16_t type, uint32_t hash, uint32_t slot) const {
    for (uint32_t at = hash & mask_; table_[at] != none; at = (at + 1) & mask_)
      if (table_[at] == slot) return hot_[slot].type == type && same(names_[slot], name);
    return false;
  }

  static constexpr uint32_t free_list = 0, ready_list = 1, first_bucket = 2;

  static bool same(const WireName& a, const WireName& b) {
    return a.length == b.length && std::equal(a.octets.data(), a.octets.data() + a.length,
                                              b.octets.data());
  }

  static uint32_t hash_of(const WireName& name, uint16_t type, size_t salt) {
    std::string_view octets(reinterpret_cast<const char*>(name.octets.data()), name.length);
    size_t hash = std::hash<std::string_view>{}(octets) ^ type * 0x9e3779b97f4a7c15u ^ salt;
    return static_cast<uint32_t>(hash ^ hash >> 32);
  }

  void wait(uint32_t slot, LookupState state, Instant deadline) {
    leave(slot);
    hot_[slot].state = state;
    waiting_for_udp_ += state == LookupState::udp_wait;
    timers_.arm(slot, deadline);
  }

  // Takes the slot off the list it is on, if any (a slot just expired is on none).
  void leave(uint32_t slot) {
    LookupState state = hot_[slot].state;
    waiting_for_udp_ -= state == LookupState::udp_wait;
    if (!lists_.listed(slot)) return;
    if (state == LookupState::free || state == LookupState::ready)
      lists_.remove(slot);
    else
      timers_.disarm(slot);
  }

  void link(uint32_t slot) {
    uint32_t at = hot_[slot].hash & mask_;
    while (table_[at] != none) at = (at + 1) & mask_;
    table_[at] = slot;
  }

  // Linear probing with backward shift: no tombstones, so the table stays as good as new.
  void unlink(uint32_t slot) {
    uint32_t hole = hot_[slot].hash & mask_;
    while (table_[hole] != slot) hole = (hole + 1) & mask_;
    for (uint32_t at = (hole + 1) & mask_; table_[at] != none; at = (at + 1) & mask_) {
      uint32_t home = hot_[table_[at]].hash & mask_;
      if (((at - home) & mask_) >= ((at - hole) & mask_)) {
        table_[hole] = table_[at];
        hole = at;
      }
    }
    table_[hole] = none;
  }

  SlotLists lists_;
  TimerWheel timers_;
  std::vector<Lookup> hot_;
  std::vector<WireName> names_;
  std::vector<uint64_t> asked_bits_;
  std::vector<DedicatedResolvers> dedicated_;
  std::vector<uint32_t> table_;  // of slots, by hash
  uint32_t mask_;
  uint32_t in_flight_ = 0;
  uint32_t waiting_for_udp_ = 0;
};

// The 65536 query ids of one source port: a free one is picked at random (RFC 5452 9.2).
class IdPool {
 public:
  static constexpr uint32_t capacity = 65536;
  static constexpr uint32_t none = UINT32_MAX;

  IdPool() : free_(capacity), holder_(capacity, none) {
    for (uint32_t id = 0; id < capacity; ++id) free_[id] = static_cast<uint16_t>(id);
  }

  uint32_t available() const { return static_cast<uint32_t>(free_.size()); }

  // available() > 0
  uint16_t acquire(Rng& rng, uint32_t holder) {
    uint32_t at = rng.below(available());
    uint16_t id = free_[at];
    free_[at] = free_.back();
    free_.pop_back();
    holder_[id] = holder;
    return id;
  }
  void release(uint16_t id) {
    holder_[id] = none;
    free_.push_back(id);
  }
  uint32_t holder(uint16_t id) const { return holder_[id]; }

 private:
  std::vector<uint16_t> free_;
  std::vector<uint32_t> holder_;
};

}  // namespace ringdns
