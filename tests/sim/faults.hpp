// What can go wrong on the way and on this host, each with its rate. A seed enables some, at rates
// of its own. What the servers do wrong is said in the responder's language (scenario.cpp).
#pragma once

namespace sim {

struct Faults {
  // UDP, of the replies; those that are to be believed by nobody carry a marker (servers.cpp).
  double lost = 0, query_lost = 0, doubled = 0, reordered = 0, late = 0, corrupted = 0, cut = 0;
  double forged_source = 0, forged_id = 0, forged_port = 0, garbage = 0;
  double unreachable = 0, wrong_quote = 0;
  // UDP, of the sends
  double queue_full = 0, send_error = 0;
  // TCP, of the connects
  double no_descriptor = 0, no_port = 0, refused = 0, blackhole = 0, no_route = 0, slow_connect = 0;
  // TCP, of the answers
  double reset = 0, fin = 0, stalled = 0, single_octets = 0, pieces = 0;
  // TCP, of the writes
  double write_slow = 0, write_stuck = 0, write_error = 0;
  // This host's streams, of the operations
  double input_stalls = 0, output_slow = 0, log_slow = 0;
  // The process itself gets no time for a while.
  double hiccup = 0;
};

struct FaultKind {
  const char* name;
  double Faults::*rate;
  double most;  // the highest rate that a seed gives it
  bool harmless = false;  // costs time, but no try of any lookup
};

inline constexpr FaultKind fault_kinds[] = {
    {"lost", &Faults::lost, 0.4},
    {"query_lost", &Faults::query_lost, 0.4},
    {"doubled", &Faults::doubled, 0.5, true},
    {"reordered", &Faults::reordered, 1.0, true},
    {"late", &Faults::late, 0.3},
    {"corrupted", &Faults::corrupted, 0.2},
    {"cut", &Faults::cut, 0.2},
    {"forged_source", &Faults::forged_source, 0.3},
    {"forged_id", &Faults::forged_id, 0.3},
    {"forged_port", &Faults::forged_port, 0.3},
    {"garbage", &Faults::garbage, 0.2},
    {"unreachable", &Faults::unreachable, 0.2},
    {"wrong_quote", &Faults::wrong_quote, 0.2},
    {"queue_full", &Faults::queue_full, 0.3, true},
    {"send_error", &Faults::send_error, 0.2},
    {"no_descriptor", &Faults::no_descriptor, 0.6},
    {"no_port", &Faults::no_port, 0.4},
    {"refused", &Faults::refused, 0.4},
    {"blackhole", &Faults::blackhole, 0.3},
    {"no_route", &Faults::no_route, 0.2},
    {"slow_connect", &Faults::slow_connect, 0.3},
    {"reset", &Faults::reset, 0.1},
    {"fin", &Faults::fin, 0.1},
    {"stalled", &Faults::stalled, 0.1},
    {"single_octets", &Faults::single_octets, 0.2, true},
    {"pieces", &Faults::pieces, 0.5, true},
    {"write_slow", &Faults::write_slow, 0.3},
    {"write_stuck", &Faults::write_stuck, 0.1},
    {"write_error", &Faults::write_error, 0.1},
    {"input_stalls", &Faults::input_stalls, 0.3, true},
    {"output_slow", &Faults::output_slow, 0.5, true},
    {"log_slow", &Faults::log_slow, 0.5, true},
    {"hiccup", &Faults::hiccup, 0.02},
};

}  // namespace sim
