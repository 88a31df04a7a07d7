// Level 6: after start-up a run needs few system calls and opens no file. What it does not need is
// taken from it, for good, so that whoever finds a bug in it finds little behind it:
// - seccomp: an allow-list of system calls; the others fail with EPERM.
// - Landlock: no path can be opened, made, removed or executed, but for the files of directories
//   that the run itself keeps writing in.
// - io_uring, whose operations seccomp does not see: restrictions of the ring's own, see
//   io_uring_ring.cpp.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ringdns/base.hpp"

namespace ringdns {

struct SandboxNeeds {
  bool supervises = false;               // signals its children and waits for them (--processes)
  std::span<const int> directories = {}; // descriptors: files are made and replaced in these
};

// Nor is a core file written, which may be huge. Returns, to be told, what this kernel does not have
// of all that.
std::vector<std::string> enter_sandbox(const SandboxNeeds& needs);

}  // namespace ringdns
