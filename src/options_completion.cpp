#include <cctype>
#include <functional>

#include "option_table.hpp"
#include "ringdns/codes.hpp"

namespace ringdns {
namespace {

using Words = std::vector<std::string>;

std::string joined(const Words& words, View separator = " ") {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += separator;
    out += word;
  }
  return out;
}

// What may follow an option.
struct Values {
  Words words;
  bool list = false;  // several of them, with commas between
  bool files = false, users = false, groups = false;
};

template <class Append>
void add_registered(Values& values, uint32_t limit, View unknown, Append append) {
  values.list = true;
  for (uint32_t code = 0; code < limit; ++code) {
    Buffer name;
    append(name, static_cast<uint16_t>(code));
    if (!name.view().starts_with(unknown)) values.words.emplace_back(name.view());
  }
}

// Each letter that is a format, alone and with each flag that it takes.
void add_formats(Values& values) {
  constexpr View flags = "0123456789abcdefghijklmnopqrstuvwxyz";
  for (std::string format = "A"; format[0] <= 'Z'; ++format[0]) {
    if (!parse_output_format(format)) continue;
    values.words.push_back(format);
    const bool any_will_do = parse_output_format(format + '?').has_value();
    for (char flag : any_will_do ? View() : flags)
      if (parse_output_format(format + flag)) values.words.push_back(format + flag);
  }
}

// From its argument in the help, where capitals stand for something and "ansi|json" for itself.
Values values_of(View argument) {
  Values values;
  for (;;) {
    const size_t bar = argument.find('|');
    const View word = argument.substr(0, bar);
    if (word == "TYPE") add_registered(values, 65536, "TYPE", append_type);
    else if (word == "RCODE") add_registered(values, rcode::limit, "RCODE", append_rcode);
    else if (word == "FORMAT") add_formats(values);
    else if (word == "FILE" || word == "LIST") values.files = true;
    else if (word == "USER") values.users = true;
    else if (word == "GROUP") values.groups = true;
    else if (!word.empty() && std::islower(static_cast<unsigned char>(word[0])))
      values.words.emplace_back(word);
    if (bar == argument.npos) return values;
    argument.remove_prefix(bar + 1);
  }
}

Words spellings(View names) {
  Words out;
  for (;;) {
    const size_t comma = names.find(',');
    const std::string name(names.substr(0, comma));
    out.push_back((name.size() == 1 ? "-" : "--") + name);
    if (comma == names.npos) return out;
    names.remove_prefix(comma + 1);
  }
}

// The first sentence, with each of these characters escaped.
std::string summary_of(View help, View special) {
  std::string out;
  for (char c : help.substr(0, help.find_first_of(".;"))) {
    if (special.find(c) != special.npos) out += '\\';
    out += c;
  }
  return out;
}

void each_option(const std::function<void(const OptionSpec&)>& use) {
  for (const OptionGroup& group : option_groups())
    for (const OptionSpec& spec : group.options)
      if (group.title) use(spec);
}

// bash

std::string bash_values(const Values& values) {
  if (values.files) return "_ringdns_files";
  if (values.users) return "_ringdns_words \"$(compgen -u)\"";
  if (values.groups) return "_ringdns_words \"$(compgen -g)\"";
  if (values.words.empty()) return ":";
  return (values.list ? "_ringdns_list \"" : "_ringdns_words \"") + joined(values.words) + "\"";
}

std::string bash_script() {
  Words all;
  std::string cases;
  each_option([&](const OptionSpec& spec) {
    const Words names = spellings(spec.names);
    all.insert(all.end(), names.begin(), names.end());
    if (spec.argument)
      cases += "    " + joined(names, " | ") + ") " + bash_values(values_of(spec.argument)) +
               "; return ;;\n";
  });
  return R"(# bash completion of ringdns, as `ringdns --completion bash` writes it

_ringdns_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }

_ringdns_list() {
  local last=${cur##*,}
  mapfile -t COMPREPLY < <(compgen -P "${cur%"$last"}" -W "$1" -- "$last")
}

_ringdns_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}

_ringdns() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  # --option=value comes as three words
  [[ $cur != "=" ]] || cur=
  [[ $prev != "=" ]] || prev=${COMP_WORDS[COMP_CWORD - 2]}
  case $prev in
)" + cases + R"(  esac
  case $cur in
    -*) _ringdns_words ")" + joined(all) + R"(" ;;
    *) _ringdns_files ;;
  esac
}

complete -F _ringdns ringdns massdns
)";
}

// zsh

std::string zsh_values(const OptionSpec& spec) {
  const Values values = values_of(spec.argument);
  const std::string message = ":" + summary_of(spec.argument, "[]:'") + ":";
  if (values.files) return message + "_files";
  if (values.users) return message + "_users";
  if (values.groups) return message + "_groups";
  if (values.words.empty()) return message + " ";
  if (values.list) return message + "_values -s , value " + joined(values.words);
  return message + "(" + joined(values.words) + ")";
}

std::string zsh_script() {
  std::string out = "#compdef ringdns massdns\n"
                    "# zsh completion of ringdns, as `ringdns --completion zsh` writes it\n\n"
                    "_arguments -s -S \\\n";
  each_option([&](const OptionSpec& spec) {
    for (const std::string& name : spellings(spec.names)) {
      const View attached = !spec.argument ? "" : name.size() == 2 ? "+" : "=";
      out += "  \"*" + name + std::string(attached) + "[" +
             summary_of(spec.help, "[]:\"$`\\") + "]";
      if (spec.argument) out += zsh_values(spec);
      out += "\" \\\n";
    }
  });
  return out + "  '1:names:_files'\n";
}

// fish

std::string fish_values(const Values& values) {
  if (values.files) return " -r -F";
  if (values.users) return " -x -a '(__fish_complete_users)'";
  if (values.groups) return " -x -a '(__fish_complete_groups)'";
  if (values.words.empty()) return " -x";
  if (values.list) return " -x -a '(__fish_append , " + joined(values.words) + ")'";
  return " -x -a '" + joined(values.words) + "'";
}

std::string fish_script() {
  std::string out = "# fish completion of ringdns, as `ringdns --completion fish` writes it\n\n"
                    "complete -c massdns -w ringdns\n";
  each_option([&](const OptionSpec& spec) {
    out += "complete -c ringdns";
    for (const std::string& name : spellings(spec.names))
      out += name.size() == 2 ? " -s " + name.substr(1) : " -l " + name.substr(2);
    if (spec.argument) out += fish_values(values_of(spec.argument));
    out += " -d '" + summary_of(spec.help, "'\\") + "'\n";
  });
  return out;
}

}  // namespace

std::string completion_script(View shell) {
  if (shell == "bash") return bash_script();
  if (shell == "zsh") return zsh_script();
  if (shell == "fish") return fish_script();
  return {};
}

}  // namespace ringdns
