#include <algorithm>

#include "ringdns/options.hpp"

namespace ringdns {
namespace {

bool set_simple_flag(OutputFormat& format, char letter) {
  switch (letter) {
    case 'n': return format.answer = true;
    case 'u': return format.authority = true;
    case 'd': return format.additional = true;
    case 'm': return format.match_name = true;
    case 't': return format.ttl = true;
    case 'l': return format.separate_replies = true;
    case 'i': return format.indent = true;
    case 's': return format.separate_sections = true;
    case 'q': return format.question = true;
    case 'r': return format.question = format.meta = true;
  }
  return false;
}

bool set_json_flag(OutputFormat& format, char letter) {
  if (letter == 'a') return format.only_answers_or_referrals = true;
  return letter == 'e' && (format.failures = true);
}

bool set_list_flag(OutputFormat& format, char letter) {
  return letter == '0' && (format.empty_noerror = true);
}

}  // namespace

std::optional<OutputFormat> parse_output_format(std::string_view text) {
  using Kind = OutputFormat::Kind;
  if (text.empty()) return std::nullopt;
  const std::string_view flags = text.substr(1);
  OutputFormat format;
  const auto each = [&](auto set) {
    return std::all_of(flags.begin(), flags.end(),
                       [&](char letter) { return set(format, letter); });
  };
  switch (text.front()) {
    case 'F': format.kind = Kind::full; return format;  // massdns: whatever follows
    case 'B': format.kind = Kind::binary; return format;
    case 'Z':
      format.kind = Kind::zdns;
      return flags.empty() ? std::optional(format) : std::nullopt;
    case 'L':
      format.kind = Kind::list;
      return each(set_list_flag) ? std::optional(format) : std::nullopt;
    case 'J':
      format.kind = Kind::json;
      return each(set_json_flag) ? std::optional(format) : std::nullopt;
    case 'S':
      format.kind = Kind::simple;
      format.answer = format.match_name = flags.empty();
      if (!each(set_simple_flag)) return std::nullopt;
      if (!format.authority && !format.additional) format.answer = true;
      return format;
  }
  return std::nullopt;
}

}  // namespace ringdns
