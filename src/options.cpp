#include "ringdns/options.hpp"

#include <algorithm>
#include <charconv>
#include <cxxopts.hpp>
#include <thread>

namespace ringdns {
namespace {

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
std::string quoted(View value) {
  constexpr size_t longest = 80;
  std::string out = "\"" + std::string(value.substr(0, longest));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return out + (value.size() > longest ? "...\"" : "\"");
}

void Parsing::refuse(View value, View why) {
  fail(option + ": " + quoted(value) + " " + std::string(why));
}

template <class Number>
void read_number(Parsing& p, View value, Number& out, uint64_t least, uint64_t most,
                 View unit = "a number") {
  uint64_t number = 0;
  const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || stop != value.data() + value.size() || number < least ||
      number > most)
    return p.refuse(value, "is not " + std::string(unit) + " from " + std::to_string(least) +
                               " to " + std::to_string(most));
  out = static_cast<Number>(number);
}

template <class Use>
void each_item(View list, Use use) {
  for (;;) {
    const size_t comma = list.find(',');
    use(list.substr(0, comma));
    if (comma == list.npos) return;
    list.remove_prefix(comma + 1);
  }
}

bool equals_ignoring_case(View a, View lower) {
  return std::equal(a.begin(), a.end(), lower.begin(), lower.end(),
                    [](char x, char y) { return (x >= 'A' && x <= 'Z' ? x | 0x20 : x) == y; });
}

void add_rcode(Parsing& p, View text, RcodeSet& set) {
  const auto code = parse_rcode(text);
  if (!code || *code >= rcode::limit) return p.refuse(text, "is not a response code");
  set.set(*code);
}

void read_retry(Parsing& p, View value) {
  each_item(value, [&](View item) {
    if (equals_ignoring_case(item, "never")) return void(p.options.retry.reset());
    add_rcode(p, item, p.options.retry);
  });
}

template <Options::Filter filter>
void read_filter(Parsing& p, View value) {
  auto& now = p.options.filter;
  if (now != Options::Filter::off && now != filter)
    return p.fail("--filter and --ignore cannot be combined");
  now = filter;
  each_item(value, [&](View item) { add_rcode(p, item, p.options.filter_rcodes); });
}

void read_types(Parsing& p, View value) {
  auto& types = p.options.types;
  if (!p.types_given) types.clear();
  p.types_given = true;
  each_item(value, [&](View item) {
    const auto type = parse_type(item);
    if (!type) return p.refuse(item, "is not a record type");
    if (*type == type::axfr || *type == type::ixfr)
      return p.refuse(item, "is a zone transfer, which needs TCP: not available yet");
    if (std::find(types.begin(), types.end(), *type) == types.end()) types.push_back(*type);
  });
}

void read_output(Parsing& p, View value) {
  const auto format = parse_output_format(value);
  if (!format) return p.refuse(value, "is not an output format (see --help)");
  p.options.format = *format;
}

void read_bind(Parsing& p, View value) {
  const auto address = Address::parse(value, 0);
  if (!address) return p.refuse(value, "is not an address to bind to");
  p.options.bind.push_back(*address);
}

void read_ecs(Parsing& p, View value) {
  p.options.ecs = parse_ecs(value);
  if (!p.options.ecs) p.refuse(value, "is not a client subnet (ADDRESS/PREFIX)");
}

void read_concurrency(Parsing& p, View value) {
  constexpr uint32_t most = 16'000'000;
  if (value == "auto") p.options.concurrency = Options{}.concurrency;
  else read_number(p, value, p.options.concurrency, 1, most, "\"auto\" or a number of lookups");
}

template <bool Options::*flag>
void set(Parsing& p, View) {
  p.options.*flag = true;
}

template <std::string Options::*text>
void keep(Parsing& p, View value) {
  p.options.*text = value;
}

template <auto number, uint64_t least, uint64_t most>
void count(Parsing& p, View value) {
  read_number(p, value, p.options.*number, least, most);
}

void refuse_edns(Parsing& p, View) { p.options.edns = false; }

void nothing(Parsing&, View) {}

void read_interval(Parsing& p, View value) {
  uint32_t milliseconds = 1;
  read_number(p, value, milliseconds, 1, 3'600'000, "a number of milliseconds");
  p.options.interval = std::chrono::milliseconds(milliseconds);
}

void read_processes(Parsing& p, View value) {
  read_number(p, value, p.options.processes, 0, 1024);
  if (p.options.processes == 0)
    p.options.processes = std::max(1u, std::thread::hardware_concurrency());
}

void read_status(Parsing& p, View value) {
  if (value == "ansi") p.options.status = Options::Status::ansi;
  else if (value == "json") p.options.status = Options::Status::json;
  else p.refuse(value, "is not a status format (ansi, json)");
}

void read_io(Parsing& p, View value) {
  if (value == "auto") p.options.io = IoChoice::automatic;
  else if (value == "io_uring") p.options.io = IoChoice::io_uring;
  else if (value == "epoll") p.options.io = IoChoice::epoll;
  else p.refuse(value, "is not an event loop (auto, io_uring, epoll)");
}

// Silence would send from the very address that the user means to hide or to spare.
void refuse_random_source(Parsing& p, View) {
  p.fail(p.option + " is not supported: queries leave from this host's own addresses (see -b)");
}

void refuse_tcp_only(Parsing& p, View) { p.fail(p.option + " is not available yet"); }

void note_verify(Parsing& p, View) {
  p.notice("has no effect: where a reply comes from is always verified");
}
void note_busy_poll(Parsing& p, View) {
  p.notice("has no effect: the event loop waits and never polls");
}
void note_raw_sockets(Parsing& p, View) {
  p.notice("has no effect: ringdns uses no raw sockets");
}

struct OptionSpec {
  const char* names;     // as cxxopts takes them; it reports the option by the first
  const char* argument;  // nullptr: a flag
  const char* help;
  void (*apply)(Parsing&, View value);
};

struct OptionGroup {
  const char* title;
  std::vector<OptionSpec> options;
};

const OptionGroup groups[] = {
    {"Input",
     {{"resolvers,r", "LIST", "File of resolvers, one ADDRESS[:PORT] a line; - is standard "
       "input. Or addresses separated by commas. Required.", keep<&Options::resolvers>},
      {"type,types,t", "TYPE", "Record type to ask for: a name, a number or TYPEn. Repeatable, or "
       "a comma list. (default: A)", read_types},
      {"extended-input", nullptr, "A name may be followed by resolvers of its own, asked first.",
       set<&Options::extended_input>}}},
    {"Output",
     {{"output,o", "FORMAT", "What to write for a reply: a letter and its flags, see below. "
       "(default: F)", read_output},
      {"outfile,w", "FILE", "Write there; several processes write FILE0, FILE1, ... "
       "(default: standard output)", keep<&Options::outfile>},
      {"error-log,l", "FILE", "Write messages there. (default: standard error)",
       keep<&Options::error_log>},
      {"filter", "RCODE", "Write only replies with this response code. Repeatable, or a comma "
       "list.", read_filter<Options::Filter::only>},
      {"ignore", "RCODE", "Write only replies without this response code. Likewise.",
       read_filter<Options::Filter::not_these>},
      {"flush", nullptr, "Write each reply out at once.", set<&Options::flush>},
      {"quiet,q", nullptr, "No status, no notices.", set<&Options::quiet>},
      {"status-format", "FORMAT", "Status, once a second: ansi or json. (default: ansi)",
       read_status}}},
    {"Resolving",
     {{"hashmap-size,s", "N", "Lookups in flight at most, or auto. (default: 10000)",
       read_concurrency},
      {"interval,i", "MS", "How long a try waits for its reply. (default: 500)", read_interval},
      {"resolve-count,c", "N", "Tries a name gets, 1 to 255. (default: 50)",
       count<&Options::tries, 1, 255>},
      {"retry", "RCODE", "Try again after this response code. Repeatable, a comma list, or never. "
       "(default: all but NOERROR and NXDOMAIN)", read_retry},
      {"norecurse,n", nullptr, "Ask for no recursion (RD clear).", set<&Options::norecurse>},
      {"predictable", nullptr, "Take the resolvers in their order.", set<&Options::predictable>},
      {"sticky", nullptr, "Try a name again at the same resolver.", set<&Options::sticky>}}},
    {"EDNS",
     {{"edns-size", "N", "UDP size to advertise, 512 to 4096. (default: 1232)",
       count<&Options::edns_size, 512, 4096>},
      {"no-edns", nullptr, "Ask without EDNS.", refuse_edns},
      {"dnssec-ok", nullptr, "Ask for DNSSEC records (DO set).", set<&Options::dnssec_ok>},
      {"nsid", nullptr, "Ask for the server's identifier.", set<&Options::nsid>},
      {"ecs", "ADDR/PREFIX", "Send this client subnet.", read_ecs}}},
    {"Network",
     {{"io", "LOOP", "Event loop: auto, io_uring or epoll. (default: auto)", read_io},
      {"bindto,b", "ADDR[:PORT]", "Send from this address. Repeatable. (default: the kernel's "
       "choice)", read_bind},
      {"socket-count", "N", "Sockets of a process. (default: as many as -s needs)",
       count<&Options::socket_count, 1, 4096>},
      {"rcvbuf", "BYTES", "Receive buffer of a socket. (default, and 0: what -s needs)",
       count<&Options::receive_buffer, 0, INT32_MAX>},
      {"sndbuf", "BYTES", "Send buffer of a socket. Likewise.",
       count<&Options::send_buffer, 0, INT32_MAX>}}},
    {"Process",
     {{"processes", "N", "Processes that share the work; 0: one a core. (default: 1)",
       read_processes},
      {"root", nullptr, "Stay root when started as root.", set<&Options::keep_root>},
      {"drop-user", "USER", "User to become when started as root. (default: nobody)",
       keep<&Options::drop_user>},
      {"drop-group", "GROUP", "Group to become. (default: nogroup, or the --drop-user's own)",
       keep<&Options::drop_group>},
      {"help,h", nullptr, "Show this help.", nothing},
      {"version", nullptr, "Show the version.", nothing}}},
    {"massdns compatibility",
     {{"verify-ip", nullptr, "No effect: replies are always verified.", note_verify},
      {"busy-poll,busypoll", nullptr, "No effect.", note_busy_poll},
      {"tcp-raw", nullptr, "No effect.", note_raw_sockets},
      {"tcp-disabled", nullptr, "No effect: TCP is not used yet.", nothing}}},
    {nullptr,  // not in the help
     {{"tcp-only", nullptr, "", refuse_tcp_only},
      {"rand-src-ipv6", "PREFIX", "", refuse_random_source},
      {"rand-src-ipv6-file", "FILE", "", refuse_random_source},
      {"names", "FILE", "", keep<&Options::names>}}},
};

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
  for (const OptionGroup& group : groups)
    for (const OptionSpec& spec : group.options)
      parser.add_options(group.title ? group.title : "hidden")(
          spec.names, spec.help,
          spec.argument ? cxxopts::value<std::string>() : cxxopts::value<bool>(),
          spec.argument ? spec.argument : "");
  return parser;
}

const OptionSpec& spec_of(View reported) {
  for (const OptionGroup& group : groups)
    for (const OptionSpec& spec : group.options)
      if (View(spec.names).substr(0, View(spec.names).find(',')) == reported) return spec;
  ensure(false, "an option that is not in the table");
  std::abort();
}

std::string help_text(const cxxopts::Options& parser) {
  std::vector<std::string> titles;
  for (const OptionGroup& group : groups)
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
  if (o.resolvers == "-" && o.names == "-")
    return p.fail("standard input cannot hold both the names and the resolvers");
  for (const char* name : {"edns-size", "dnssec-ok", "nsid", "ecs"})
    if (!o.edns && given(name))
      return p.fail("--" + std::string(name) + " cannot be combined with --no-edns");
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
