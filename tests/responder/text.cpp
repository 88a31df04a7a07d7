#include "text.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace responder {
namespace {

constexpr size_t max_label = 63, max_name = 255, max_rdata = 65535;

// rdata layouts: 4, 6 addresses; n name; b, s, l integers of 8, 16, 32 bits; t one character
// string; T the rest as character strings; r the rest as it is; x the rest as hexadecimal.
struct TypeEntry {
  View name;
  uint16_t number;
  View layout;
};
constexpr TypeEntry types[] = {
    {"A", 1, "4"},          {"NS", 2, "n"},         {"CNAME", 5, "n"},   {"SOA", 6, "nnlllll"},
    {"NULL", 10, "x"},      {"PTR", 12, "n"},       {"HINFO", 13, "tt"}, {"MX", 15, "sn"},
    {"TXT", 16, "T"},       {"RP", 17, "nn"},       {"AFSDB", 18, "sn"}, {"AAAA", 28, "6"},
    {"SRV", 33, "sssn"},    {"NAPTR", 35, "sstttn"}, {"DNAME", 39, "n"}, {"OPT", 41, ""},
    {"DS", 43, "sbbx"},     {"SSHFP", 44, "bbx"},   {"RRSIG", 46, ""},   {"NSEC", 47, ""},
    {"DNSKEY", 48, ""},     {"TLSA", 52, "bbbx"},   {"SPF", 99, "T"},    {"SVCB", 64, ""},
    {"HTTPS", 65, ""},      {"IXFR", 251, ""},      {"AXFR", 252, ""},   {"ANY", 255, ""},
    {"URI", 256, "ssr"},    {"CAA", 257, "btr"},
};

constexpr struct {
  View name;
  uint16_t number;
} rcodes[] = {{"NOERROR", 0}, {"FORMERR", 1}, {"SERVFAIL", 2}, {"NXDOMAIN", 3}, {"NOTIMP", 4},
              {"REFUSED", 5}, {"YXDOMAIN", 6}, {"YXRRSET", 7}, {"NXRRSET", 8}, {"NOTAUTH", 9},
              {"NOTZONE", 10}, {"BADVERS", 16}, {"BADCOOKIE", 23}};

const TypeEntry* find_type(uint16_t number) {
  for (const TypeEntry& entry : types)
    if (entry.number == number) return &entry;
  return nullptr;
}

bool append_integer(Octets& out, View text, int octets) {
  auto value = parse_number(text, (uint64_t{1} << 8 * octets) - 1);
  if (!value) return false;
  for (int shift = 8 * (octets - 1); shift >= 0; shift -= 8)
    out.push_back(static_cast<uint8_t>(*value >> shift));
  return true;
}

bool append_address(Octets& out, View text, int family, size_t octets) {
  uint8_t address[16];
  if (inet_pton(family, std::string(text).c_str(), address) != 1) return false;
  out.insert(out.end(), address, address + octets);
  return true;
}

bool append_name(Octets& out, View text) {
  auto name = parse_name(text);
  if (name) out.insert(out.end(), name->begin(), name->end());
  return name.has_value();
}

bool append_string(Octets& out, View text) {
  if (text.size() > 255) return false;
  out.push_back(static_cast<uint8_t>(text.size()));
  out.insert(out.end(), text.begin(), text.end());
  return true;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool append_hex(Octets& out, View text) {
  if (text.size() % 2) return false;
  for (size_t i = 0; i < text.size(); i += 2) {
    int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return false;
    out.push_back(static_cast<uint8_t>(high << 4 | low));
  }
  return true;
}

bool append_field(Octets& out, char field, View word) {
  switch (field) {
    case '4': return append_address(out, word, AF_INET, 4);
    case '6': return append_address(out, word, AF_INET6, 16);
    case 'n': return append_name(out, word);
    case 'b': return append_integer(out, word, 1);
    case 's': return append_integer(out, word, 2);
    case 'l': return append_integer(out, word, 4);
    case 't':
    case 'T': return append_string(out, word);
    case 'x': return append_hex(out, word);
    case 'r': out.insert(out.end(), word.begin(), word.end()); return true;
  }
  return false;
}

std::optional<Octets> parse_generic_rdata(const std::vector<std::string>& words) {
  Octets out;
  for (size_t i = 2; i < words.size(); ++i)
    if (!append_hex(out, words[i])) return {};
  if (words.size() < 2 || parse_number(words[1], max_rdata) != out.size()) return {};
  return out;
}

// One octet of a name at text[i], which may be escaped; moves i behind it.
std::optional<uint8_t> read_octet(View text, size_t& i) {
  if (text[i] != '\\') return static_cast<uint8_t>(text[i++]);
  if (++i == text.size()) return {};
  if (text[i] < '0' || text[i] > '9') return static_cast<uint8_t>(text[i++]);
  if (text.size() - i < 3) return {};
  auto value = parse_number(text.substr(i, 3), 255);
  i += 3;
  if (!value) return {};
  return static_cast<uint8_t>(*value);
}

}  // namespace

std::optional<std::vector<std::string>> split_words(View line) {
  std::vector<std::string> words;
  size_t i = 0;
  while (true) {
    while (i < line.size() && (line[i] == ' ' || line[i] == '\t' || line[i] == '\r')) ++i;
    if (i == line.size() || line[i] == '#') return words;
    std::string word;
    bool quoted = false;
    for (; i < line.size(); ++i) {
      if (line[i] == '"') quoted = !quoted;
      else if (!quoted && (line[i] == ' ' || line[i] == '\t' || line[i] == '\r')) break;
      else word += line[i];
    }
    if (quoted) return {};
    words.push_back(std::move(word));
  }
}

std::optional<uint64_t> parse_number(View text, uint64_t most) {
  uint64_t value = 0;
  auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size() || value > most) return {};
  return value;
}

