// Level 3: the command line, parsed once into a constant.
#pragma once

#include <bitset>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringdns/address.hpp"
#include "ringdns/codes.hpp"
#include "ringdns/io.hpp"
#include "ringdns/prefix.hpp"

namespace ringdns {

struct OutputFormat {
  enum class Kind : uint8_t { full, simple, list, json, binary, zdns };
  Kind kind = Kind::full;

  // simple: u d n (sections), m t l i s q r
  bool answer = true, authority = false, additional = false;
  bool match_name = true;
  bool ttl = false, separate_replies = false, indent = false, separate_sections = false;
  bool question = false, meta = false;
  // list: 0
  bool empty_noerror = false;
  // json: a e
  bool only_answers_or_referrals = false, failures = false;
};

using RcodeSet = std::bitset<rcode::limit>;

// "F", "S", "Snl", "Je": massdns's letters; "Z". Nothing for a letter or flag that is none.
std::optional<OutputFormat> parse_output_format(std::string_view text);

struct Options {
  // input
  std::string names = "-";  // path; "-" is stdin
  bool names_given = false; // on the command line
  std::string resolvers;    // path, "-", or a comma list of addresses
  std::vector<uint16_t> types{type::a};
  bool extended_input = false;

  // output
  OutputFormat format;
  std::string format_name = "F";  // as given
  std::string outfile = "-";
  std::string error_log = "-";  // "-" is stderr
  bool flush = false;
  bool quiet = false;
  std::string resolver_stats_file;  // likewise of each resolver: a table, or JSON by its name
  std::string stats_file;   // JSON at the end; "-" is stderr, empty: none
  std::string unresolved;   // lines that got no answer; empty: none
  enum class Status : uint8_t { ansi, json } status = Status::ansi;

  // going on
  std::string checkpoint;   // empty: none
  Duration checkpoint_interval = std::chrono::seconds(1);
  bool resume = false;

  // resolving
  uint32_t concurrency = 10000;  // -s: lookups in flight
  bool concurrency_auto = false; // -s auto: as many as the resolvers' windows may come to
  uint32_t rate = 0;             // --rate: queries a second, of the whole run; 0: any
  uint32_t resolver_rate = 0;      // --resolver-rate: likewise, to each resolver
  uint32_t tries = 50;           // -c
  Duration interval = std::chrono::milliseconds(500);  // -i
  bool norecurse = false, predictable = false, sticky = false;
  RcodeSet retry;                // rcodes that cost a try and are asked again; default: all but
                                 // NOERROR and NXDOMAIN
  enum class Filter : uint8_t { off, only, not_these } filter = Filter::off;
  RcodeSet filter_rcodes;

  std::string trusted;           // path or comma list of addresses; empty: none

  // --check-resolvers
  bool check_resolvers = false;
  // Comma lists. Of the real Internet: addresses that are one and the same everywhere.
  std::string check_names = "a.root-servers.net,k.root-servers.net,l.root-servers.net";
  std::string check_zones = "com,net,org";

  // EDNS
  bool edns = true, dnssec_ok = false, nsid = false;
  uint16_t edns_size = 1232;
  std::optional<Prefix> ecs;     // RFC 7871, whose section 6 wants the bits beyond it zero

  // TCP (tcp.md "Connections")
  enum class Tcp : uint8_t { fallback, only, disabled } tcp = Tcp::fallback;
  uint32_t tcp_connections = 512;  // table size
  uint32_t tcp_per_server = 1;
  uint32_t tcp_pipeline = 64;      // queries in flight on a connection at most
  Duration tcp_idle = std::chrono::seconds(5);
  Duration tcp_connect_timeout = std::chrono::seconds(2);
  Duration tcp_timeout = std::chrono::seconds(5);  // of a query, from its writing to its reply
  uint16_t tcp_mss = 1200;         // 0: leave the kernel's
  bool tcp_fastopen = false;
  uint32_t ixfr_serial = 0;        // -t IXFR=serial

  // sockets
  IoChoice io = IoChoice::automatic;
  std::vector<Address> bind;     // at most one of each family matters
  // --rand-src-ipv6: each IPv6 socket sends from an address drawn from one of these, which need
  // not be this host's. The file has one address a line, and joins them before the run.
  std::vector<Prefix> sources;
  std::string sources_file;
  uint32_t socket_count = 0;     // 0: as many as concurrency needs, at least 4
  std::optional<uint32_t> receive_buffer, send_buffer;  // bytes; unset or 0: chosen by ringdns

  // process
  uint32_t processes = 1;
  bool keep_root = false;
  bool sandbox = true;
  std::string drop_user = "nobody", drop_group = "nogroup";  // no group: the user's own

  // Said once on stderr at start, unless quiet or with JSON status: accepted for massdns's sake,
  // without effect here.
  std::vector<std::string> notices;
};

struct ParsedOptions {
  enum class Outcome : uint8_t { run, help, version, error } outcome = Outcome::error;
  Options options;
  std::string message;  // help (a completion script is one), version or error text, as it is printed
};

// argv[0] included. Never exits, never throws. Opens no file.
ParsedOptions parse_options(int argc, const char* const* argv);

}  // namespace ringdns
