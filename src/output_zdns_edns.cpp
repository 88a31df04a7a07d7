// OPT records (RFC 6891) as zdns writes them. An option that does not have its form is left out.
#include <algorithm>

#include "output_zdns.hpp"

namespace ringdns {

namespace {

using Value = bool (*)(Buffer& out, Bytes value);  // false: this is no value of the option

void append_number(Buffer& out, std::string_view label, uint64_t number) {
  out.append(label);
  out.append_decimal(number);
}

bool append_nsid(Buffer& out, Bytes value) {  // RFC 5001
  out.append("{\"nsid\":\"");
  append_json_octets(out, value);
  out.append("\"}");
  return true;
}

bool append_client_subnet(Buffer& out, Bytes value) {  // RFC 7871 6
  if (value.size() < 4) return false;
  const uint16_t family = load_u16(value.data());
  const uint8_t source = value[2], scope = value[3];
  const uint8_t most = family == 2 ? 128 : 32;
  if (family > 2 || (family == 0 && source > 0) || source > most || scope > most) return false;
  std::array<uint8_t, 16> octets{};
  value = value.subspan(4);
  std::copy_n(value.begin(), std::min(value.size(), octets.size()), octets.begin());
  out.append("{\"address\":\"");
  (family == 2 ? append_ipv6 : append_ipv4)(out, octets.data());
  append_number(out, "\",\"family\":", family);
  append_number(out, ",\"source_netmask\":", source);
  append_number(out, ",\"source_scope\":", scope);
  out.append('}');
  return true;
}

bool append_expire(Buffer& out, Bytes value) {  // RFC 7314
  if (!value.empty() && value.size() != 4) return false;
  append_number(out, "{\"code\":9,\"expire\":", value.empty() ? 0 : load_u32(value.data()));
  out.append('}');
  return true;
}

bool append_cookie(Buffer& out, Bytes value) {  // RFC 7873
  out.append("{\"cookie\":\"");
  append_hex(out, value, HexCase::lower);
  out.append("\"}");
  return true;
}

bool append_keepalive(Buffer& out, Bytes value) {  // RFC 7828
  if (!value.empty() && value.size() != 2) return false;
  append_number(out, "{\"code\":11,\"length\":0,\"timeout\":",
                value.empty() ? 0 : load_u16(value.data()));
  out.append('}');
  return true;
}

bool append_padding(Buffer& out, Bytes value) {  // RFC 7830
  out.append("{\"padding\":\"");
  append_hex(out, value);
  out.append("\"}");
  return true;
}

// IANA "Extended DNS Error Codes"
constexpr std::string_view error_texts[] = {
    "Other", "Unsupported DNSKEY Algorithm", "Unsupported DS Digest Type", "Stale Answer",
    "Forged Answer", "DNSSEC Indeterminate", "DNSSEC Bogus", "Signature Expired",
    "Signature Not Yet Valid", "DNSKEY Missing", "RRSIGs Missing", "No Zone Key Bit Set",
    "NSEC Missing", "Cached Error", "Not Ready", "Blocked", "Censored", "Filtered", "Prohibited",
    "Stale NXDOMAIN Answer", "Not Authoritative", "Not Supported", "No Reachable Authority",
    "Network Error", "Invalid Data", "Signature Expired before Valid", "Too Early",
    "Unsupported NSEC3 Iterations Value", "Unable to conform to policy", "Synthesized",
    "Invalid Query Type"};

bool append_extended_error(Buffer& out, Bytes value) {  // RFC 8914 2
  if (value.size() < 2) return false;
  const uint16_t code = load_u16(value.data());
  out.append("{\"error_text\":\"");
  if (code < std::size(error_texts)) out.append(error_texts[code]);
  out.append("\",\"extra_text\":\"");
  append_json_octets(out, value.subspan(2));
  append_number(out, "\",\"info_code\":", code);
  out.append('}');
  return true;
}

struct KnownOption {
  uint16_t code;
  std::string_view key;
  Value append;
};
constexpr KnownOption known_options[] = {
    {3, "nsid", append_nsid},      {8, "csubnet", append_client_subnet},
    {9, "expire", append_expire},  {10, "cookie", append_cookie},
    {11, "tcp_keepalive", append_keepalive}, {12, "padding", append_padding}};
constexpr uint16_t extended_error = 15;  // the one of which there may be several

template <class Use>  // void (code, value)
void each_option(Bytes options, Use use) {
  while (options.size() >= 4) {
    const uint16_t code = load_u16(options.data()), length = load_u16(&options[2]);
    if (options.size() - 4u < length) return;
    use(code, options.subspan(4, length));
    options = options.subspan(4u + length);
  }
}

bool append_extended_errors(Buffer& out, Bytes options) {
  char separator = '[';
  each_option(options, [&](uint16_t code, Bytes value) {
    if (code != extended_error) return;
    const size_t before = out.size();
    out.append(separator);
    if (append_extended_error(out, value)) separator = ',';
    else out.truncate(before);
  });
  if (separator == ',') out.append(']');
  return true;
}

}  // namespace

void append_zdns_opt(Buffer& out, JsonMembers& members, const Message& message) {
  const Record& opt = message.opt();
  const uint8_t version = opt.ttl >> 16 & 0xff;
  members.clear();
  members.add_text("type", [&](Buffer& to) { append_number(to, "EDNS", version); });
  members.add_number("version", version);
  members.add_text("flags", [&](Buffer& to) { to.append(opt.ttl & 0x8000 ? "do" : ""); });
  members.add_number("udpsize", opt.rr_class);
  const Bytes options = message.opt_rdata();
  each_option(options, [&](uint16_t code, Bytes value) {
    for (const KnownOption& known : known_options)
      if (known.code == code)
        members.add(known.key, [&](Buffer& to) { return known.append(to, value); });
  });
  members.add("ede", [&](Buffer& to) { return append_extended_errors(to, options); });
  members.write(out);
}

}  // namespace ringdns
