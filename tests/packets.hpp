// DNS packets built by hand, for tests.
#pragma once

#include <string>
#include <vector>

#include "ringdns/wire.hpp"

namespace packets {

inline std::string u16(unsigned value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value)};
}
inline std::string u32(uint32_t value) { return u16(value >> 16) + u16(value & 0xffff); }

inline std::string name(std::string_view text) {
  ringdns::WireName wire;
  if (encode_name(text, wire) != ringdns::NameError::none) return "bad name in a test";
  return {reinterpret_cast<const char*>(wire.octets.data()), wire.length};
}

// A character-string.
inline std::string counted(std::string_view text) {
  return static_cast<char>(text.size()) + std::string(text);
}

inline std::string from_hex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return out;
}

inline const std::string question_pointer = "\xc0\x0c";

inline std::string record(const std::string& owner, unsigned type, const std::string& rdata,
                          unsigned rr_class = 1, uint32_t ttl = 300) {
  return owner + u16(type) + u16(rr_class) + u32(ttl) + u16(static_cast<unsigned>(rdata.size())) +
         rdata;
}

struct Packet {
  std::string question;  // presentation form
  unsigned type = 1;
  std::vector<std::string> answers = {}, authorities = {}, additionals = {};
  unsigned flags = 0x8180;  // qr rd ra
  unsigned rr_class = 1;

  std::string bytes() const {
    std::string out = u16(0x1234) + u16(flags) + u16(1);
    for (const auto* section : {&answers, &authorities, &additionals})
      out += u16(static_cast<unsigned>(section->size()));
    out += name(question) + u16(type) + u16(rr_class);
    for (const auto* section : {&answers, &authorities, &additionals})
      for (const std::string& record : *section) out += record;
    return out;
  }
};

// Exactly as long as it is, so that the sanitizers see whoever reads past its end.
struct Indexed {
  explicit Indexed(const std::string& packet)
      : bytes(packet.begin(), packet.end()), sound(message.index({bytes.data(), bytes.size()})) {}
  std::vector<uint8_t> bytes;
  ringdns::Message message;
  bool sound;
};

}  // namespace packets
