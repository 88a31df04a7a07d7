// The fields that one type only has.
#include <algorithm>

#include "ringdns/rdata.hpp"
#include "ringdns/text.hpp"

namespace ringdns {

// Trailing zero octets of an address are not sent.
bool take_address_prefix(Rdata& rdata, AddressPrefix& item) {
  constexpr uint8_t negation = 0x80;
  uint8_t length;
  Bytes part;
  if (!rdata.take_u16(item.family) || !rdata.take_u8(item.prefix) || !rdata.take_u8(length))
    return false;
  if (item.family != 1 && item.family != 2) return false;
  const uint8_t most = item.family == 1 ? 4 : 16;
  item.negated = length & negation;
  length &= static_cast<uint8_t>(~negation);
  if (length > most || item.prefix > 8 * most || !rdata.take(length, part)) return false;
  if (!part.empty() && part.back() == 0) return false;
  item.address = {};
  std::copy(part.begin(), part.end(), item.address.begin());
  return true;
}

}  // namespace ringdns

namespace ringdns::field {

namespace {

struct Mnemonic {
  uint16_t number;
  std::string_view name;
};

void append_mnemonic(Buffer& out, uint16_t number, std::span<const Mnemonic> names) {
  for (const Mnemonic& mnemonic : names)
    if (mnemonic.number == number) return out.append(mnemonic.name);
  out.append_decimal(number);
}

// What IPSECKEY (RFC 4025 2.5) and AMTRELAY (RFC 8777 4.2.4) point to.
bool append_gateway(Buffer& out, Rdata& rdata, uint8_t kind) {
  switch (kind) {
    case 0: out.append('.'); return true;
    case 1: return ipv4(out, rdata);
    case 2: return ipv6(out, rdata);
    case 3: return name(out, rdata);
  }
  return false;
}

bool append_dashed(Buffer& out, Rdata& rdata, size_t length) {
  Bytes bytes;
  if (!rdata.take(length, bytes)) return false;
  for (size_t i = 0; i < length; ++i) {
    if (i > 0) out.append('-');
    append_hex(out, bytes.subspan(i, 1), HexCase::lower);
  }
  return true;
}

}  // namespace

// RFC 2874 3.1.1: the prefix length, as much of the address as that leaves, the rest's name.
bool a6(Buffer& out, Rdata& rdata) {
  uint8_t prefix;
  Bytes suffix;
  if (!rdata.take_u8(prefix) || prefix > 128 || !rdata.take(16 - prefix / 8, suffix)) return false;
  if (prefix % 8 != 0 && suffix[0] >> (8 - prefix % 8) != 0) return false;  // the pad bits
  out.append_decimal(prefix);
  if (prefix < 128) {
    std::array<uint8_t, 16> octets{};
    std::copy(suffix.begin(), suffix.end(), octets.end() - static_cast<ptrdiff_t>(suffix.size()));
    out.append(' ');
    append_ipv6(out, octets.data());
  }
  if (prefix == 0) return true;
  out.append(' ');
  return name(out, rdata);
}

bool address_prefixes(Buffer& out, Rdata& rdata) {
  const char* separator = "";
  AddressPrefix item;
  while (rdata.left() > 0) {
    if (!take_address_prefix(rdata, item)) return false;
    out.append(separator);
    if (item.negated) out.append('!');
    out.append_decimal(item.family);
    out.append(':');
    (item.family == 1 ? append_ipv4 : append_ipv6)(out, item.address.data());
    out.append('/');
    out.append_decimal(item.prefix);
    separator = " ";
  }
  return true;
}

bool amt_relay(Buffer& out, Rdata& rdata) {
  uint8_t kind;
  if (!u8(out, rdata) || !rdata.take_u8(kind)) return false;
  out.append(kind & 0x80 ? " 1 " : " 0 ");  // discovery is optional
  kind &= 0x7f;
  out.append_decimal(kind);
  out.append(' ');
  return append_gateway(out, rdata, kind);
}

// ATM Forum af-saa-0069: an end system address in hexadecimal, or an E.164 number.
bool atm_address(Buffer& out, Rdata& rdata) {
  uint8_t format;
  if (!rdata.take_u8(format) || format > 1) return false;
  if (format == 0) return hex_lower(out, rdata);
  const Bytes digits = rdata.take_rest();
  if (digits.empty() ||
      !std::all_of(digits.begin(), digits.end(), [](uint8_t c) { return c >= '0' && c <= '9'; }))
    return false;
  out.append('+');
  out.append(digits);
  return true;
}

// RFC 8659 4.1: letters and digits, no quotes around them.
bool caa_tag(Buffer& out, Rdata& rdata) {
  Bytes tag;
  if (!rdata.take_counted(tag) || tag.empty()) return false;
  const bool plain = std::all_of(tag.begin(), tag.end(), [](uint8_t c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  });
  out.append(tag);
  return plain;
}

bool certificate_algorithm(Buffer& out, Rdata& rdata) {
  // IANA "DNS Security Algorithm Numbers"
  static constexpr Mnemonic algorithms[] = {
      {1, "RSAMD5"},           {2, "DH"},           {3, "DSA"},
      {5, "RSASHA1"},          {6, "NSEC3DSA"},     {7, "NSEC3RSASHA1"},
      {8, "RSASHA256"},        {10, "RSASHA512"},   {12, "ECCGOST"},
      {13, "ECDSAP256SHA256"}, {14, "ECDSAP384SHA384"}, {15, "ED25519"},
      {16, "ED448"},           {252, "INDIRECT"},   {253, "PRIVATEDNS"},
      {254, "PRIVATEOID"}};
  uint8_t algorithm;
  if (!rdata.take_u8(algorithm)) return false;
  append_mnemonic(out, algorithm, algorithms);
  return true;
}

bool certificate_type(Buffer& out, Rdata& rdata) {
  // RFC 4398 2.1
  static constexpr Mnemonic kinds[] = {{1, "PKIX"},   {2, "SPKI"},    {3, "PGP"},   {4, "IPKIX"},
                                       {5, "ISPKI"},  {6, "IPGP"},    {7, "ACPKIX"},
                                       {8, "IACPKIX"}, {253, "URI"},  {254, "OID"}};
  uint16_t kind;
  if (!rdata.take_u16(kind)) return false;
  append_mnemonic(out, kind, kinds);
  return true;
}

bool dsync_scheme(Buffer& out, Rdata& rdata) {
  static constexpr Mnemonic schemes[] = {{1, "NOTIFY"}};  // RFC 9859 2.1
  uint8_t scheme;
  if (!rdata.take_u8(scheme)) return false;
  append_mnemonic(out, scheme, schemes);
  return true;
}

bool eui48(Buffer& out, Rdata& rdata) { return append_dashed(out, rdata, 6); }
bool eui64(Buffer& out, Rdata& rdata) { return append_dashed(out, rdata, 8); }

// RFC 8005 5: both lengths come first.
bool hip(Buffer& out, Rdata& rdata) {
  uint8_t tag_length, algorithm;
  uint16_t key_length;
  Bytes tag, key;
  if (!rdata.take_u8(tag_length) || !rdata.take_u8(algorithm) || !rdata.take_u16(key_length) ||
      !rdata.take(tag_length, tag) || !rdata.take(key_length, key) || tag.empty() || key.empty())
    return false;
  out.append_decimal(algorithm);
  out.append(' ');
  append_hex(out, tag);
  out.append(' ');
  append_base64(out, key);
  while (rdata.left() > 0) {
    out.append(' ');
    if (!name(out, rdata)) return false;
  }
  return true;
}

bool ipsec_gateway(Buffer& out, Rdata& rdata) {
  uint8_t precedence, kind, algorithm;
  if (!rdata.take_u8(precedence) || !rdata.take_u8(kind) || !rdata.take_u8(algorithm))
    return false;
  for (uint8_t value : {precedence, kind, algorithm}) {
    out.append_decimal(value);
    out.append(' ');
  }
  if (!append_gateway(out, rdata, kind)) return false;
  return algorithm == 0 || rdata.left() > 0;  // 2.4: 0 is that no key is present
}

// RFC 2535 3.1.2: flags that begin with two ones say that there is no key.
bool key_parameters(Buffer& out, Rdata& rdata) {
  constexpr uint16_t no_key = 0xc000;
  uint16_t flags;
  if (!rdata.take_u16(flags)) return false;
  out.append_decimal(flags);
  for (int i = 0; i < 2; ++i) {
    out.append(' ');
    if (!u8(out, rdata)) return false;  // protocol, algorithm
  }
  return flags >= no_key || rdata.left() > 0;
}

bool locator64(Buffer& out, Rdata& rdata) {
  for (int i = 0; i < 4; ++i) {
    uint16_t group;
    char digits[4];
    if (!rdata.take_u16(group)) return false;
    if (i > 0) out.append(':');
    out.append(digits, static_cast<size_t>(std::to_chars(digits, std::end(digits), group, 16).ptr -
                                           digits));
  }
  return true;
}

bool nsap(Buffer& out, Rdata& rdata) {
  out.append("0x");
  return hex_lower(out, rdata);
}

// RFC 2535 5.2: one bitmap, of the types below 128; bit 0 would announce another format.
bool nxt_types(Buffer& out, Rdata& rdata) {
  const Bytes bitmap = rdata.take_rest();
  if (bitmap.size() > 16 || (!bitmap.empty() && (bitmap[0] & 0x80))) return false;
  const char* separator = "";
  for (size_t bit = 0; bit < 8 * bitmap.size(); ++bit) {
    if (!(bitmap[bit / 8] & 0x80 >> bit % 8)) continue;
    out.append(separator);
    append_type(out, static_cast<uint16_t>(bit));
    separator = " ";
  }
  return true;
}

// RFC 1035 3.4.2: address, protocol, and a bitmap of ports.
bool well_known_services(Buffer& out, Rdata& rdata) {
  if (!ipv4(out, rdata)) return false;
  out.append(' ');
  if (!u8(out, rdata)) return false;
  const Bytes bitmap = rdata.take_rest();
  if (bitmap.size() > 65536 / 8) return false;
  for (size_t port = 0; port < 8 * bitmap.size(); ++port) {
    if (!(bitmap[port / 8] & 0x80 >> port % 8)) continue;
    out.append(' ');
    out.append_decimal(port);
  }
  return true;
}

}  // namespace ringdns::field
