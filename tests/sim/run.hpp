// One seed, from its scenario to the judgement: the engine and its parts, unchanged, wired as
// main.cpp wires them, on the simulated kernel.
#pragma once

#include <optional>

#include "host.hpp"
#include "ringdns/engine.hpp"
#include "servers.hpp"

namespace sim {

// What a run left behind, for the judge.
struct Outcome {
  const Scenario& scenario;
  const Options& options;
  const Stats& stats;
  const RunFacts& facts;
  const SimIo::Counts& kernel;
  const Servers& servers;
  const Output& output;
  const std::string& log;
  int signal = 0, input_error = 0, output_error = 0;
  uint64_t unwritten = 0;
};

// Everything that must hold at the end (judge.cpp); a violation() otherwise.
void judge(const Outcome& outcome);

struct Result {
  uint64_t digest = 0;    // of the output, the log and every counter
  uint64_t lookups = 0;
  Duration time{};        // virtual
  uint64_t turns = 0;
};
Result run_seed(uint64_t seed, uint32_t lookups, bool traced);

}  // namespace sim
