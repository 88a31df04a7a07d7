// Which members zdns gives a record of each type, beyond the four that all have. A type that is not
// here has its data in presentation form under "answer", as zdns has it for those of one field.
#include <algorithm>

#include "output_zdns.hpp"

namespace ringdns {

namespace {

// ---- What a member's value is made of. All that is not a number is a string.

template <Field field>
bool text(Buffer& out, Rdata& rdata) {
  bool there = false;
  append_json_text(out, [&](Buffer& to) { there = field(to, rdata); });
  return there;
}

constexpr Field name = text<field::name>, time = text<field::time>, base64 = text<field::base64>;

// A name without its final dot; the root is nothing then.
bool host(Buffer& out, Rdata& rdata) {
  bool there = false;
  append_json_text(out, [&](Buffer& to) {
    there = field::name(to, rdata);
    if (there) to.truncate(to.size() - 1);
  });
  return there;
}

// What stands there, read without being taken.
template <Field field>
bool peek(Buffer& out, Rdata& rdata) {
  Rdata copy = rdata;
  return field(out, copy);
}

void append_lower_hex(Buffer& out, Bytes bytes) {
  out.append('"');
  append_hex(out, bytes, HexCase::lower);
  out.append('"');
}

bool hex(Buffer& out, Rdata& rdata) {
  const bool there = rdata.left() > 0;
  append_lower_hex(out, rdata.take_rest());
  return there;
}

bool counted_hex(Buffer& out, Rdata& rdata) {
  Bytes bytes;
  const bool there = rdata.take_counted(bytes);
  append_lower_hex(out, bytes);
  return there;
}

bool long_counted_hex(Buffer& out, Rdata& rdata) {
  uint16_t length;
  Bytes bytes;
  const bool there = rdata.take_u16(length) && rdata.take(length, bytes);
  append_lower_hex(out, bytes);
  return there;
}

// Character-strings are escaped as in a zone file, but have no quotes there.
bool take_string(Buffer& out, Rdata& rdata) {
  Bytes bytes;
  if (!rdata.take_counted(bytes)) return false;
  append_escaped(out, bytes, "\"\\");
  return true;
}
constexpr Field string = text<take_string>;

bool strings(Buffer& out, Rdata& rdata) {
  out.append('"');
  const char* separator = "";
  do {
    out.append(separator);
    separator = "\\n";
    const size_t start = out.size();
    if (!take_string(out, rdata)) return false;
    escape_json(out, start);
  } while (rdata.left() > 0);
  out.append('"');
  return true;
}

bool octets(Buffer& out, Rdata& rdata) {
  out.append('"');
  append_json_octets(out, rdata.take_rest());
  out.append('"');
  return true;
}

template <HexCase letters>
bool node(Buffer& out, Rdata& rdata) {
  Bytes bytes;
  if (!rdata.take(8, bytes)) return false;
  out.append('"');
  append_hex(out, bytes, letters);
  out.append('"');
  return true;
}

// As Go writes a network: its address, and its mask in base64.
bool address_prefix(Buffer& out, Rdata& rdata) {
  AddressPrefix item;
  if (!take_address_prefix(rdata, item)) return false;
  std::array<uint8_t, 16> mask{};
  for (size_t bit = 0; bit < item.prefix; ++bit)
    mask[bit / 8] |= static_cast<uint8_t>(0x80 >> bit % 8);
  out.append("{\"negation\":");
  out.append(item.negated ? "true" : "false");
  out.append(",\"network\":{\"IP\":\"");
  (item.family == 1 ? append_ipv4 : append_ipv6)(out, item.address.data());
  out.append("\",\"Mask\":\"");
  append_base64(out, Bytes(mask).first(item.family == 1 ? 4 : 16));
  out.append("\"}}");
  return true;
}

bool address_prefixes(Buffer& out, Rdata& rdata) {
  out.append('[');
  for (const char* separator = ""; rdata.left() > 0; separator = ",") {
    out.append(separator);
    if (!address_prefix(out, rdata)) return false;
  }
  out.append(']');
  return true;
}

// ---- Types whose later fields depend on earlier ones

using Add = bool (*)(JsonMembers& members, Rdata& rdata);

bool add_gateway(JsonMembers& members, Rdata& rdata, uint8_t kind) {
  constexpr Field empty = [](Buffer& out, Rdata&) { return out.append("\"\""), true; };
  constexpr Field ipv4 = text<field::ipv4>, ipv6 = text<field::ipv6>;
  const Field address = kind == 1 ? ipv4 : kind == 2 ? ipv6 : empty;
  const Field host_name = kind == 3 ? name : empty;
  return kind <= 3 &&
         members.add("gateway_addr", [&](Buffer& out) { return address(out, rdata); }) &&
         members.add("gateway_host", [&](Buffer& out) { return host_name(out, rdata); });
}

bool add_ipsec_key(JsonMembers& members, Rdata& rdata) {  // RFC 4025 2.1
  uint8_t precedence, kind, algorithm;
  if (!rdata.take_u8(precedence) || !rdata.take_u8(kind) || !rdata.take_u8(algorithm))
    return false;
  members.add_number("precedence", precedence);
  members.add_number("gateway_type", kind);
  members.add_number("algorithm", algorithm);
  if (!add_gateway(members, rdata, kind)) return false;
  if (algorithm != 0 && rdata.left() == 0) return false;  // 2.4: 0 is that no key is present
  return members.add("public_key", [&](Buffer& out) {
    return text<field::optional_base64>(out, rdata);
  });
}

bool add_amt_relay(JsonMembers& members, Rdata& rdata) {  // RFC 8777 4.1
  uint8_t precedence, kind;
  if (!rdata.take_u8(precedence) || !rdata.take_u8(kind)) return false;
  kind &= 0x7f;  // the rest says whether discovery is optional
  members.add_number("precedence", precedence);
  members.add_number("gateway_type", kind);
  return add_gateway(members, rdata, kind);
}

bool names(Buffer& out, Rdata& rdata) {
  out.append('[');
  for (const char* separator = ""; rdata.left() > 0; separator = ",") {
    out.append(separator);
    if (!name(out, rdata)) return false;
  }
  out.append(']');
  return true;
}

bool add_hip(JsonMembers& members, Rdata& rdata) {  // RFC 8005 5
  uint8_t tag_length, algorithm;
  uint16_t key_length;
  Bytes tag, key;
  if (!rdata.take_u8(tag_length) || !rdata.take_u8(algorithm) || !rdata.take_u16(key_length) ||
      !rdata.take(tag_length, tag) || !rdata.take(key_length, key) || tag.empty() || key.empty())
    return false;
  members.add_number("hit_length", tag_length);
  members.add_number("pubkey_algo", algorithm);
  members.add_number("pubkey_len", key_length);
  members.add("hit", [&](Buffer& out) { return append_lower_hex(out, tag), true; });
  members.add_text("pubkey", [&](Buffer& out) { append_base64(out, key); });
  return members.add("rendezvous_servers", [&](Buffer& out) { return names(out, rdata); });
}

// ---- Who has which

struct Member {
  std::string_view key;
  Field value;
};

struct Shape {
  uint16_t type;
  std::array<Member, 9> members;  // as they stand in the rdata; without a key: no more
  Add add_rest = nullptr;
};

constexpr Field u8 = field::u8, u16 = field::u16, u32 = field::u32;

// Key for key zdns's (its answers.go), the odd ones of GPOS included.
constexpr Shape shapes[] = {
    {6, {{{"ns", host}, {"mbox", host}, {"serial", u32}, {"refresh", u32}, {"retry", u32},
          {"expire", u32}, {"min_ttl", u32}}}},                                     // SOA
    {10, {{{"answer", octets}}}},                                                   // NULL
    {13, {{{"cpu", string}, {"os", string}}}},                                      // HINFO
    {14, {{{"rmail", name}, {"email", name}}}},                                     // MINFO
    {15, {{{"preference", u16}, {"answer", name}}}},                                // MX
    {16, {{{"answer", strings}}}},                                                  // TXT
    {17, {{{"mbox", name}, {"txt", name}}}},                                        // RP
    {18, {{{"subtype", u16}, {"hostname", name}}}},                                 // AFSDB
    {19, {{{"answer", string}}}},                                                   // X25
    {21, {{{"preference", u16}, {"answer", name}}}},                                // RT
    {24, {{{"type_covered", u16}, {"algorithm", u8}, {"labels", u8}, {"original_ttl", u32},
           {"expiration", time}, {"inception", time}, {"keytag", u16}, {"signer_name", name},
           {"signature", base64}}}},                                                // SIG
    {26, {{{"preference", u16}, {"map822", name}, {"mapx400", name}}}},             // PX
    {27, {{{"preference", string}, {"map822", string}, {"mapx400", string}}}},      // GPOS
    {29, {{{"coordinates", peek<text<field::location>>}, {"version", u8}, {"size", u8},
           {"horizontal_pre", u8}, {"vertical_pre", u8}, {"latitude", u32}, {"longitude", u32},
           {"altitude", u32}}}},                                                    // LOC
    {30, {{{"next_domain", host}, {"type_bit_map", text<field::nxt_types>}}}},      // NXT
    {31, {{{"answer", hex}}}},                                                      // EID
    {32, {{{"answer", hex}}}},                                                      // NIMLOC
    {33, {{{"priority", u16}, {"weight", u16}, {"port", u16}, {"target", name}}}},  // SRV
    {35, {{{"order", u16}, {"preference", u16}, {"flags", string}, {"service", string},
           {"regexp", string}, {"replacement", name}}}},                            // NAPTR
    {36, {{{"preference", u16}, {"answer", name}}}},                                // KX
    {37, {{{"type", text<field::certificate_type>}, {"keytag", u16},
           {"algorithm", text<field::certificate_algorithm>}, {"certificate", base64}}}},  // CERT
    {42, {{{"prefixes", address_prefixes}}}},                                       // APL
    {43, {{{"key_tag", u16}, {"algorithm", u8}, {"digest_type", u8}, {"digest", hex}}}},  // DS
    {44, {{{"algorithm", u8}, {"type", u8}, {"fingerprint", hex}}}},                // SSHFP
    {45, {}, add_ipsec_key},
    {46, {{{"type_covered", u16}, {"algorithm", u8}, {"labels", u8}, {"original_ttl", u32},
           {"expiration", time}, {"inception", time}, {"keytag", u16}, {"signer_name", name},
           {"signature", base64}}}},                                                // RRSIG
    {47, {{{"next_domain", host}, {"type_bit_map", text<field::rr_types>}}}},       // NSEC
    {48, {{{"flags", u16}, {"protocol", u8}, {"algorithm", u8},
           {"public_key", base64}}}},                                               // DNSKEY
    {50, {{{"hash_algorithm", u8}, {"flags", u8}, {"iterations", u16}, {"salt_length", peek<u8>},
           {"salt", counted_hex}, {"hash_length", peek<u8>},
           {"next_domain", text<field::counted_base32hex>},
           {"type_bit_map", text<field::rr_types>}}}},                              // NSEC3
    {51, {{{"hash_algorithm", u8}, {"flags", u8}, {"iterations", u16},
           {"salt", counted_hex}}}},                                                // NSEC3PARAM
    {52, {{{"cert_usage", u8}, {"selector", u8}, {"matching_type", u8},
           {"certificate", hex}}}},                                                 // TLSA
    {53, {{{"usage", u8}, {"selector", u8}, {"matching_type", u8},
           {"certificate", hex}}}},                                                 // SMIMEA
    {55, {}, add_hip},
    {56, {{{"answer", strings}}}},                                                  // NINFO
    {57, {{{"flags", u16}, {"protocol", u8}, {"algorithm", u8}, {"public_key", base64}}}},  // RKEY
    {58, {{{"previous_name", name}, {"next_name", name}}}},                         // TALINK
    {59, {{{"key_tag", u16}, {"algorithm", u8}, {"digest_type", u8}, {"digest", hex}}}},  // CDS
    {60, {{{"flags", u16}, {"protocol", u8}, {"algorithm", u8},
           {"public_key", base64}}}},                                               // CDNSKEY
    {62, {{{"serial", u32}, {"flags", u16}, {"type_bit_map", text<field::rr_types>}}}},  // CSYNC
    {63, {{{"serial", u32}, {"scheme", u8}, {"hash", u8}, {"digest", hex}}}},       // ZONEMD
    {64, {{{"priority", u16}, {"target", name}}}, add_service_parameters},          // SVCB
    {65, {{{"priority", u16}, {"target", name}}}, add_service_parameters},          // HTTPS
    {99, {{{"answer", strings}}}},                                                  // SPF
    {100, {{{"answer", octets}}}},                                                  // UINFO
    {101, {{{"answer", text<field::u32>}}}},                                        // UID
    {102, {{{"answer", text<field::u32>}}}},                                        // GID
    {104, {{{"preference", u16}, {"answer", node<HexCase::lower>}}}},               // NID
    {105, {{{"preference", u16}, {"answer", text<field::ipv4>}}}},                  // L32
    {106, {{{"preference", u16}, {"answer", node<HexCase::upper>}}}},               // L64
    {107, {{{"preference", u16}, {"answer", name}}}},                               // LP
    {249, {{{"algorithm", name}, {"inception", time}, {"expiration", time}, {"mode", u16},
            {"error", u16}, {"key_size", peek<u16>}, {"key", long_counted_hex},
            {"other_len", peek<u16>}, {"other_data", long_counted_hex}}}},          // TKEY
    {256, {{{"priority", u16}, {"weight", u16}, {"target", octets}}}},              // URI
    {257, {{{"flag", u8}, {"tag", text<field::caa_tag>}, {"value", octets}}}},      // CAA
    {258, {{{"answer", strings}}}},                                                 // AVC
    {260, {}, add_amt_relay},
};

constexpr uint8_t no_shape = UINT8_MAX;
constexpr auto rows = [] {
  std::array<uint8_t, 261> table{};
  table.fill(no_shape);
  for (size_t row = 0; row < std::size(shapes); ++row)
    table[shapes[row].type] = static_cast<uint8_t>(row);
  return table;
}();
static_assert(std::size(shapes) < no_shape);

const Shape* find_shape(const Record& record) {
  if (record.type >= rows.size() || rows[record.type] == no_shape) return nullptr;
  // In a class that has no such type it is something else.
  const bool known = record.rr_class == rr_class::internet ||
                     find_layout(record.type, record.rr_class) != nullptr;
  return known ? &shapes[rows[record.type]] : nullptr;
}

bool add_members(JsonMembers& members, const Shape& shape, Rdata& rdata) {
  for (const Member& member : shape.members) {
    if (member.key.empty()) break;
    if (!members.add(member.key, [&](Buffer& out) { return member.value(out, rdata); }))
      return false;
  }
  return (!shape.add_rest || shape.add_rest(members, rdata)) && rdata.left() == 0;
}

}  // namespace

bool add_zdns_rdata(JsonMembers& members, const Message& message, const Record& record) {
  const Shape* shape = find_shape(record);
  Rdata rdata(message, record);
  return shape && add_members(members, *shape, rdata);
}

}  // namespace ringdns
