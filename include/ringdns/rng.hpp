// Level 1: the one source of randomness. Query ids and source ports must be unpredictable
// (RFC 5452), and a run must be replayable from its seed, so this is the ChaCha stream cipher
// (RFC 8439, 8 rounds) keyed by the seed: unpredictable without the seed, the same with it.
#pragma once

#include "ringdns/base.hpp"

namespace ringdns {

class Rng {
 public:
  using Seed = std::array<uint32_t, 8>;

  explicit Rng(const Seed& seed) : key_(seed) {}

  uint32_t next() {
    if (position_ == block_.size()) refill();
    return block_[position_++];
  }

  // Uniform in [0, bound), bound > 0; Lemire's multiplication, whose bias (bound / 2^32) is far
  // below what any use here could notice.
  uint32_t below(uint32_t bound) {
    return static_cast<uint32_t>(static_cast<uint64_t>(next()) * bound >> 32);
  }

 private:
  static constexpr int rounds = 8;

  static void quarter(std::array<uint32_t, 16>& s, int a, int b, int c, int d) {
    s[a] += s[b], s[d] = std::rotl(s[d] ^ s[a], 16);
    s[c] += s[d], s[b] = std::rotl(s[b] ^ s[c], 12);
    s[a] += s[b], s[d] = std::rotl(s[d] ^ s[a], 8);
    s[c] += s[d], s[b] = std::rotl(s[b] ^ s[c], 7);
  }

  void refill() {
    std::array<uint32_t, 16> input = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    for (size_t i = 0; i < 8; ++i) input[4 + i] = key_[i];
    input[12] = static_cast<uint32_t>(counter_);
    input[13] = static_cast<uint32_t>(counter_ >> 32);
    ++counter_;
    block_ = input;
    for (int round = 0; round < rounds; round += 2) {
      for (int i = 0; i < 4; ++i) quarter(block_, i, 4 + i, 8 + i, 12 + i);
      for (int i = 0; i < 4; ++i)
        quarter(block_, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
    }
    for (size_t i = 0; i < 16; ++i) block_[i] += input[i];
    position_ = 0;
  }

  Seed key_;
  uint64_t counter_ = 0;
  std::array<uint32_t, 16> block_{};
  size_t position_ = 16;
};

}  // namespace ringdns
