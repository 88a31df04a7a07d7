// The formats one by one, and what they share.
#pragma once

#include "ringdns/output.hpp"

namespace ringdns {

std::unique_ptr<Formatter> make_full_formatter();
std::unique_ptr<Formatter> make_simple_formatter(const OutputFormat& format);
std::unique_ptr<Formatter> make_list_formatter(const OutputFormat& format);
std::unique_ptr<Formatter> make_json_formatter(const OutputFormat& format);
std::unique_ptr<Formatter> make_binary_formatter();

inline int64_t unix_seconds(UnixTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

inline bool has_answer(const Message& message) {
  return !message.records().empty() && message.records()[0].section == Section::answer;
}

}  // namespace ringdns
