#include "ringdns/text.hpp"

#include <cstdarg>
#include <cstdio>

#include <algorithm>

namespace ringdns {

namespace {

constexpr char hex_digits[2][17] = {"0123456789abcdef", "0123456789ABCDEF"};
constexpr char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char base32_digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUV";

struct OctetText {
  char digits[3];
  uint8_t length;
};

constexpr auto decimals = [] {
  std::array<OctetText, 256> table{};
  for (int value = 0; value < 256; ++value) {
    OctetText& text = table[value];
    if (value >= 100) text.digits[text.length++] = static_cast<char>('0' + value / 100);
    if (value >= 10) text.digits[text.length++] = static_cast<char>('0' + value / 10 % 10);
    text.digits[text.length++] = static_cast<char>('0' + value % 10);
  }
  return table;
}();

char* write_ipv4(char* at, const uint8_t* octets) {
  for (int i = 0; i < 4; ++i) {
    const OctetText& text = decimals[octets[i]];
    std::memcpy(at, text.digits, sizeof text.digits);
    at += text.length;
    *at++ = '.';
  }
  return at - 1;
}

char* write_group(char* at, uint16_t group) {
  int shift = group >= 0x1000 ? 12 : group >= 0x100 ? 8 : group >= 0x10 ? 4 : 0;
  for (; shift >= 0; shift -= 4) *at++ = hex_digits[0][group >> shift & 15];
  return at;
}

struct Run {
  int start = -1, length = 0;
};

// RFC 5952 4.2: the longest run of two zero groups or more, the first of equals.
Run longest_zeros(const std::array<uint16_t, 8>& groups) {
  Run best, current;
  for (int i = 0; i < 8; ++i) {
    if (groups[i] != 0) {
      current = {};
      continue;
    }
    if (current.length++ == 0) current.start = i;
    if (current.length > best.length) best = current;
  }
  return best.length >= 2 ? best : Run{};
}

char* write_ipv6(char* at, const uint8_t* octets) {
  std::array<uint16_t, 8> groups;
  for (int i = 0; i < 8; ++i) groups[i] = load_u16(octets + 2 * i);
  const Run zeros = longest_zeros(groups);
  const bool holds_ipv4 =
      zeros.start == 0 && (zeros.length == 6 || (zeros.length == 5 && groups[5] == 0xffff));
  for (int i = 0; i < 8;) {
    if (i == zeros.start) {
      *at++ = ':';
      i += zeros.length;
      if (i == 8) *at++ = ':';
      continue;
    }
    if (i > 0) *at++ = ':';
    if (i == 6 && holds_ipv4) return write_ipv4(at, octets + 12);
    at = write_group(at, groups[i++]);
  }
  return at;
}

struct Character {
  uint32_t code;
  size_t length;  // in octets; 0: the first octet begins no character
};

// RFC 3629 4: nothing overlong, no surrogates, nothing above U+10FFFF.
Character first_character(Bytes bytes) {
  const uint8_t first = bytes[0];
  if (first < 0x80) return {first, 1};
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || bytes.size() < length) return {0, 0};
  uint32_t code = first & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((bytes[i] & 0xc0) != 0x80) return {0, 0};
    code = code << 6 | (bytes[i] & 0x3f);
  }
  constexpr uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  if (code < least[length] || surrogate || code > 0x10ffff) return {0, 0};
  return {code, length};
}

void append_json_unit(Buffer& out, uint32_t unit) {
  char* at = out.reserve(6);
  *at++ = '\\';
  *at++ = 'u';
  for (int shift = 12; shift >= 0; shift -= 4) *at++ = hex_digits[0][unit >> shift & 15];
  out.commit(6);
}

// RFC 8259 7: beyond the first plane, a pair of surrogates.
void append_json_character(Buffer& out, uint32_t code) {
  if (code >= 0x10000) {
    append_json_unit(out, 0xd800 + ((code - 0x10000) >> 10));
    return append_json_unit(out, 0xdc00 + (code & 0x3ff));
  }
  if (code < 0x20 || code >= 0x7f) return append_json_unit(out, code);
  if (code == '"' || code == '\\') out.append('\\');
  out.append(static_cast<char>(code));
}

}  // namespace

void append_ipv4(Buffer& out, const uint8_t* octets) {
  char* start = out.reserve(16);
  out.commit(static_cast<size_t>(write_ipv4(start, octets) - start));
}

