// What the fuzz targets share. A target is a file with LLVMFuzzerTestOneInput: under libFuzzer
// (scripts/fuzz) it meets new inputs, with replay.cpp (scripts/test) those of its corpus.
#pragma once

#include <string>
#include <string_view>

#include "ringdns/base.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace fuzz {

// What must hold of every input. The abort is what libFuzzer reports and keeps the input of.
inline void require(bool held, const char* what) {
  if (held) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

inline std::string_view text_of(ringdns::Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The input as a series of choices and what they are about. Zeros when nothing is left.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : bytes_(data, size) {}

  bool empty() const { return bytes_.empty(); }
  uint8_t u8() {
    const ringdns::Bytes taken = take(1);
    return taken.empty() ? 0 : taken[0];
  }
  uint16_t u16() {
    const uint8_t high = u8();
    return static_cast<uint16_t>(high << 8 | u8());
  }
  ringdns::Bytes take(size_t length) {
    const ringdns::Bytes taken = bytes_.first(std::min(length, bytes_.size()));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }
  ringdns::Bytes rest() { return take(bytes_.size()); }

 private:
  ringdns::Bytes bytes_;
};

// Long texts out of short inputs: 0xfe stands for a run (its length, the octet).
inline std::string expanded(ringdns::Bytes octets, size_t enough) {
  Input input(octets.data(), octets.size());
  std::string out;
  while (!input.empty() && out.size() < enough) {
    const uint8_t octet = input.u8();
    if (octet != 0xfe) {
      out += static_cast<char>(octet);
      continue;
    }
    const uint16_t length = input.u16();
    out.append(length, static_cast<char>(input.u8()));
  }
  return out;
}

}  // namespace fuzz
