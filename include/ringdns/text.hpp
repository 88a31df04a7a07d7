// Level 2: octets as text, straight into a buffer: what presentation forms are made of.
#pragma once

#include "ringdns/address.hpp"
#include "ringdns/base.hpp"
#include "ringdns/buffer.hpp"

namespace ringdns {

void append_ipv4(Buffer& out, const uint8_t* octets);  // 4
void append_ipv6(Buffer& out, const uint8_t* octets);  // 16; as inet_ntop (RFC 5952)
void append_endpoint(Buffer& out, const Address& address);  // Address::text()

enum class HexCase : uint8_t { lower, upper };
void append_hex(Buffer& out, Bytes bytes, HexCase letters = HexCase::upper);
void append_base64(Buffer& out, Bytes bytes);     // RFC 4648 4, padded
void append_base32hex(Buffer& out, Bytes bytes);  // RFC 4648 7, unpadded, upper case
void append_padded(Buffer& out, uint32_t value, int digits);  // with leading zeros

// As printf; at most 511 octets, or it is a bug.
[[gnu::format(printf, 2, 3)]] void print(Buffer& out, const char* format, ...);

// Printable octets as they are, others as \DDD (RFC 1035 5.1), a backslash before each one that
// is in `special`. Lossless where the backslash is special.
void append_escaped(Buffer& out, Bytes bytes, std::string_view special);
// A character-string in quotes.
void append_quoted(Buffer& out, Bytes bytes);

// JSON's own escapes for the printable text that was appended from `start` on.
void escape_json(Buffer& out, size_t start);
// Octets of any kind as what stands in a JSON string, all of it ASCII: UTF-8 as its characters, and
// an octet that is none of it as \DDD, which in a name means the same.
void append_json_octets(Buffer& out, Bytes bytes);

}  // namespace ringdns
