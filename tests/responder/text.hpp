// Words of a plan as values: numbers, times, names, record types and rdata. Nothing here is
// shared with the code under test, so that an error in one does not hide in the other.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringdns/base.hpp"

namespace responder {

using ringdns::Bytes;
using ringdns::Duration;
using Octets = std::vector<uint8_t>;
using View = std::string_view;

// Not with +, which g++ 12 takes for overlapping copies (GCC bug 105651).
template <class... Parts>
std::string join(const Parts&... parts) {
  std::string out;
  (out.append(View(parts)), ...);
  return out;
}

struct Range {
  uint64_t low = 0, high = UINT64_MAX;
  bool holds(uint64_t value) const { return low <= value && value <= high; }
  friend bool operator==(const Range&, const Range&) = default;
};

// A line's words. Double quotes keep blanks inside a word; "#" at the start of a word begins a
// comment; ";" between words is a word. Empty when a quote is not closed.
std::optional<std::vector<std::string>> split_words(View line);

std::optional<uint64_t> parse_number(View text, uint64_t most);
std::optional<Range> parse_range(View text);          // "5", "5..8", "5..", "..8"
std::optional<Duration> parse_duration(View text);    // "100us", "5ms", "2s", "1.5s"
std::optional<uint64_t> parse_percent(View text);     // "5%", "0.1%": a threshold out of 2^32

// A name with its final dot; "." is the root; \DDD and \X escapes. Case is kept.
std::optional<Octets> parse_name(View text);
std::optional<uint16_t> parse_type(View text);        // "A", "TYPE65280"; capitals only
std::optional<uint16_t> parse_class(View text);       // "IN", "CLASS5"; ANY is a type
std::optional<uint16_t> parse_rcode(View text);       // "NXDOMAIN", "16"

// The words of one record's rdata in presentation form, or RFC 3597's "\# length hex".
std::optional<Octets> parse_rdata(uint16_t type, const std::vector<std::string>& words);

inline uint8_t fold(uint8_t c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; }

}  // namespace responder
