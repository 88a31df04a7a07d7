#include <doctest/doctest.h>

#include "ringdns/policy.hpp"

using namespace ringdns;

namespace {
Lookup edns_lookup(EdnsLevel level) {
  Lookup lookup;
  lookup.edns = level;
  lookup.advertised = level == EdnsLevel::plain ? 0 : 1232;
  return lookup;
}
}  // namespace

TEST_CASE("tcp.md 10: FORMERR, NOTIMP and BADVERS to EDNS lead to a plainer query") {
  ReplyFacts reply;
  for (uint16_t code : {rcode::formerr, rcode::notimp, rcode::badvers}) {
    for (bool unacceptable : {false, true}) {
      reply.rcode = code;
      reply.rcode_unacceptable = unacceptable;
      reply.has_opt = false;
      CHECK(decide(edns_lookup(EdnsLevel::full), reply) == Action::resend_plain);
      CHECK(decide(edns_lookup(EdnsLevel::no_options), reply) == Action::resend_plain);
      reply.has_opt = true;
      Action first = code == rcode::formerr ? Action::resend_no_options : Action::resend_plain;
      reply.sent_options = true;
      CHECK(decide(edns_lookup(EdnsLevel::full), reply) == first);
      reply.sent_options = false;
      CHECK(decide(edns_lookup(EdnsLevel::no_options), reply) == Action::resend_plain);
      // Asked plainly already: it is an answer like any other.
      Action last = unacceptable ? Action::retry : Action::accept;
      CHECK(decide(edns_lookup(EdnsLevel::plain), reply) == last);
    }
  }
}

TEST_CASE("tcp.md 1: no truncated reply is accepted, whatever else it says") {
  for (EdnsLevel level : {EdnsLevel::full, EdnsLevel::no_options, EdnsLevel::plain})
    for (uint16_t code = 0; code < 24; ++code)
      for (int bits = 0; bits < 64; ++bits) {
        Lookup lookup = edns_lookup(level);
        lookup.small = bits & 1;
        ReplyFacts reply;
        reply.rcode = code;
        reply.truncated = true;
        reply.from_current = bits & 2;
        reply.has_opt = bits & 4;
        reply.rcode_unacceptable = bits & 8;
        reply.over_tcp = bits & 16;
        reply.tcp_allowed = bits & 32;
        CHECK(decide(lookup, reply) != Action::accept);
      }
}

TEST_CASE("tcp.md 1, 2, 5: TC leads to TCP, on TCP it is a fault, without TCP it is plainly told") {
  Lookup lookup = edns_lookup(EdnsLevel::full);
  ReplyFacts reply;
  reply.truncated = true;
  CHECK(decide(lookup, reply) == Action::to_tcp);
  reply.over_tcp = true;
  CHECK(decide(lookup, reply) == Action::retry);
  reply.over_tcp = false;
  reply.tcp_allowed = false;
  CHECK(decide(lookup, reply) == Action::truncated);
  lookup.small = true;  // cut at the 512 octets that a loss made us ask for
  CHECK(decide(lookup, reply) == Action::resend_full);
}

TEST_CASE("a resolver given up on can still answer, but not fail the try that is out") {
  Lookup lookup = edns_lookup(EdnsLevel::full);
  ReplyFacts late;
  late.from_current = false;
  CHECK(decide(lookup, late) == Action::accept);
  late.rcode = rcode::servfail;
  late.rcode_unacceptable = true;
  CHECK(decide(lookup, late) == Action::ignore);
  late.truncated = true;
  CHECK(decide(lookup, late) == Action::ignore);
}

TEST_CASE("the retry set decides between a retry and an answer") {
  Lookup lookup = edns_lookup(EdnsLevel::plain);
  ReplyFacts reply;
  reply.rcode = rcode::refused;
  CHECK(decide(lookup, reply) == Action::accept);
  reply.rcode_unacceptable = true;
  CHECK(decide(lookup, reply) == Action::retry);
}
