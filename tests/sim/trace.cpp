#include "trace.hpp"

#include <cstdarg>

#include "kernel.hpp"

namespace sim {

void violation(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::fflush(stdout);
  std::fputs("sim: ", stderr);
  std::vfprintf(stderr, format, arguments);
  std::fputc('\n', stderr);
  va_end(arguments);
  std::abort();
}

void Trace::say(const char* what, const char* format, ...) const {
  if (!on_) return;
  int64_t us = (now_ - SimIo::epoch) / 1us;
  std::printf("%4lld.%06lld %-8s ", static_cast<long long>(us / 1000000),
              static_cast<long long>(us % 1000000), what);
  va_list arguments;
  va_start(arguments, format);
  std::vprintf(format, arguments);
  va_end(arguments);
  std::putchar('\n');
}

std::string describe(Bytes message) {
  if (message.size() < 12) return "(" + std::to_string(message.size()) + " octets)";
  char text[64];
  std::snprintf(text, sizeof text, "%04x ", load_u16(message.data()));
  std::string out = text;
  size_t at = 12;
  while (at < message.size() && message[at] != 0 && message[at] < 64 &&
         at + 1 + message[at] < message.size()) {
    for (size_t i = 0; i < message[at]; ++i) {
      char c = static_cast<char>(message[at + 1 + i]);
      out += c > ' ' && c < 0x7f ? c : '?';
    }
    out += '.';
    at += 1 + message[at];
  }
  if (at + 3 <= message.size()) out += " type " + std::to_string(load_u16(&message[at + 1]));
  if (message[2] & 0x80) {
    std::snprintf(text, sizeof text, " rcode %u%s answers %u", message[3] & 15,
                  message[2] & 2 ? " TC" : "", load_u16(&message[6]));
    out += text;
  }
  return out + " (" + std::to_string(message.size()) + " octets)";
}

}  // namespace sim
