#include "ringdns/codes.hpp"

#include <algorithm>
#include <charconv>

namespace ringdns {

namespace {

struct Code {
  uint16_t number;
  std::string_view name;
};

// IANA "Resource Record (RR) TYPEs", QTYPEs included, in order of their numbers.
constexpr Code types[] = {
    {1, "A"},           {2, "NS"},          {3, "MD"},         {4, "MF"},
    {5, "CNAME"},       {6, "SOA"},         {7, "MB"},         {8, "MG"},
    {9, "MR"},          {10, "NULL"},       {11, "WKS"},       {12, "PTR"},
    {13, "HINFO"},      {14, "MINFO"},      {15, "MX"},        {16, "TXT"},
    {17, "RP"},         {18, "AFSDB"},      {19, "X25"},       {20, "ISDN"},
    {21, "RT"},         {22, "NSAP"},       {23, "NSAP-PTR"},  {24, "SIG"},
    {25, "KEY"},        {26, "PX"},         {27, "GPOS"},      {28, "AAAA"},
    {29, "LOC"},        {30, "NXT"},        {31, "EID"},       {32, "NIMLOC"},
    {33, "SRV"},        {34, "ATMA"},       {35, "NAPTR"},     {36, "KX"},
    {37, "CERT"},       {38, "A6"},         {39, "DNAME"},     {40, "SINK"},
    {41, "OPT"},        {42, "APL"},        {43, "DS"},        {44, "SSHFP"},
    {45, "IPSECKEY"},   {46, "RRSIG"},      {47, "NSEC"},      {48, "DNSKEY"},
    {49, "DHCID"},      {50, "NSEC3"},      {51, "NSEC3PARAM"}, {52, "TLSA"},
    {53, "SMIMEA"},     {55, "HIP"},        {56, "NINFO"},     {57, "RKEY"},
    {58, "TALINK"},     {59, "CDS"},        {60, "CDNSKEY"},   {61, "OPENPGPKEY"},
    {62, "CSYNC"},      {63, "ZONEMD"},     {64, "SVCB"},      {65, "HTTPS"},
    {66, "DSYNC"},      {67, "HHIT"},       {68, "BRID"},      {99, "SPF"},
    {100, "UINFO"},     {101, "UID"},       {102, "GID"},      {103, "UNSPEC"},
    {104, "NID"},       {105, "L32"},       {106, "L64"},      {107, "LP"},
    {108, "EUI48"},     {109, "EUI64"},     {128, "NXNAME"},   {249, "TKEY"},
    {250, "TSIG"},      {251, "IXFR"},      {252, "AXFR"},     {253, "MAILB"},
    {254, "MAILA"},     {255, "ANY"},       {256, "URI"},      {257, "CAA"},
    {258, "AVC"},       {259, "DOA"},       {260, "AMTRELAY"}, {261, "RESINFO"},
    {262, "WALLET"},    {263, "CLA"},       {264, "IPN"},      {32768, "TA"},
    {32769, "DLV"},
};

constexpr Code rr_classes[] = {
    {1, "IN"}, {2, "CS"}, {3, "CH"}, {4, "HS"}, {254, "NONE"}, {255, "ANY"},
};

// IANA "DNS RCODEs". 16 is BADSIG in a TSIG record only, which is not where an rcode is printed.
constexpr Code rcodes[] = {
    {0, "NOERROR"},   {1, "FORMERR"},  {2, "SERVFAIL"}, {3, "NXDOMAIN"},   {4, "NOTIMP"},
    {5, "REFUSED"},   {6, "YXDOMAIN"}, {7, "YXRRSET"},  {8, "NXRRSET"},    {9, "NOTAUTH"},
    {10, "NOTZONE"},  {11, "DSOTYPENI"}, {16, "BADVERS"}, {17, "BADKEY"},  {18, "BADTIME"},
    {19, "BADMODE"},  {20, "BADNAME"}, {21, "BADALG"},  {22, "BADTRUNC"},  {23, "BADCOOKIE"},
};

// The numbers from 0 up to `size` point straight at their names.
template <size_t size, size_t count>
constexpr std::array<std::string_view, size> direct(const Code (&codes)[count]) {
  std::array<std::string_view, size> names{};
  for (const Code& code : codes)
    if (code.number < size) names[code.number] = code.name;
  return names;
}

constexpr auto type_names = direct<265>(types);
constexpr auto class_names = direct<256>(rr_classes);
constexpr auto rcode_names = direct<24>(rcodes);

constexpr bool name_order(const Code& a, const Code& b) { return a.name < b.name; }

constexpr auto types_by_name = [] {
  auto sorted = std::to_array(types);
  std::sort(sorted.begin(), sorted.end(), name_order);
  return sorted;
}();

constexpr size_t longest_type = 10;
static_assert(std::all_of(std::begin(types), std::end(types),
                          [](const Code& code) { return code.name.size() <= longest_type; }));

constexpr char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }

bool same_name(std::string_view text, std::string_view name) {
  return std::equal(text.begin(), text.end(), name.begin(), name.end(),
                    [](char a, char b) { return upper(a) == b; });
}

std::optional<uint16_t> parse_number(std::string_view text, uint32_t limit) {
  uint32_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || stop != text.data() + text.size() || number >= limit)
    return std::nullopt;
  return static_cast<uint16_t>(number);
}

// Mnemonic in upper case, or TYPEn.
std::optional<uint16_t> type_of(std::string_view name) {
  const auto place = std::lower_bound(types_by_name.begin(), types_by_name.end(), Code{0, name},
                                      name_order);
  if (place != types_by_name.end() && place->name == name) return place->number;
  if (!name.starts_with("TYPE") || name.size() > 9) return std::nullopt;
  return parse_number(name.substr(4), 65536);
}

struct UpperName {
  std::array<char, longest_type> letters;
  size_t length;
  std::string_view view() const { return {letters.data(), length}; }
};

std::optional<UpperName> to_upper(std::string_view text) {
  if (text.empty() || text.size() > longest_type) return std::nullopt;
  UpperName name{{}, text.size()};
  std::transform(text.begin(), text.end(), name.letters.begin(), upper);
  return name;
}

template <size_t size>
void append_code(Buffer& out, uint16_t number, const std::array<std::string_view, size>& names,
                 std::string_view prefix) {
  if (number < size && !names[number].empty()) return out.append(names[number]);
  out.append(prefix);
  out.append_decimal(number);
}

}  // namespace

void append_type(Buffer& out, uint16_t type) {
  if (type >= type_names.size()) [[unlikely]]
    for (const Code& code : types)
      if (code.number == type) return out.append(code.name);
  append_code(out, type, type_names, "TYPE");
}

void append_class(Buffer& out, uint16_t rr_class) {
  append_code(out, rr_class, class_names, "CLASS");
}

void append_rcode(Buffer& out, uint16_t rcode) { append_code(out, rcode, rcode_names, "RCODE"); }

std::optional<uint16_t> parse_type(std::string_view text) {
  if (const auto number = parse_number(text, 65536)) return number;
  const auto name = to_upper(text);
  return name ? type_of(name->view()) : std::nullopt;
}

std::optional<uint16_t> parse_rcode(std::string_view text) {
  if (same_name(text, "OK")) return rcode::noerror;
  for (const Code& code : rcodes)
    if (same_name(text, code.name)) return code.number;
  if (text.size() > 5 && same_name(text.substr(0, 5), "RCODE")) text.remove_prefix(5);
  return parse_number(text, rcode::limit);
}

}  // namespace ringdns
