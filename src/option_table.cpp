#include "ringdns/options.hpp"

#include "option_table.hpp"

#include <algorithm>
#include <charconv>
#include <thread>

namespace ringdns {

std::string quoted(View value) {
  constexpr size_t longest = 80;
  std::string out = "\"";
  out += value.substr(0, longest);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return out + (value.size() > longest ? "...\"" : "\"");
}

void Parsing::refuse(View value, View why) {
  fail(option + ": " + quoted(value) + " " + std::string(why));
}

namespace {

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
    const auto type = parse_type(item.substr(0, item.find('=')));
    if (!type) return p.refuse(item, "is not a record type");
    const bool serial_given = item.find('=') != item.npos;
    if (serial_given != (*type == type::ixfr))
      return p.refuse(item, serial_given ? "is not a record type" : "needs a serial: IXFR=SERIAL");
    if (serial_given)
      read_number(p, item.substr(item.find('=') + 1), p.options.ixfr_serial, 0, UINT32_MAX,
                  "a zone's serial");
    if (std::find(types.begin(), types.end(), *type) == types.end()) types.push_back(*type);
  });
}

void read_output(Parsing& p, View value) {
  const auto format = parse_output_format(value);
  if (!format) return p.refuse(value, "is not an output format (see --help)");
  p.options.format = *format;
  p.options.format_name = value;
}

void read_bind(Parsing& p, View value) {
  const auto address = Address::parse(value, 0);
  if (!address) return p.refuse(value, "is not an address to bind to");
  p.options.bind.push_back(*address);
}

void read_ecs(Parsing& p, View value) {
  p.options.ecs = parse_prefix(value);
  if (!p.options.ecs) p.refuse(value, "is not a client subnet (ADDRESS/PREFIX)");
}

void read_concurrency(Parsing& p, View value) {
  constexpr uint32_t most = 16'000'000;
  p.options.concurrency_auto = value == "auto";
  if (p.options.concurrency_auto) p.options.concurrency = Options{}.concurrency;
  else read_number(p, value, p.options.concurrency, 1, most, "\"auto\" or a number of lookups");
}

template <bool Options::*flag>
void set(Parsing& p, View) {
  p.options.*flag = true;
}

template <bool Options::*flag>
void clear(Parsing& p, View) {
  p.options.*flag = false;
}

template <std::string Options::*text>
void keep(Parsing& p, View value) {
  p.options.*text = value;
}

template <auto number, uint64_t least, uint64_t most>
void count(Parsing& p, View value) {
  read_number(p, value, p.options.*number, least, most);
}

void nothing(Parsing&, View) {}

