#include "ringdns/rdata.hpp"

#include "ringdns/text.hpp"

namespace ringdns {

namespace {

using namespace field;

constexpr bool any_class = false, internet = true;

// In order of type. Each as its RFC has it, and as dig prints it where it leaves a choice.
constexpr Layout layouts[] = {
    {1, internet, {ipv4}},
    {2, any_class, {name}},                                            // NS
    {3, any_class, {name}},                                            // MD
    {4, any_class, {name}},                                            // MF
    {5, any_class, {name}},                                            // CNAME
    {6, any_class, {name, name, u32, u32, u32, u32, u32}},             // SOA
    {7, any_class, {name}},                                            // MB
    {8, any_class, {name}},                                            // MG
    {9, any_class, {name}},                                            // MR
    {11, internet, {well_known_services}},                             // WKS
    {12, any_class, {name}},                                           // PTR
    {13, any_class, {string, string}},                                 // HINFO
    {14, any_class, {name, name}},                                     // MINFO
    {15, any_class, {u16, name}},                                      // MX
    {16, any_class, {strings}},                                        // TXT
    {17, any_class, {name, name}},                                     // RP
    {18, any_class, {u16, name}},                                      // AFSDB
    {19, any_class, {string}},                                         // X25
    {20, any_class, {string, optional_string}},                        // ISDN
    {21, any_class, {u16, name}},                                      // RT
    {22, internet, {nsap}},
    {23, internet, {name}},                                            // NSAP-PTR
    {24, any_class, {rr_type, u8, u8, u32, time, time, u16, name, base64}},  // SIG
    {25, any_class, {key_parameters, optional_base64}},                // KEY
    {26, internet, {u16, name, name}},                                 // PX
    {27, any_class, {string, string, string}},                         // GPOS
    {28, internet, {ipv6}},                                            // AAAA
    {29, any_class, {location}},                                       // LOC
    {30, any_class, {name, nxt_types}},                                // NXT
    {31, internet, {hex}},                                             // EID
    {32, internet, {hex}},                                             // NIMLOC
    {33, internet, {u16, u16, u16, name}},                             // SRV
    {34, internet, {atm_address}},                                     // ATMA
    {35, internet, {u16, u16, string, string, string, name}},          // NAPTR
    {36, internet, {u16, name}},                                       // KX
    {37, any_class, {certificate_type, u16, certificate_algorithm, base64}},  // CERT
    {38, internet, {a6}},
    {39, any_class, {name}},                                           // DNAME
    {40, any_class, {u8, u8, u8, optional_base64}},                    // SINK
    {42, internet, {address_prefixes}},                                // APL
    {43, any_class, {u16, u8, u8, hex}},                               // DS
    {44, any_class, {u8, u8, hex}},                                    // SSHFP
    {45, any_class, {ipsec_gateway, optional_base64}},                 // IPSECKEY
    {46, any_class, {rr_type, u8, u8, u32, time, time, u16, name, base64}},  // RRSIG
    {47, any_class, {name, rr_types}},                                    // NSEC
    {48, any_class, {u16, u8, u8, base64}},                            // DNSKEY
    {49, internet, {base64}},                                          // DHCID
    {50, any_class, {u8, u8, u16, counted_hex_or_dash, counted_base32hex, rr_types}},  // NSEC3
    {51, any_class, {u8, u8, u16, counted_hex_or_dash}},               // NSEC3PARAM
    {52, any_class, {u8, u8, u8, hex}},                                // TLSA
    {53, any_class, {u8, u8, u8, hex}},                                // SMIMEA
    {55, any_class, {hip}},
    {56, any_class, {strings}},                                        // NINFO
    {57, any_class, {u16, u8, u8, base64}},                            // RKEY
    {58, any_class, {name, name}},                                     // TALINK
    {59, any_class, {u16, u8, u8, hex}},                               // CDS
    {60, any_class, {u16, u8, u8, base64}},                            // CDNSKEY
    {61, any_class, {base64}},                                         // OPENPGPKEY
    {62, any_class, {u32, u16, rr_types}},                                // CSYNC
    {63, any_class, {u32, u8, u8, hex}},                               // ZONEMD
    {64, internet, {u16, name, service_parameters}},                   // SVCB
    {65, internet, {u16, name, service_parameters}},                   // HTTPS
    {66, any_class, {rr_type, dsync_scheme, u16, name}},                  // DSYNC
    {67, any_class, {base64}},                                         // HHIT
    {68, any_class, {base64}},                                         // BRID
    {99, any_class, {strings}},                                        // SPF
    {104, any_class, {u16, locator64}},                                // NID
    {105, any_class, {u16, ipv4}},                                     // L32
    {106, any_class, {u16, locator64}},                                // L64
    {107, any_class, {u16, name}},                                     // LP
    {108, any_class, {eui48}},
    {109, any_class, {eui64}},
    {249, any_class, {name, u32, u32, u16, error, counted_base64, counted_base64}},  // TKEY
    {250, any_class, {name, u48, u16, counted_base64, u16, error, counted_base64}},  // TSIG
    {256, any_class, {u16, u16, rest_quoted}},                         // URI
    {257, any_class, {u8, caa_tag, rest_quoted}},                      // CAA
    {258, any_class, {strings}},                                       // AVC
    {259, any_class, {u32, u32, u8, string, base64_or_dash}},          // DOA
    {260, any_class, {amt_relay}},                                     // AMTRELAY
    {261, any_class, {strings}},                                       // RESINFO
    {262, any_class, {strings}},                                       // WALLET
    {263, any_class, {strings}},                                       // CLA
    {264, any_class, {u64}},                                           // IPN
    {32768, any_class, {u16, u8, u8, hex}},                            // TA
    {32769, any_class, {u16, u8, u8, hex}},                            // DLV
};

constexpr uint8_t no_layout = UINT8_MAX;
static_assert(std::size(layouts) < no_layout);

// The types that have layouts stand in two runs, from 0 and from 32768.
constexpr size_t first_run = 265, second_start = 32768, second_run = 2;

constexpr size_t index_of(size_t type) {
  if (type < first_run) return type;
  const bool second = type >= second_start && type < second_start + second_run;
  return second ? type - second_start + first_run : first_run + second_run;
}

// Where each type's row is; at the end, that of all others.
constexpr auto rows = [] {
  std::array<uint8_t, first_run + second_run + 1> table{};
  table.fill(no_layout);
  for (size_t row = 0; row < std::size(layouts); ++row)
    table[index_of(layouts[row].type)] = static_cast<uint8_t>(row);
  return table;
}();
static_assert(rows.back() == no_layout);

void append_unknown(Buffer& out, const Message& message, const Record& record) {
  out.append("\\# ");
  out.append_decimal(record.rdata_length);
  if (record.rdata_length == 0) return;
  out.append(' ');
  append_hex(out, message.packet().subspan(record.rdata, record.rdata_length));
}

// All of it, and nothing left over.
bool append_fields(Buffer& out, const Layout& layout, Rdata& rdata) {
  const size_t start = out.size();
  for (Field field : layout.fields) {
    if (!field) break;
    if (out.size() > start) out.append(' ');
    const size_t before = out.size();
    if (!field(out, rdata)) return false;
    const bool nothing = out.size() == before;
    if (nothing && before > start) out.truncate(before - 1);  // the space
  }
  return rdata.left() == 0;
}

}  // namespace

const Layout* find_layout(uint16_t type, uint16_t rr_class) {
  const uint8_t row = rows[index_of(type)];
  if (row == no_layout) return nullptr;
  const Layout& layout = layouts[row];
  return layout.internet_only && rr_class != rr_class::internet ? nullptr : &layout;
}

bool is_strings(const Layout& layout) { return layout.fields[0] == strings; }

bool append_rdata(Buffer& out, const Message& message, const Record& record) {
  const Layout* layout = find_layout(record.type, record.rr_class);
  if (layout) {
    const size_t start = out.size();
    Rdata rdata(message, record);
    if (append_fields(out, *layout, rdata)) {
      if (out.size() == start) append_unknown(out, message, record);  // APL without a prefix
      return true;
    }
    message.note_malformed();
    out.truncate(start);
    append_unknown(out, message, record);
    return !rdata.bad_name();
  }
  append_unknown(out, message, record);
  return true;
}

}  // namespace ringdns
