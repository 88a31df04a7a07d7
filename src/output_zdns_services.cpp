// The parameters of SVCB and HTTPS (RFC 9460) as zdns types them.
#include <algorithm>

#include "output_zdns.hpp"

namespace ringdns {

namespace {

using Value = bool (*)(Buffer& out, Bytes value);  // false: this is no value of the key

struct Key {
  std::string_view name;
  Value append;
};

void append_key_name(Buffer& out, uint16_t key);

bool append_mandatory(Buffer& out, Bytes value) {
  if (value.empty() || value.size() % 2 != 0) return false;
  char separator = '[';
  for (size_t at = 0; at < value.size(); at += 2, separator = ',') {
    out.append(separator);
    out.append('"');
    append_key_name(out, load_u16(&value[at]));
    out.append('"');
  }
  out.append(']');
  return true;
}

bool append_protocols(Buffer& out, Bytes value) {
  if (value.empty()) return false;
  char separator = '[';
  for (; !value.empty(); value = value.subspan(1u + value[0]), separator = ',') {
    if (value[0] == 0 || value[0] >= value.size()) return false;
    out.append(separator);
    out.append('"');
    append_json_octets(out, value.subspan(1, value[0]));
    out.append('"');
  }
  out.append(']');
  return true;
}

bool append_true(Buffer& out, Bytes value) {
  out.append("true");
  return value.empty();
}

bool append_port(Buffer& out, Bytes value) {
  if (value.size() != 2) return false;
  out.append_decimal(load_u16(value.data()));
  return true;
}

template <size_t size, void (*append)(Buffer&, const uint8_t*)>
bool append_hints(Buffer& out, Bytes value) {
  if (value.empty() || value.size() % size != 0) return false;
  const char* separator = "[\"";
  for (size_t at = 0; at < value.size(); at += size, separator = "\",\"") {
    out.append(separator);
    append(out, &value[at]);
  }
  out.append("\"]");
  return true;
}

bool append_octets(Buffer& out, Bytes value) {
  out.append('"');
  append_base64(out, value);
  out.append('"');
  return true;
}

bool append_text(Buffer& out, Bytes value) {
  out.append('"');
  append_json_octets(out, value);
  out.append('"');
  return true;
}

constexpr Key keys[] = {{"mandatory", append_mandatory},
                        {"alpn", append_protocols},
                        {"no-default-alpn", append_true},
                        {"port", append_port},
                        {"ipv4hint", append_hints<4, append_ipv4>},
                        {"ech", append_octets},
                        {"ipv6hint", append_hints<16, append_ipv6>},
                        {"dohpath", append_text},
                        {"ohttp", append_true}};

// The order of their names; at the end, the keys without one.
constexpr uint16_t unnamed = std::size(keys);
constexpr uint16_t order[] = {1, 7, 5, 4, 6, unnamed, 0, 2, 8, 3};

void append_key_name(Buffer& out, uint16_t key) {
  if (key < std::size(keys)) return out.append(keys[key].name);
  out.append("key");
  out.append_decimal(key);
}

// Keys ascend. False where that is not what stands there, or use(key, value) is.
template <class Use>
bool each_parameter(Bytes all, Use use) {
  for (int last = -1; !all.empty();) {
    if (all.size() < 4) return false;
    const uint16_t key = load_u16(all.data()), length = load_u16(&all[2]);
    if (key <= last || all.size() - 4u < length || !use(key, all.subspan(4, length))) return false;
    last = key;
    all = all.subspan(4u + length);
  }
  return true;
}

// Nothing where there are none.
bool append_parameters(Buffer& out, Bytes all) {
  char separator = '{';
  for (const uint16_t turn : order) {
    const bool sound = each_parameter(all, [&](uint16_t key, Bytes value) {
      if (std::min(key, unnamed) != turn) return true;
      out.append(separator);
      separator = ',';
      out.append('"');
      append_key_name(out, key);
      out.append("\":");
      return (key < unnamed ? keys[key].append : append_octets)(out, value);
    });
    if (!sound) return false;
  }
  if (separator == ',') out.append('}');
  return true;
}

}  // namespace

bool add_service_parameters(JsonMembers& members, Rdata& rdata) {
  const Bytes all = rdata.take_rest();
  return members.add("svcparams", [&](Buffer& out) { return append_parameters(out, all); });
}

}  // namespace ringdns
