#include "ringdns/options.hpp"

#include <algorithm>
#include <cxxopts.hpp>

#include "option_table.hpp"

namespace ringdns {
namespace {

constexpr const char* formats_help = R"(
 -o FORMAT, with its flags:

  F  full text, like dig's
  S  one record a line: "name. TYPE rdata"; any flag turns the name match off
       n u d  records of the answer, authority, additional section
       m      only records whose owner is the question's name
       t      class and TTL too         l  a blank line after each reply
       q      the question first        i  a tab before each record
       r      q, after server, time and response code
       s      a blank line between sections
  L  the names that had an answer       0  and those with an empty NOERROR
  J  a JSON object a line               a  only with answers or a referral
                                        e  an object for each failure, too
  B  massdns's binary file
  Z  zdns's JSON: an object a line of input, whatever became of it
)";

// "i" of "interval,i", as the user most likely typed it.
std::string spelled(View names) {
  if (names.size() > 2 && names[names.size() - 2] == ',') return {'-', names.back()};
  return "--" + std::string(names.substr(0, names.find(',')));
}

cxxopts::Options make_parser() {
  cxxopts::Options parser("ringdns", "ringdns resolves names in bulk.");
  parser.custom_help("-r LIST [options]");
  parser.positional_help("[NAMES]");
  parser.parse_positional("names");
  for (const OptionGroup& group : option_groups())
    for (const OptionSpec& spec : group.options)
      parser.add_options(group.title ? group.title : "hidden")(
          spec.names, spec.help,
          spec.argument ? cxxopts::value<std::string>() : cxxopts::value<bool>(),
          spec.argument ? spec.argument : "");
  return parser;
}

const OptionSpec& spec_of(View reported) {
  for (const OptionGroup& group : option_groups())
    for (const OptionSpec& spec : group.options)
      if (View(spec.names).substr(0, View(spec.names).find(',')) == reported) return spec;
  ensure(false, "an option that is not in the table");
  std::abort();
}

std::string help_text(const cxxopts::Options& parser) {
  std::vector<std::string> titles;
  for (const OptionGroup& group : option_groups())
    if (group.title) titles.push_back(group.title);
  return parser.help(titles) + formats_help;
}

// What depends on more than one option.
void check(Parsing& p, const cxxopts::ParseResult& parsed) {
  Options& o = p.options;
  const auto given = [&](const char* name) { return parsed.count(name) > 0; };
  if (!parsed.unmatched().empty())
    return p.fail("one list of names only, not " + quoted(parsed.unmatched().front()) + " as well");
  if (!given("resolvers")) return p.fail("no resolvers: name them with -r (see --help)");
  if (parsed.count("resolvers") > 1) return p.fail("-r may be given only once");
  if ((o.names == "-") + (o.resolvers == "-") + (o.sources_file == "-") > 1)
    return p.fail("standard input cannot hold both the names and a list of addresses");
  for (const char* name : {"edns-size", "dnssec-ok", "nsid", "ecs"})
    if (!o.edns && given(name))
      return p.fail("--" + std::string(name) + " cannot be combined with --no-edns");
  const bool sources = given("rand-src-ipv6") || given("rand-src-ipv6-file");
  if (sources && given("bindto")) return p.fail("-b cannot be combined with --rand-src-ipv6");
  for (const char* name : {"resume", "checkpoint-interval"})
    if (o.checkpoint.empty() && given(name))
      return p.fail("--" + std::string(name) + " needs a --checkpoint FILE");
  if (o.unresolved == "-" || o.checkpoint == "-")
    return p.fail("--unresolved and --checkpoint need a file, not -");
  bool own_output = o.outfile != "-";
  if (!o.checkpoint.empty() && o.processes > 1 && !own_output)
    return p.fail("--checkpoint with several --processes needs -w");
  // Results wait for the others of their line, where a checkpoint would take them for written.
  if (!o.checkpoint.empty() && o.format.kind == OutputFormat::Kind::zdns)
    return p.fail("--checkpoint cannot be combined with -o Z");
  // A record cut short by a kill would make the rest of a stream unreadable.
  if (!o.checkpoint.empty() && o.format.kind == OutputFormat::Kind::binary && !own_output)
    return p.fail("--checkpoint with -o B needs -w");
  for (const uint16_t wanted : o.types)
    if (o.tcp == Options::Tcp::disabled && (wanted == type::axfr || wanted == type::ixfr))
      return p.fail("-t AXFR and IXFR need TCP: not with --tcp-disabled");
  if (!given("retry"))
    o.retry.set().reset(rcode::noerror).reset(rcode::nxdomain);
  if (given("drop-user") && !given("drop-group")) o.drop_group.clear();
  o.names_given = given("names");
}

// What cxxopts quotes in an exception's text: the option or the value at fault.
std::string culprit(const std::exception& exception) {
  const std::string text = exception.what();
  const size_t from = text.find(cxxopts::LQUOTE), to = text.rfind(cxxopts::RQUOTE);
  if (from == text.npos || to == text.npos) return text;
  const size_t start = from + cxxopts::LQUOTE.size();
  return text.substr(start, to - start);
}

std::string dashed(const std::string& name) { return (name.size() == 1 ? "-" : "--") + name; }

void parse_arguments(Parsing& p, int argc, const char* const* argv, ParsedOptions& out) {
  using Outcome = ParsedOptions::Outcome;
  cxxopts::Options parser = make_parser();
  const auto say = [&](Outcome outcome, std::string text) {
    out.outcome = outcome;
    out.message = std::move(text);
  };
  if (argc <= 1) return say(Outcome::error, help_text(parser));

  // cxxopts matches these by a regular expression that recurses on every octet.
  for (int i = 1; i < argc; ++i)
    if (argv[i][0] == '-' && std::strlen(argv[i]) > 4096)
      return p.fail("an option of more than 4096 octets: put its value after a blank");

  const cxxopts::ParseResult parsed = parser.parse(argc, argv);
  if (parsed.count("help")) return say(Outcome::help, help_text(parser));
  if (parsed.count("version")) return say(Outcome::version, "ringdns " RINGDNS_VERSION "\n");
  if (parsed.count("completion")) {
    const auto shell = parsed["completion"].as<std::string>();
    std::string script = completion_script(shell);
    if (!script.empty()) return say(Outcome::help, std::move(script));
    p.option = "--completion";
    return p.refuse(shell, "is not a shell that is known (bash, zsh, fish)");
  }

  for (const cxxopts::KeyValue& argument : parsed.arguments()) {
    const OptionSpec& spec = spec_of(argument.key());
    p.option = spelled(spec.names);
    if (!spec.argument && argument.value() != "true")
      p.refuse(argument.value(), "is a value, and this option takes none");
    else
      spec.apply(p, argument.value());
  }
  check(p, parsed);
  out.outcome = Outcome::run;
}

}  // namespace

ParsedOptions parse_options(int argc, const char* const* argv) {
  ParsedOptions out;
  Parsing p;
  try {
    parse_arguments(p, argc, argv, out);
  } catch (const cxxopts::exceptions::no_such_option& e) {
    p.fail("unknown option " + dashed(culprit(e)) + " (see --help)");
  } catch (const cxxopts::exceptions::invalid_option_syntax& e) {
    p.fail("unknown option " + culprit(e) + " (see --help)");
  } catch (const cxxopts::exceptions::missing_argument& e) {
    p.fail(dashed(culprit(e)) + " needs a value");
  } catch (const cxxopts::exceptions::incorrect_argument_type& e) {
    p.fail(quoted(culprit(e)) + " was given to an option that takes no value");
  } catch (const std::exception&) {
    p.fail("the command line cannot be understood (see --help)");
  }
  if (!p.error.empty()) {
    out.outcome = ParsedOptions::Outcome::error;
    out.message = "ringdns: " + p.error + "\n";
  }
  if (out.outcome == ParsedOptions::Outcome::run) out.options = std::move(p.options);
  return out;
}

}  // namespace ringdns
