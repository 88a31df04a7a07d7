// The parameters of SVCB and HTTPS (RFC 9460).
#include "ringdns/rdata.hpp"
#include "ringdns/text.hpp"

namespace ringdns::field {

namespace {

// What a value holds; false when it does not.
using Value = bool (*)(Buffer& out, Bytes value);

constexpr std::string_view key_names[] = {"mandatory", "alpn", "no-default-alpn", "port",
                                          "ipv4hint",  "ech",  "ipv6hint"};

void append_key(Buffer& out, uint16_t key) {
  if (key < std::size(key_names)) return out.append(key_names[key]);
  out.append("key");
  out.append_decimal(key);
}

bool append_mandatory(Buffer& out, Bytes value) {
  if (value.empty() || value.size() % 2 != 0) return false;
  int last = 0;  // "mandatory" itself is not among them
  for (size_t at = 0; at < value.size(); at += 2) {
    const uint16_t key = load_u16(&value[at]);
    if (key <= last) return false;
    if (at > 0) out.append(',');
    append_key(out, key);
    last = key;
  }
  return true;
}

// A list within a string: escaped twice (RFC 9460 appendix A.1). A blank is, as dig does it, so
// that whoever splits a line at its blanks has each parameter whole.
void append_protocol(Buffer& out, Bytes protocol) {
  for (uint8_t c : protocol) {
    if (c == ',' || c == '\\') out.append("\\\\");
    if (c == ' ')
      out.append("\\032");
    else
      append_escaped(out, {&c, 1}, "\"\\");
  }
}

bool append_alpn(Buffer& out, Bytes value) {
  if (value.empty()) return false;
  out.append('"');
  for (size_t at = 0; at < value.size();) {
    const size_t length = value[at];
    if (length == 0 || at + 1 + length > value.size()) return false;
    if (at > 0) out.append(',');
    append_protocol(out, value.subspan(at + 1, length));
    at += 1 + length;
  }
  out.append('"');
  return true;
}

bool append_nothing(Buffer&, Bytes value) { return value.empty(); }

bool append_port(Buffer& out, Bytes value) {
  if (value.size() != 2) return false;
  out.append_decimal(load_u16(value.data()));
  return true;
}

template <size_t size, void (*append)(Buffer&, const uint8_t*)>
bool append_hints(Buffer& out, Bytes value) {
  if (value.empty() || value.size() % size != 0) return false;
  for (size_t at = 0; at < value.size(); at += size) {
    if (at > 0) out.append(',');
    append(out, &value[at]);
  }
  return true;
}

bool append_ech(Buffer& out, Bytes value) {
  append_base64(out, value);
  return true;
}

bool append_text(Buffer& out, Bytes value) {
  append_quoted(out, value);
  return true;
}

constexpr Value values[] = {append_mandatory, append_alpn, append_nothing, append_port,
                            append_hints<4, append_ipv4>, append_ech,
                            append_hints<16, append_ipv6>};
static_assert(std::size(values) == std::size(key_names));

}  // namespace

// Keys ascend. A key without a value has no "=".
bool service_parameters(Buffer& out, Rdata& rdata) {
  const char* separator = "";
  for (int last = -1; rdata.left() > 0;) {
    uint16_t key, length;
    Bytes value;
    if (!rdata.take_u16(key) || !rdata.take_u16(length) || !rdata.take(length, value) ||
        key <= last)
      return false;
    last = key;
    out.append(separator);
    separator = " ";
    append_key(out, key);
    const bool known = key < std::size(values);
    const size_t bare = out.size();
    out.append('=');
    if (!(known ? values[key] : append_text)(out, value)) return false;
    if (value.empty()) out.truncate(bare);
  }
  return true;
}

}  // namespace ringdns::field
