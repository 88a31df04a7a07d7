// Level 0: what a worker process sends up to the one that started it (--processes): frames of a
// kind, a length in octets, and that many octets.
#pragma once

#include <cstring>

#include "ringdns/base.hpp"

namespace ringdns {

enum FrameKind : char {
  output_frame = 'O',  // whole lines or records of output
  log_frame = 'E',     // whole lines for the error log
  stats_frame = 'S',   // a WorkerReport
};

inline constexpr size_t frame_header_size = 1 + sizeof(uint32_t);

inline void encode_frame_header(char* out, char kind, size_t length) {
  uint32_t octets = static_cast<uint32_t>(length);
  out[0] = kind;
  std::memcpy(out + 1, &octets, sizeof octets);
}

}  // namespace ringdns
