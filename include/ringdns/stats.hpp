// Level 3: what is counted, and the words for how a lookup can fail.
#pragma once

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
};
inline constexpr size_t failure_reasons = 5;
std::string_view name(FailureReason reason);  // massdns's word where it has one: "TIMEOUT"

// Plain counters: every one of them adds up over processes.
struct Stats {
  uint64_t lines = 0;      // non-blank input lines taken
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
  uint64_t malformed = 0;  // accepted replies with a record that does not parse
  uint64_t oversize = 0;   // replies larger than we advertised, accepted
  uint64_t truncated = 0;  // replies with TC
  uint64_t timeouts = 0;   // tries
  uint64_t unreachable = 0;
  uint64_t edns_fallbacks = 0;
  uint64_t unusable_dedicated = 0;  // words after a name that are no usable resolver
  std::array<uint64_t, 24> rcodes{};        // accepted, duplicates included; 23: all above 22
  std::array<uint64_t, 24> rcodes_received{};
  std::array<uint64_t, 256> tries{};        // lookups ended (or in flight) by how many tries failed
  uint64_t output_bytes = 0;

  uint64_t failed_total() const {
    uint64_t total = 0;
    for (uint64_t n : failed) total += n;
    return total;
  }
  void add(const Stats& other);
};

}  // namespace ringdns
