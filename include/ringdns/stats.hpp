// Level 3: what is counted, and the words for how a lookup can fail.
#pragma once

#include <algorithm>
#include <string_view>

#include "ringdns/base.hpp"
#include "ringdns/codes.hpp"

namespace ringdns {

enum class FailureReason : uint8_t {
  timeout,      // tries used up, the last one unanswered
  max_retries,  // tries used up, the last answer's rcode was in the retry set
  truncated,    // the answer was truncated and could not be completed
  unreachable,  // tries used up, the last one ended by an ICMP or a local network error
  interrupted,  // a signal ended the run first
  incomplete,   // a zone transfer broke off, or its reply was none
  no_resolver,  // no resolver had answered anything for as long as a name may take
};
inline constexpr size_t failure_reasons = 7;
std::string_view name(FailureReason reason);  // massdns's word where it has one: "TIMEOUT"

// How often values of each size occurred: eight classes an octave, so a value is known to 12.5 %.
struct Histogram {
  static constexpr size_t size = 8 * 38;  // up to 2^40
  std::array<uint64_t, size> counts{};

  void add(uint64_t value) { ++counts[std::min(index_of(value), size - 1)]; }
  uint64_t total() const {
    uint64_t sum = 0;
    for (uint64_t count : counts) sum += count;
    return sum;
  }
  // The least bound that this share (0 to 1) of the values does not exceed; 0 without values.
  uint64_t percentile(double share) const;

  static size_t index_of(uint64_t value) {
    if (value < 8) return static_cast<size_t>(value);
    size_t octave = static_cast<size_t>(std::bit_width(value)) - 3;  // 1 for 8 to 15
    return octave * 8 + (value >> (octave - 1) & 7);
  }
  static uint64_t upper_bound(size_t index) {
    if (index < 8) return index;
    size_t octave = index / 8;
    return ((8 + index % 8 + 1) << (octave - 1)) - 1;
  }
};

// What is counted per question type: those below, and all others in the last.
inline constexpr size_t counted_types = 260;
struct TypeCounts {
  uint64_t udp_replies = 0, truncated = 0;
};

// TCP (tcp.md "Metrics"). At exit entries = answers + failures + back_to_udp and
// opened = connect_failures + ended, whatever happened.
struct TcpStats {
  uint64_t entries = 0;    // lookups that came to need TCP
  uint64_t answers = 0;    // of those, answered over it
  uint64_t failures = 0;   // of those, given up
  uint64_t back_to_udp = 0;  // of those that UDP loss brought there, the ones sent back
  uint64_t skipped_udp = 0;  // entries by what was learned of the server
  uint64_t opened = 0;     // connections begun
  uint64_t open_most = 0;  // at once; over several processes the sum
  uint64_t connect_failures = 0;
  uint64_t ended = 0;      // connected ones that ended, whoever ended them
  uint64_t died = 0;       // of those, by the peer's FIN, RST or an error with queries out
  uint64_t stalled = 0;    // of those, given up on by us: no octet while it owed answers
  uint64_t misbehaved = 0; // of those, reset by us: bad framing, stray messages, too much memory
  uint64_t evicted = 0;    // of those, idle ones closed for another server's sake
  uint64_t local_errors = 0;  // no descriptor or port to be had here
  uint64_t queries = 0, replies = 0;
  uint64_t strays = 0;     // messages that answer nothing that is out on their connection
  uint64_t late = 0;       // replies whose lookup had left
  uint64_t requeued = 0;   // queries moved to another connection at no charge
  uint64_t charged = 0;    // queries that a connection's end cost a try
  uint64_t timeouts = 0;   // queries whose deadline came, queued or out
  uint64_t truncated = 0;  // replies with TC over TCP
  Histogram latency;       // microseconds, write to reply
  Histogram age;           // milliseconds, of connections at their end
  Histogram queries_per_connection;
};

// Plain counters: every one of them adds up over processes.
struct Stats {
  uint64_t lines = 0;      // non-blank input lines taken
  uint64_t due = 0;        // outcomes that the lines taken call for: one for each type, and one
                           // for a line that cannot be asked
  uint64_t invalid = 0;    // lines or names that cannot be asked
  uint64_t lookups = 0;    // name and type, one per input line and type
  uint64_t duplicates = 0; // of those, the ones that joined a lookup already in flight
  uint64_t answered = 0;   // with an accepted reply (duplicates included)
  uint64_t filtered = 0;   // of those, not written because of --filter or --ignore
  std::array<uint64_t, failure_reasons> failed{};

  uint64_t sent = 0;       // queries that left
  uint64_t send_errors = 0;    // that did not leave
  uint64_t back_pressure = 0;  // sends put off because a local queue was full
  uint64_t received = 0;   // datagrams
  uint64_t replies = 0;    // of those, well-formed enough to have a question
  uint64_t mismatched_name = 0, mismatched_id = 0, mismatched_source = 0;
  uint64_t unusable = 0;   // datagrams that are no reply to anything
  uint64_t malformed = 0;  // accepted messages with a record that does not parse
  uint64_t oversize = 0;   // replies larger than we advertised, accepted
  uint64_t truncated = 0;  // replies with TC
  uint64_t timeouts = 0;   // tries
  uint64_t unreachable = 0;
  uint64_t edns_fallbacks = 0;
  uint64_t unusable_dedicated = 0;  // words after a name that are no usable resolver
  std::array<uint64_t, 24> rcodes{};        // accepted, duplicates included; 23: all above 22
  std::array<uint64_t, 24> rcodes_received{};
  std::array<uint64_t, 256> tries{};        // lookups ended (or in flight) by how many tries failed
  uint64_t near_misses = 0; // lookups sent to TCP by replies that were almost theirs
  uint64_t late = 0;        // UDP replies to a lookup that had gone on to TCP
  Histogram udp_latency;    // microseconds
  Histogram reply_size;     // octets, UDP and TCP
  std::array<TypeCounts, counted_types> by_type{};
  TcpStats tcp;

  uint64_t unresolved = 0; // lines written to --unresolved, once for each type
  uint64_t left_open = 0;  // of failed, those that the checkpoint leaves to be asked again

  // `open`: outcomes that are still to come, or that never will.
  bool balanced(uint64_t open) const {
    return due == answered + failed_total() + invalid + open && lookups <= due;
  }
  uint64_t failed_total() const {
    uint64_t total = 0;
    for (uint64_t n : failed) total += n;
    return total;
  }
  TypeCounts& of_type(uint16_t type) { return by_type[std::min<size_t>(type, counted_types - 1)]; }
  void add(const Stats& other);
};

}  // namespace ringdns