void append_ipv6(Buffer& out, const uint8_t* octets) {
  char* start = out.reserve(48);
  out.commit(static_cast<size_t>(write_ipv6(start, octets) - start));
}

void append_endpoint(Buffer& out, const Address& address) {
  const uint8_t* octets = address.octets().data();
  if (address.is_ipv4()) {
    append_ipv4(out, octets);
  } else if (octets[0] == 0xfe && (octets[1] & 0xc0) == 0x80) {
    return out.append(address.text());  // link-local: with its scope
  } else {
    out.append('[');
    append_ipv6(out, octets);
    out.append(']');
  }
  out.append(':');
  out.append_decimal(address.port());
}

void append_hex(Buffer& out, Bytes bytes, HexCase letters) {
  const char* digits = hex_digits[letters == HexCase::upper];
  char* at = out.reserve(2 * bytes.size());
  for (uint8_t byte : bytes) {
    *at++ = digits[byte >> 4];
    *at++ = digits[byte & 15];
  }
  out.commit(2 * bytes.size());
}

void append_base64(Buffer& out, Bytes bytes) {
  const size_t length = (bytes.size() + 2) / 3 * 4;
  char* at = out.reserve(length);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) group = group << 8 | (j < count ? bytes[i + j] : 0);
    for (size_t j = 0; j < 4; ++j)
      *at++ = j <= count ? base64_digits[group >> (18 - 6 * j) & 63] : '=';
  }
  out.commit(length);
}

void append_base32hex(Buffer& out, Bytes bytes) {
  uint32_t bits = 0;
  int held = 0;
  for (uint8_t byte : bytes) {
    bits = (bits << 8 | byte) & 0xfff;
    for (held += 8; held >= 5; held -= 5) out.append(base32_digits[bits >> (held - 5) & 31]);
  }
  if (held > 0) out.append(base32_digits[bits << (5 - held) & 31]);
}

void append_padded(Buffer& out, uint32_t value, int digits) {
  char* at = out.reserve(static_cast<size_t>(digits));
  for (int i = digits - 1; i >= 0; --i, value /= 10) at[i] = static_cast<char>('0' + value % 10);
  out.commit(static_cast<size_t>(digits));
}

void append_escaped(Buffer& out, Bytes bytes, std::string_view special) {
  char* const start = out.reserve(4 * bytes.size());
  char* at = start;
  for (uint8_t byte : bytes) {
    const bool printable = byte >= 0x20 && byte < 0x7f;
    if (!printable || special.find(static_cast<char>(byte)) != special.npos) *at++ = '\\';
    if (printable) {
      *at++ = static_cast<char>(byte);
    } else {
      *at++ = static_cast<char>('0' + byte / 100);
      *at++ = static_cast<char>('0' + byte / 10 % 10);
      *at++ = static_cast<char>('0' + byte % 10);
    }
  }
  out.commit(static_cast<size_t>(at - start));
}

void append_quoted(Buffer& out, Bytes bytes) {
  out.append('"');
  append_escaped(out, bytes, "\"\\");
  out.append('"');
}

void escape_json(Buffer& out, size_t start) {
  const std::string_view text = out.view().substr(start);
  size_t specials = 0;
  for (char c : text) specials += c == '"' || c == '\\';
  if (specials == 0) return;
  const size_t length = text.size();
  out.reserve(specials);
  char* from = out.data() + start + length;
  char* to = from + specials;
  while (from != to) {  // from the end, so that nothing is overwritten before it is moved
    const char c = *--from;
    *--to = c;
    if (c == '"' || c == '\\') *--to = '\\';
  }
  out.commit(specials);
}

void append_json_octets(Buffer& out, Bytes bytes) {
  while (!bytes.empty()) {
    const Character character = first_character(bytes);
    if (character.length == 0) {
      out.append("\\\\");
      append_padded(out, bytes[0], 3);
    } else {
      append_json_character(out, character.code);
    }
    bytes = bytes.subspan(std::max<size_t>(character.length, 1));
  }
}

void print(Buffer& out, const char* format, ...) {
  constexpr size_t most = 512;
  va_list arguments;
  va_start(arguments, format);
  int length = std::vsnprintf(out.reserve(most), most, format, arguments);
  va_end(arguments);
  ensure(length >= 0 && static_cast<size_t>(length) < most, "what is printed fits");
  out.commit(static_cast<size_t>(length));
}

}  // namespace ringdns
