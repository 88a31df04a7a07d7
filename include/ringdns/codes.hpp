// Level 2: the registered numbers of DNS and their names, both directions, from tables.
// Source: IANA "Domain Name System (DNS) Parameters". Unknown numbers survive as TYPEn, CLASSn
// (RFC 3597) and RCODEn.
#pragma once

#include <optional>
#include <string_view>

#include "ringdns/base.hpp"
#include "ringdns/buffer.hpp"

namespace ringdns {

namespace type {
inline constexpr uint16_t a = 1, ns = 2, cname = 5, soa = 6, ptr = 12, mx = 15, txt = 16,
                          aaaa = 28, srv = 33, dname = 39, opt = 41, ixfr = 251, axfr = 252,
                          any = 255, caa = 257;
}

namespace rr_class {
inline constexpr uint16_t internet = 1, chaos = 3, any = 255;
}

namespace rcode {
inline constexpr uint16_t noerror = 0, formerr = 1, servfail = 2, nxdomain = 3, notimp = 4,
                          refused = 5, badvers = 16;
// Extended rcodes have 12 bits (RFC 6891 6.1.3).
inline constexpr uint16_t limit = 4096;
}  // namespace rcode

void append_type(Buffer& out, uint16_t type);      // "A", "TYPE65280"
void append_class(Buffer& out, uint16_t rr_class); // "IN", "CLASS42"
void append_rcode(Buffer& out, uint16_t rcode);    // "NOERROR", "RCODE1234"

// Mnemonic (any case), number, or TYPEn.
std::optional<uint16_t> parse_type(std::string_view text);
// Mnemonic (any case, OK for NOERROR) or number.
std::optional<uint16_t> parse_rcode(std::string_view text);

}  // namespace ringdns
