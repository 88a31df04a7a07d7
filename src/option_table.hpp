// The options as one table, and what each does with its value: options.cpp's own.
#pragma once

#include <span>

#include "ringdns/options.hpp"

namespace ringdns {

using View = std::string_view;

// What is gathered while the arguments are gone through in their order.
struct Parsing {
  Options options;
  std::string option;  // the one at hand, as the help spells it
  std::string error;   // the first one; ends the parsing
  bool types_given = false;

  void fail(std::string text) {
    if (error.empty()) error = std::move(text);
  }
  void refuse(View value, View why);
  void notice(View text) {
    auto& all = options.notices;
    std::string line = option + " " + std::string(text);
    if (std::find(all.begin(), all.end(), line) == all.end()) all.push_back(std::move(line));
  }
};

// A value as it may be shown in one line of an error.
std::string quoted(View value);

struct OptionSpec {
  const char* names;     // as cxxopts takes them; it reports the option by the first
  const char* argument;  // nullptr: a flag. Words in capitals stand for something (completion_script
                         // knows TYPE, RCODE, FILE ...), others for themselves: "N|auto"
  const char* help;
  void (*apply)(Parsing&, View value);
};

struct OptionGroup {
  const char* title;
  std::vector<OptionSpec> options;
};

// In the order of the help; the last has no title and is not in it.
std::span<const OptionGroup> option_groups();

// What a shell loads to complete our options and their values: bash, zsh, fish. Nothing for another.
std::string completion_script(View shell);

}  // namespace ringdns
