// The fields that several types share.
#include <chrono>

#include "ringdns/rdata.hpp"
#include "ringdns/text.hpp"

namespace ringdns::field {

bool u8(Buffer& out, Rdata& rdata) {
  uint8_t value;
  if (!rdata.take_u8(value)) return false;
  out.append_decimal(value);
  return true;
}

bool u16(Buffer& out, Rdata& rdata) {
  uint16_t value;
  if (!rdata.take_u16(value)) return false;
  out.append_decimal(value);
  return true;
}

bool u32(Buffer& out, Rdata& rdata) {
  uint32_t value;
  if (!rdata.take_u32(value)) return false;
  out.append_decimal(value);
  return true;
}

bool u48(Buffer& out, Rdata& rdata) {
  uint16_t high;
  uint32_t low;
  if (!rdata.take_u16(high) || !rdata.take_u32(low)) return false;
  out.append_decimal(uint64_t{high} << 32 | low);
  return true;
}

bool u64(Buffer& out, Rdata& rdata) {
  uint32_t high, low;
  if (!rdata.take_u32(high) || !rdata.take_u32(low)) return false;
  out.append_decimal(uint64_t{high} << 32 | low);
  return true;
}

bool name(Buffer& out, Rdata& rdata) { return rdata.append_name(out); }

bool string(Buffer& out, Rdata& rdata) {
  Bytes bytes;
  if (!rdata.take_counted(bytes)) return false;
  append_quoted(out, bytes);
  return true;
}

bool optional_string(Buffer& out, Rdata& rdata) {
  return rdata.left() == 0 || string(out, rdata);
}

bool strings(Buffer& out, Rdata& rdata) {
  if (!string(out, rdata)) return false;
  while (rdata.left() > 0) {
    out.append(' ');
    if (!string(out, rdata)) return false;
  }
  return true;
}

bool rest_quoted(Buffer& out, Rdata& rdata) {
  append_quoted(out, rdata.take_rest());
  return true;
}

bool hex(Buffer& out, Rdata& rdata) {
  if (rdata.left() == 0) return false;
  append_hex(out, rdata.take_rest());
  return true;
}

bool hex_lower(Buffer& out, Rdata& rdata) {
  if (rdata.left() == 0) return false;
  append_hex(out, rdata.take_rest(), HexCase::lower);
  return true;
}

bool base64(Buffer& out, Rdata& rdata) { return rdata.left() > 0 && optional_base64(out, rdata); }

bool optional_base64(Buffer& out, Rdata& rdata) {
  append_base64(out, rdata.take_rest());
  return true;
}

bool base64_or_dash(Buffer& out, Rdata& rdata) {
  if (rdata.left() == 0) out.append('-');
  return optional_base64(out, rdata);
}

bool counted_hex_or_dash(Buffer& out, Rdata& rdata) {
  Bytes bytes;
  if (!rdata.take_counted(bytes)) return false;
  if (bytes.empty()) out.append('-');
  append_hex(out, bytes);
  return true;
}

bool counted_base32hex(Buffer& out, Rdata& rdata) {
  Bytes bytes;
  if (!rdata.take_counted(bytes) || bytes.empty()) return false;
  append_base32hex(out, bytes);
  return true;
}

bool counted_base64(Buffer& out, Rdata& rdata) {
  uint16_t length;
  Bytes bytes;
  if (!rdata.take_u16(length) || !rdata.take(length, bytes)) return false;
  out.append_decimal(length);
  if (length > 0) out.append(' ');
  append_base64(out, bytes);
  return true;
}

bool ipv4(Buffer& out, Rdata& rdata) {
  Bytes bytes;
  if (!rdata.take(4, bytes)) return false;
  append_ipv4(out, bytes.data());
  return true;
}

bool ipv6(Buffer& out, Rdata& rdata) {
  Bytes bytes;
  if (!rdata.take(16, bytes)) return false;
  append_ipv6(out, bytes.data());
  return true;
}

bool rr_type(Buffer& out, Rdata& rdata) {
  uint16_t value;
  if (!rdata.take_u16(value)) return false;
  append_type(out, value);
  return true;
}

bool error(Buffer& out, Rdata& rdata) {
  uint16_t value;
  if (!rdata.take_u16(value)) return false;
  if (value == 16)
    out.append("BADSIG");  // RFC 8945 3; elsewhere 16 is BADVERS
  else
    append_rcode(out, value);
  return true;
}

// Windows ascend; none is empty or longer than 32 octets, or ends in a zero octet.
bool rr_types(Buffer& out, Rdata& rdata) {
  const char* separator = "";
  for (int last = -1; rdata.left() > 0;) {
    uint8_t window;
    Bytes bitmap;
    if (!rdata.take_u8(window) || !rdata.take_counted(bitmap)) return false;
    if (window <= last || bitmap.empty() || bitmap.size() > 32 || bitmap.back() == 0) return false;
    last = window;
    for (size_t bit = 0; bit < 8 * bitmap.size(); ++bit) {
      if (!(bitmap[bit / 8] & 0x80 >> bit % 8)) continue;
      out.append(separator);
      append_type(out, static_cast<uint16_t>(window << 8 | bit));
      separator = " ";
    }
  }
  return true;
}

// YYYYMMDDHHmmSS. Taken as seconds since 1970 and not by the serial arithmetic of RFC 4034 3.1.5,
// whose result depends on when it is asked; the two agree until 2094.
bool time(Buffer& out, Rdata& rdata) {
  uint32_t seconds;
  if (!rdata.take_u32(seconds)) return false;
  const std::chrono::sys_seconds instant{std::chrono::seconds(seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(instant);
  const std::chrono::year_month_day date(day);
  const uint32_t second = static_cast<uint32_t>((instant - day).count());
  append_padded(out, static_cast<uint32_t>(static_cast<int>(date.year())), 4);
  append_padded(out, static_cast<unsigned>(date.month()), 2);
  append_padded(out, static_cast<unsigned>(date.day()), 2);
  append_padded(out, second / 3600, 2);
  append_padded(out, second / 60 % 60, 2);
  append_padded(out, second % 60, 2);
  return true;
}

}  // namespace ringdns::field
