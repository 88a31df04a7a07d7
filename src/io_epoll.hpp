// The epoll implementation of the seam, inside: what its parts share.
#pragma once

#include <vector>

#include "ringdns/io.hpp"

namespace ringdns {

// What newer kernels have. Each is also switched off by itself where the kernel turns out to lack
// it; the contract suite switches off all of them.
struct EpollFeatures {
  bool gso = true;           // UDP_SEGMENT, 4.18
  bool gro = true;           // UDP_GRO, 5.0
  bool precise_wait = true;  // epoll_pwait2, 5.11
  bool nowait = true;        // RWF_NOWAIT on pipes, 6.4
};
IoResult make_io_epoll(uint32_t concurrency, const EpollFeatures& features);

// What the completions of a turn consist of. Memory is allocated once, and touched as far as a
// turn needs it.
class TurnResults {
 public:
  static constexpr uint32_t most_events = 64;    // that one turn looks at
  static constexpr uint32_t most_datagrams = 8192;
  static constexpr size_t longest_datagram = 64 * 1024;

  TurnResults()
      : arena_(std::make_unique_for_overwrite<uint8_t[]>(arena_size)), addresses_(most_addresses) {
    done.reserve(most_datagrams);
  }

  void start() { arena_used_ = addresses_used_ = 0; }

  MutableBytes free_bytes() { return {arena_.get() + arena_used_, arena_size - arena_used_}; }
  // Keeps the first ones of free_bytes().
  Bytes keep_bytes(size_t length) {
    arena_used_ += length;
    return {arena_.get() + arena_used_ - length, length};
  }
  size_t free_addresses() const { return most_addresses - addresses_used_; }
  const Address* keep(const Address& address) {
    addresses_[addresses_used_] = address;
    return &addresses_[addresses_used_++];
  }
  size_t free_datagrams() const {
    return done.size() < most_datagrams ? most_datagrams - done.size() : 0;
  }

  std::vector<Completion> done;

 private:
  // However many events a turn has, each one's share has room for a few of the longest datagrams.
  static constexpr size_t arena_size = most_events * 4 * longest_datagram;
  static constexpr size_t most_addresses = most_datagrams + most_events * 64;

  std::unique_ptr<uint8_t[]> arena_;
  size_t arena_used_ = 0;
  std::vector<Address> addresses_;
  size_t addresses_used_ = 0;
};

// What one descriptor may take of a turn, so that the others get theirs.
struct TurnShare {
  size_t bytes;
  size_t datagrams;
};

}  // namespace ringdns