std::optional<Range> parse_range(View text) {
  size_t dots = text.find("..");
  if (dots == text.npos) {
    auto value = parse_number(text, UINT64_MAX);
    if (!value) return {};
    return Range{*value, *value};
  }
  Range range;
  View low = text.substr(0, dots), high = text.substr(dots + 2);
  if (!low.empty()) {
    auto value = parse_number(low, UINT64_MAX);
    if (!value) return {};
    range.low = *value;
  }
  if (!high.empty()) {
    auto value = parse_number(high, UINT64_MAX);
    if (!value) return {};
    range.high = *value;
  }
  if (text.size() == 2 || range.low > range.high) return {};
  return range;
}

namespace {

// A decimal number, perhaps with a fraction, that ends where its unit begins.
std::optional<double> read_decimal(View& text) {
  double value = 0;
  auto [stop, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(value) || value < 0) return {};
  text.remove_prefix(static_cast<size_t>(stop - text.data()));
  return value;
}

}  // namespace

std::optional<Duration> parse_duration(View text) {
  constexpr double most = 1e9 * 86400 * 365;
  auto value = read_decimal(text);
  if (!value) return {};
  double unit = text == "us" ? 1e3 : text == "ms" ? 1e6 : text == "s" ? 1e9 : 0;
  if (unit == 0 || *value * unit > most) return {};
  return Duration(static_cast<int64_t>(*value * unit + 0.5));
}

std::optional<uint64_t> parse_percent(View text) {
  auto value = read_decimal(text);
  if (!value || text != "%" || *value > 100) return {};
  return static_cast<uint64_t>(*value / 100 * 4294967296.0 + 0.5);
}

std::optional<Octets> parse_name(View text) {
  if (text == ".") return Octets{0};
  Octets out;
  size_t i = 0;
  while (i < text.size()) {
    size_t length_at = out.size();
    out.push_back(0);
    while (i < text.size() && text[i] != '.') {
      auto octet = read_octet(text, i);
      if (!octet) return {};
      out.push_back(*octet);
    }
    size_t length = out.size() - length_at - 1;
    if (i == text.size() || length == 0 || length > max_label) return {};
    out[length_at] = static_cast<uint8_t>(length);
    ++i;
  }
  out.push_back(0);
  if (out.size() == 1 || out.size() > max_name) return {};
  return out;
}

namespace {

// "TYPE65280", "CLASS5"
std::optional<uint16_t> parse_coded(View text, View prefix) {
  if (!text.starts_with(prefix)) return {};
  auto number = parse_number(text.substr(prefix.size()), 65535);
  if (!number) return {};
  return static_cast<uint16_t>(*number);
}

}  // namespace

std::optional<uint16_t> parse_type(View text) {
  for (const TypeEntry& entry : types)
    if (entry.name == text) return entry.number;
  return parse_coded(text, "TYPE");
}

std::optional<uint16_t> parse_class(View text) {
  if (text == "IN") return 1;
  if (text == "CH") return 3;
  if (text == "HS") return 4;
  return parse_coded(text, "CLASS");
}

std::optional<uint16_t> parse_rcode(View text) {
  for (const auto& entry : rcodes)
    if (entry.name == text) return entry.number;
  auto number = parse_number(text, 4095);
  if (!number) return {};
  return static_cast<uint16_t>(*number);
}

std::optional<Octets> parse_rdata(uint16_t type, const std::vector<std::string>& words) {
  if (!words.empty() && words[0] == "\\#") return parse_generic_rdata(words);
  const TypeEntry* entry = find_type(type);
  if (!entry || entry->layout.empty()) return {};
  View layout = entry->layout;
  bool many = layout.back() == 'T' || layout.back() == 'x';
  if (many ? words.size() < layout.size() : words.size() != layout.size()) return {};
  Octets out;
  for (size_t i = 0; i < words.size(); ++i)
    if (!append_field(out, layout[std::min(i, layout.size() - 1)], words[i])) return {};
  if (out.size() > max_rdata) return {};
  return out;
}

}  // namespace responder
