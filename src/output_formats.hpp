// The formats one by one, and what they share.
#pragma once

#include "ringdns/output.hpp"

namespace ringdns {

std::unique_ptr<Formatter> make_full_formatter();
std::unique_ptr<Formatter> make_simple_formatter(const OutputFormat& format);
std::unique_ptr<Formatter> make_list_formatter(const OutputFormat& format);
std::unique_ptr<Formatter> make_json_formatter(const OutputFormat& format);
std::unique_ptr<Formatter> make_binary_formatter();
std::unique_ptr<Formatter> make_zdns_formatter();

inline int64_t unix_seconds(UnixTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

struct Asked {
  Bytes name;  // wire form
  uint16_t type;
  uint16_t rr_class;
};

// The question as the reply spells it, or as we did.
inline Asked question_of(const Reply& reply) {
  const Message& message = reply.message;
  if (message.question_name().empty())
    return {reply.asked_name, reply.asked_type,
            reply.asked_name.empty() ? message.question_class() : rr_class::internet};
  return {message.question_name(), message.question_type(), message.question_class()};
}

inline bool has_answer(const Message& message) {
  return !message.records().empty() && message.records()[0].section == Section::answer;
}

}  // namespace ringdns
