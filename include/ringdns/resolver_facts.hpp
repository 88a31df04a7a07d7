// Level 3: what a run learned of each resolver, in numbers: for people, for programs, for whoever
// drops resolvers from a list.
#pragma once

#include <span>

#include "ringdns/address.hpp"
#include "ringdns/buffer.hpp"

namespace ringdns {

// Round trips of one resolver, in as few octets as will do: two classes an octave, from 64 us.
struct RttHistogram {
  static constexpr size_t size = 36;  // the last: 16 s and more
  std::array<uint32_t, size> counts{};

  void add(uint64_t us) { ++counts[index_of(us)]; }
  uint64_t total() const;
  // The least bound, in microseconds, that this share (0 to 1) does not exceed; 0 without values.
  uint64_t percentile_us(double share) const;

  static size_t index_of(uint64_t us);
  static uint64_t upper_bound_us(size_t index);
};

// Counters only: they add up over processes.
struct ResolverCounts {
  static constexpr size_t kept_rcodes = 8;  // 0 to 6, and all others in the last

  uint64_t sent = 0;        // queries that left for it, UDP and TCP
  uint64_t answered = 0;    // replies of its that were taken as a lookup's answer
  uint64_t replies = 0;     // replies to queries of ours, UDP and TCP, whatever they said
  uint64_t udp_replies = 0; // of those over UDP
  uint64_t truncated = 0;   // of those with TC
  uint64_t tcp_replies = 0; // over TCP
  uint64_t tcp_failures = 0;  // queries that TCP lost
  uint64_t timeouts = 0;    // UDP queries that met silence
  uint64_t unreachable = 0; // UDP queries that an ICMP or a local error ended
  uint64_t mismatches = 0;  // datagrams from its address for another question
  uint64_t rested = 0;      // times that it was given a rest because it was of no use
  std::array<uint64_t, kept_rcodes> rcodes{};  // of the replies
  RttHistogram rtt;         // of UDP replies to the latest try
  void add(const ResolverCounts& other);
};

// A circuit breaker's states.
enum class ResolverState : uint8_t {
  working,   // closed: it is asked
  resting,   // open: of no use lately; it is left alone for a while
  on_trial,  // half-open: a single query is out to see whether it is of use again
};
std::string_view name(ResolverState state);  // "working"

struct ResolverFacts {
  Address address;
  ResolverState state = ResolverState::working;
  uint32_t window = 0;   // queries it may have in flight
  double rate = 0;       // queries per second it is held to; 0: to none
  uint64_t srtt_us = 0;  // smoothed round trip; 0: not known
  ResolverCounts counts;
};

// --resolver-stats: by the end of the file's name, JSON lines (.json, .jsonl) or a table.
void append_resolver_json(Buffer& out, const ResolverFacts& facts);
void append_resolver_table(Buffer& out, std::span<const ResolverFacts> facts);

}  // namespace ringdns
