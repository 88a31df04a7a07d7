// Level 2: how far a run has come, as the text of a file: --checkpoint writes it, --resume reads
// it.
#pragma once

#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "ringdns/buffer.hpp"

namespace ringdns {

// A line of the input, and which of the types that it asks for.
struct Place {
  uint64_t line = 1;
  uint32_t part = 0;
  friend auto operator<=>(const Place&, const Place&) = default;
};

// What tells one list of names from another.
struct InputMark {
  uint64_t size = 0;  // octets; 0 for a stream
  uint64_t head = 0;  // how much of its beginning `hash` is of: octets of a file, lines of a stream
  uint64_t hash = 0;
  friend bool operator==(const InputMark&, const InputMark&) = default;
};

struct Checkpoint {
  uint64_t sequence = 0;  // grows with each one written
  std::string run;        // the options that lines and outcomes depend on; one line
  InputMark input;
  uint64_t base_line = 1, base_offset = 0;  // every unfinished line is there or behind
  Place next;                     // from there on nothing was asked
  std::vector<Place> unfinished;  // before that, ascending
  uint64_t output_size = 0, unresolved_size = 0;  // octets that belong to what is finished
};

void append_checkpoint(Buffer& out, const Checkpoint& checkpoint);

enum class CheckpointError : uint8_t {
  none,
  foreign,  // no checkpoint at all
  version,  // of another version of ringdns
  damaged,  // cut short or changed
};
std::string_view describe(CheckpointError error);
CheckpointError parse_checkpoint(std::string_view text, Checkpoint& out);

// FNV-1a, of what was hashed before and then of these.
inline constexpr uint64_t hash_of_nothing = 0xcbf29ce484222325;
uint64_t hash_on(uint64_t hash, std::string_view bytes);

}  // namespace ringdns
