// Level 4: what a person, or a tool reading stderr, is told of a run.
#pragma once

#include "ringdns/buffer.hpp"
#include "ringdns/options.hpp"
#include "ringdns/stats.hpp"

namespace ringdns {

// A run as it stands.
struct RunFacts {
  Instant started, now;
  Stats stats;
  uint64_t in_flight = 0;
  uint64_t input_consumed = 0;  // octets
  uint64_t input_size = 0;      // octets; 0 when not known
  uint64_t next_line = 1;       // every input line before it was taken
  uint64_t open = 0;            // outcomes that lines taken still wait for
  bool done = false;
};

class Status {
 public:
  virtual ~Status() = default;
  // About once a second, and once at the end.
  virtual void append(Buffer& out, const RunFacts& facts) = 0;
};

// massdns's real-time status: a redrawn table (a line a second where stderr is no terminal), or a
// JSON object a line whose first keys are massdns's.
std::unique_ptr<Status> make_status(const Options& options, bool terminal);

// What became of every name: written once, at the end.
void append_summary(Buffer& out, const RunFacts& facts, std::string_view io_name);

// --stats: every counter, as one JSON object and a newline.
void append_stats_json(Buffer& out, const RunFacts& facts);

}  // namespace ringdns
