// What the io_uring implementation uses of a kernel, for tests to switch off in parts: the seam
// must hold on the older kernels that these stand for as well.
#pragma once

#include "ringdns/io.hpp"

namespace ringdns {

struct RingFeatures {
  bool deferred_task_work = true;  // 6.1: completions are made when we wait, not in between
  bool multishot = true;           // 6.0: one receive serves a socket, into buffers of a ring
  bool send_to = true;             // 6.1: SEND with an address; before, SENDMSG
  bool skip_success = true;        // 5.17: no completion for what went well
  bool registered_files = true;
  bool segmentation = true;        // GSO and GRO of UDP
  uint32_t receive_buffers = 0;    // 0: as many as the concurrency asks for
  uint32_t queue_entries = 0;      // 0: the same
};

// Takes what the kernel has of what is allowed.
IoResult make_io_uring(uint32_t concurrency, const RingFeatures& allowed);

}  // namespace ringdns