template <Duration Options::*time>
void read_time(Parsing& p, View value) {
  uint32_t milliseconds = 1;
  read_number(p, value, milliseconds, 1, 3'600'000, "a number of milliseconds");
  p.options.*time = std::chrono::milliseconds(milliseconds);
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

void read_source(Parsing& p, View value) {
  const auto prefix = parse_prefix(value);
  if (!prefix || !prefix->address.is_ipv6() || prefix->length == 0)
    return p.refuse(value, "is not an IPv6 prefix (ADDRESS/LENGTH)");
  p.options.sources.push_back(*prefix);
}

template <Options::Tcp way>
void set_tcp(Parsing& p, View) {
  auto& now = p.options.tcp;
  if (now != Options::Tcp::fallback && now != way)
    return p.fail("--tcp-only and --tcp-disabled cannot be combined");
  now = way;
}

void note_verify(Parsing& p, View) {
  p.notice("has no effect: where a reply comes from is always verified");
}
void note_busy_poll(Parsing& p, View) {
  p.notice("has no effect: the event loop waits and never polls");
}
void note_raw_sockets(Parsing& p, View) { p.notice("means TCP, without raw sockets"); }

// Linux takes no smaller segment (TCP_MIN_MSS), and no larger one fits an IP packet.
void read_mss(Parsing& p, View value) {
  constexpr uint64_t least = 88, most = 65495;
  if (value == "0") p.options.tcp_mss = 0;
  else read_number(p, value, p.options.tcp_mss, least, most, "0 or a number of octets");
}

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
      {"unresolved", "FILE", "Write the input lines that got no answer there, each with its reason "
       "as a comment. Can be fed back.", keep<&Options::unresolved>},
      {"stats", "FILE", "Write all counters there as JSON at the end; - is standard error.",
       keep<&Options::stats_file>},
      {"resolver-stats", "FILE", "Write what was learned of each resolver there at the end: JSON "
       "lines where FILE ends in .json or .jsonl, or else a table; - is standard error.",
       keep<&Options::resolver_stats_file>},
      {"quiet,q", nullptr, "No status, no notices.", set<&Options::quiet>},
      {"status-format", "ansi|json", "Status, once a second. (default: ansi)",
       read_status}}},
    {"Going on",
     {{"checkpoint", "FILE", "Keep there how far the run has come.", keep<&Options::checkpoint>},
      {"checkpoint-interval", "MS", "How often. (default: 1000)",
       read_time<&Options::checkpoint_interval>},
      {"resume", nullptr, "Go on where the --checkpoint tells.", set<&Options::resume>}}},
    {"Resolving",
     {{"hashmap-size,s", "N|auto", "Lookups in flight at most. (default: 10000)",
       read_concurrency},
      {"interval,i", "MS", "How long a try waits for its reply. (default: 500)",
       read_time<&Options::interval>},
      {"resolve-count,c", "N", "Tries a name gets, 1 to 255. (default: 50)",
       count<&Options::tries, 1, 255>},
      {"rate", "N", "Queries a second at most, of the whole run.",
       count<&Options::rate, 1, 100'000'000>},
      {"resolver-rate", "N", "Queries a second at most, to each resolver.",
       count<&Options::resolver_rate, 1, 100'000'000>},
      {"retry", "RCODE|never", "Try again after this response code. Repeatable, or a comma list. "
       "(default: all but NOERROR and NXDOMAIN)", read_retry},
      {"norecurse,n", nullptr, "Ask for no recursion (RD clear).", set<&Options::norecurse>},
      {"predictable", nullptr, "Take the resolvers in their order.", set<&Options::predictable>},
      {"sticky", nullptr, "Try a name again at the same resolver.", set<&Options::sticky>},
      {"trusted", "LIST", "Resolvers that are believed, in the form of -r.",
       keep<&Options::trusted>}}},
    {"Checking resolvers",
     {{"check-resolvers", nullptr, "Resolve nothing: write the resolvers of -r that are fit for "
       "use.", set<&Options::check_resolvers>},
      {"check-names", "NAMES", "Names whose addresses are the same everywhere. (default: those of "
       "three root servers)", keep<&Options::check_names>},
      {"check-zones", "ZONES", "Zones where random names do not exist. (default: com,net,org)",
       keep<&Options::check_zones>}}},
    {"EDNS",
     {{"edns-size", "N", "UDP size to advertise, 512 to 4096. (default: 1232)",
       count<&Options::edns_size, 512, 4096>},
      {"no-edns", nullptr, "Ask without EDNS.", clear<&Options::edns>},
      {"dnssec-ok", nullptr, "Ask for DNSSEC records (DO set).", set<&Options::dnssec_ok>},
      {"nsid", nullptr, "Ask for the server's identifier.", set<&Options::nsid>},
      {"ecs", "ADDR/PREFIX", "Send this client subnet.", read_ecs}}},
    {"TCP",
     {{"tcp-only", nullptr, "Ask over TCP at once.", set_tcp<Options::Tcp::only>},
      {"tcp-disabled", nullptr, "Never use TCP: truncated answers fail as TRUNCATED.",
       set_tcp<Options::Tcp::disabled>},
      {"tcp-connections", "N", "Connections at once at most. (default: 512)",
       count<&Options::tcp_connections, 1, 32768>},
      {"tcp-per-server", "N", "Of those, to one server. (default: 1)",
       count<&Options::tcp_per_server, 1, 1024>},
      {"tcp-pipeline", "N", "Queries in flight on a connection at most. (default: 64)",
       count<&Options::tcp_pipeline, 1, 4096>},
      {"tcp-timeout", "MS", "How long a query written waits for its reply. (default: 5000)",
       read_time<&Options::tcp_timeout>},
      {"tcp-connect-timeout", "MS", "How long a connect may take. (default: 2000)",
       read_time<&Options::tcp_connect_timeout>},
      {"tcp-idle", "MS", "How long an unused connection is kept. (default: 5000)",
       read_time<&Options::tcp_idle>},
      {"tcp-mss", "BYTES", "Segment size to ask for; 0: the kernel's. (default: 1200)",
       read_mss},
      {"tcp-fastopen", nullptr, "Send the first query with the SYN where both ends can.",
       set<&Options::tcp_fastopen>}}},
    {"Network",
     {{"io", "auto|io_uring|epoll", "Event loop. (default: auto)", read_io},
      {"bindto,b", "ADDR[:PORT]", "Send from this address. Repeatable. (default: the kernel's "
       "choice)", read_bind},
      {"rand-src-ipv6", "PREFIX", "Send from a random address of it, another one for each socket. "
       "Repeatable.", read_source},
      {"rand-src-ipv6-file", "FILE", "Or from those in this file, one a line.",
       keep<&Options::sources_file>},
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
      {"no-sandbox", nullptr, "Keep the rights that a run does not need: seccomp, Landlock.",
       clear<&Options::sandbox>},
      {"help,h", nullptr, "Show this help.", nothing},
      {"version", nullptr, "Show the version.", nothing},
      {"completion", "bash|zsh|fish", "Show what that shell needs to complete options.",
       nothing}}},
    {"massdns compatibility",
     {{"verify-ip", nullptr, "No effect: replies are always verified.", note_verify},
      {"busy-poll,busypoll", nullptr, "No effect.", note_busy_poll},
      {"tcp-raw", nullptr, "TCP, without raw sockets.", note_raw_sockets}}},
    {nullptr,  // not in the help
     {{"names", "FILE", "", keep<&Options::names>}}},
};

}  // namespace

std::span<const OptionGroup> option_groups() { return groups; }

}  // namespace ringdns
