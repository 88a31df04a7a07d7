// Level 7: what a run says and leaves at its end, and its exit code.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ringdns/options.hpp"
#include "ringdns/resolver_facts.hpp"
#include "ringdns/sink.hpp"
#include "ringdns/status.hpp"

namespace ringdns {

inline constexpr int exit_failure = 1;

int complain(const std::string& what);  // returns exit_failure
// Said unless the user wants no words.
void notice(const Options& options, const std::string& what);

// Files that are opened before a run, while there are rights to do so, and written at its end.
struct LastFiles {
  Fd stats, resolver_stats;

  std::string open(const Options& options);  // returns what went wrong
};

// A file that could not be written.
struct LostWrite {
  std::string path;
  int error = 0;
  std::string lost;  // "3 results"; may be empty
};

// How a run ended, told and turned into the exit code.
struct Ending {
  int signal = 0;
  int input_error = 0;
  std::string_view foreign_input;
  std::vector<LostWrite> lost;
  bool worker_failed = false;

  bool failed() const {
    return input_error || !foreign_input.empty() || !lost.empty() || worker_failed;
  }
  void add(const std::string& path, const Sink& sink, std::string_view what);
};

void tell_failures(const Options& options, const Ending& ending, const RunFacts& facts);

struct RunEnd {
  const RunFacts& facts;
  std::span<const ResolverFacts> resolvers;
  std::string_view io_name;
};

// Writes the last files, says what there is to say, and returns the exit code.
int conclude(const Options& options, const RunEnd& end, const Ending& ending,
             const LastFiles& files);

}  // namespace ringdns
