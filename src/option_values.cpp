#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

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

std::optional<EcsOption> parse_ecs(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const std::string host(text.substr(0, slash));
  const std::string_view length = text.substr(slash + 1);

  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  const bool is_v4 = inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1;
  if (!is_v4 && inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) return std::nullopt;

  EcsOption ecs;
  const unsigned bits = is_v4 ? 32 : 128;
  const auto [stop, error] =
      std::from_chars(length.data(), length.data() + length.size(), ecs.prefix);
  if (error != std::errc() || stop != length.data() + length.size() || ecs.prefix > bits)
    return std::nullopt;

  auto* octets = is_v4 ? reinterpret_cast<uint8_t*>(&v4.sin_addr) : v6.sin6_addr.s6_addr;
  for (unsigned bit = ecs.prefix; bit < bits; ++bit)
    octets[bit / 8] &= static_cast<uint8_t>(~(0x80 >> bit % 8));
  ecs.address = is_v4 ? Address::from_sockaddr(&v4, sizeof v4)
                      : Address::from_sockaddr(&v6, sizeof v6);
  return ecs;
}

}  // namespace ringdns
