// All that a seed decides before the run: the command line, the input, the servers' plan, the rates
// of faults. Drawn as a swarm does: each seed has some of the faults, not a little of everything.
#pragma once

#include <string>
#include <vector>

#include "dice.hpp"
#include "faults.hpp"
#include "ringdns/address.hpp"

namespace sim {

// A question that the input holds, in the order in which the feed must ask.
struct Asked {
  uint32_t name = 0;      // Scenario::names
  uint16_t type = 0;
  uint32_t line_end = 0;  // octets of input up to and with its line's end
  uint32_t line = 0;      // 1 for the first
};

struct Scenario {
  Scenario(uint64_t seed, uint32_t lookups);

  uint64_t seed;
  std::vector<std::string> arguments;  // the command line, but for ringdns itself
  std::vector<Address> servers;
  std::string plan;        // of the servers, in tests/responder's language
  std::string input;
  std::vector<std::string> names;  // distinct, as asked, each with its final dot
  std::vector<Asked> asked;
  struct Line {  // of those that are not blank, in order
    uint32_t end = 0;  // as Asked::line_end
    bool invalid = false;
  };
  std::vector<Line> lines;
  char format = 'J';       // letter of the output
  // Servers are honest, and nothing of what may happen costs a reply: every lookup is to be
  // answered at its first try.
  bool harmless = false;

  Faults faults;
  Duration faults_end{};   // from then on all goes well
  Duration latency{};      // of the network, one way and back
  Duration slack{};        // of a turn
  uint32_t descriptors = 0;       // connections that this host gives; 0: any number
  uint32_t input_piece = 0;       // octets a read brings at most; 0: as many as fit
  uint32_t input_error_at = 0;    // reading fails behind so many octets; 0: never
  uint32_t output_error_at = 0;   // likewise writing
  int output_error = 0;
  struct Signal {
    Duration at;
    int number;
  };
  std::vector<Signal> signals;

  std::string text() const;  // for a reader

 private:
  void draw_options(Dice& dice);
  void draw_servers(Dice& dice);
  void draw_input(Dice& dice, uint32_t lookups);
  void draw_faults(Dice& dice);
  bool extended_ = false;
  std::vector<uint16_t> types_;
};

}  // namespace sim
