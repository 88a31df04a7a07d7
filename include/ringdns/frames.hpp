// Level 1: what a worker process sends up to the one that started it (--processes).
#pragma once

#include <cstring>

#include "ringdns/base.hpp"

namespace ringdns {

enum class FrameKind : uint32_t {
  none,
  output,  // whole lines or records of output
  log,     // whole lines for the error log
  stats,   // WorkerReports (processes.hpp)
};

// In the machine's own byte order: both ends are the same program.
struct FrameHeader {
  FrameKind kind = FrameKind::none;
  uint32_t length = 0;   // octets that follow
  uint32_t results = 0;  // of an output frame
};

}  // namespace ringdns
