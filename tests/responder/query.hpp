// A query as its octets say, every length checked: the client under test may be at fault too.
#pragma once

#include "text.hpp"

namespace responder {

enum class QueryState : uint8_t {
  good,
  runt,            // no header: nothing to answer
  not_a_query,     // QR=1: answering would make a loop
  not_implemented, // another opcode
  malformed,       // answered FORMERR with the bare header
};

struct Query {
  QueryState parse(Bytes packet);

  Bytes packet;
  uint16_t id = 0;
  uint16_t type = 0, rr_class = 0;
  uint16_t question_end = 0;
  uint8_t name_length = 0;  // wire octets, the root's included
  uint8_t label_count = 0;
  bool edns = false, dnssec_ok = false;
  uint8_t edns_version = 0;
  uint16_t edns_size = 512;  // what the client can take; 512 without EDNS (RFC 6891 6.2.5)
  Bytes options;
  std::array<uint8_t, 128> labels;   // offsets into the name
  std::array<uint8_t, 256> folded;   // the name in lower case

  Bytes name() const { return {folded.data(), name_length}; }
  std::span<const uint8_t> label_offsets() const { return {labels.data(), label_count}; }
  bool has_option(uint16_t code) const;

 private:
  bool parse_name();
  bool parse_additional();
};

// FNV-1a, 32 bits, over the name in lower case, labels joined and ended by dots ("www.test.").
// `answer A hash` is 10.x.y.z with its low 24 bits, `AAAA hash` 2001:db8::hhhh:hhhh.
uint32_t name_hash(const Query& query);

}  // namespace responder
