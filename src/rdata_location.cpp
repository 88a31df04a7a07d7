// LOC (RFC 1876).
#include "ringdns/rdata.hpp"
#include "ringdns/text.hpp"

namespace ringdns::field {

namespace {

constexpr uint32_t degree = 3'600'000;          // thousandths of a second of arc
constexpr uint32_t middle = UINT32_C(1) << 31;  // equator, prime meridian
constexpr uint32_t ground = 10'000'000;         // cm below the WGS 84 spheroid where altitude is 0

bool append_angle(Buffer& out, uint32_t encoded, uint32_t most, const char* hemispheres) {
  const bool positive = encoded >= middle;
  const uint32_t angle = positive ? encoded - middle : middle - encoded;
  if (angle > most * degree) return false;
  for (uint32_t part : {angle / degree, angle / 60'000 % 60, angle / 1000 % 60}) {
    out.append_decimal(part);
    out.append(' ');
  }
  out.truncate(out.size() - 1);
  out.append('.');
  append_padded(out, angle % 1000, 3);
  out.append(' ');
  out.append(hemispheres[positive ? 0 : 1]);
  out.append(' ');
  return true;
}

void append_metres(Buffer& out, uint32_t centimetres) {
  out.append_decimal(centimetres / 100);
  out.append('.');
  append_padded(out, centimetres % 100, 2);
  out.append('m');
}

// A digit and a power of ten. Whole metres are written as such.
bool append_size(Buffer& out, uint8_t encoded) {
  const uint32_t digit = encoded >> 4, power = encoded & 15;
  if (digit > 9 || power > 9 || (digit == 0 && power > 0)) return false;
  uint32_t scale = 1;
  for (uint32_t i = power < 2 ? 0 : 2; i < power; ++i) scale *= 10;
  out.append(' ');
  if (power < 2) {
    append_metres(out, digit * scale);
  } else {
    out.append_decimal(uint64_t{digit} * scale);
    out.append('m');
  }
  return true;
}

}  // namespace

bool location(Buffer& out, Rdata& rdata) {
  uint8_t version, size, horizontal, vertical;
  uint32_t latitude, longitude, altitude;
  if (!rdata.take_u8(version) || version != 0 || !rdata.take_u8(size) ||
      !rdata.take_u8(horizontal) || !rdata.take_u8(vertical) || !rdata.take_u32(latitude) ||
      !rdata.take_u32(longitude) || !rdata.take_u32(altitude))
    return false;
  if (!append_angle(out, latitude, 90, "NS") || !append_angle(out, longitude, 180, "EW"))
    return false;
  if (altitude < ground) out.append('-');
  append_metres(out, altitude < ground ? ground - altitude : altitude - ground);
  return append_size(out, size) && append_size(out, horizontal) && append_size(out, vertical);
}

}  // namespace ringdns::field
