// Level 0: the few words everything else is written in.
#pragma once

#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <utility>

namespace ringdns {

using Bytes = std::span<const uint8_t>;
using MutableBytes = std::span<uint8_t>;

using Duration = std::chrono::nanoseconds;
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;  // monotonic
using UnixTime = std::chrono::time_point<std::chrono::system_clock, Duration>; // wall clock

// Microseconds, the low 32 bits: differences of up to an hour are right.
inline uint32_t to_us(Instant t) {
  return static_cast<uint32_t>(t.time_since_epoch() / std::chrono::microseconds(1));
}

// A strong index: an Id<SocketTag> is not an Id<StreamTag>.
template <class Tag>
struct Id {
  uint32_t v = UINT32_MAX;
  constexpr bool valid() const { return v != UINT32_MAX; }
  friend constexpr bool operator==(Id, Id) = default;
};

// Our own bug, never the network's or the user's: kept in release builds.
inline void ensure(bool condition, const char* what) {
  if (!condition) [[unlikely]] {
    std::fprintf(stderr, "ringdns: internal error: %s\n", what);
    std::abort();
  }
}

// An owned file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

inline uint16_t load_u16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
inline uint32_t load_u32(const uint8_t* p) {
  return static_cast<uint32_t>(p[0]) << 24 | static_cast<uint32_t>(p[1]) << 16 |
         static_cast<uint32_t>(p[2]) << 8 | p[3];
}
inline void store_u16(uint8_t* p, uint16_t v) {
  p[0] = static_cast<uint8_t>(v >> 8);
  p[1] = static_cast<uint8_t>(v);
}
inline void store_u32(uint8_t* p, uint32_t v) {
  store_u16(p, static_cast<uint16_t>(v >> 16));
  store_u16(p + 2, static_cast<uint16_t>(v));
}

}  // namespace ringdns
