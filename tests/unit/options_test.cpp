#include <doctest/doctest.h>

#include <cstring>

#include "ringdns/options.hpp"

using namespace ringdns;
using Outcome = ParsedOptions::Outcome;

namespace {

ParsedOptions parse(std::vector<std::string> words) {
  words.insert(words.begin(), "ringdns");
  std::vector<const char*> argv;
  for (const auto& word : words) argv.push_back(word.c_str());
  argv.push_back(nullptr);
  return parse_options(static_cast<int>(words.size()), argv.data());
}

// With the resolvers that every run needs.
Options accepted(std::vector<std::string> words) {
  words.insert(words.begin(), {"-r", "resolvers.txt"});
  auto parsed = parse(words);
  INFO(parsed.message);
  CHECK(parsed.outcome == Outcome::run);
  return parsed.options;
}

std::string refused(std::vector<std::string> words) {
  words.insert(words.begin(), {"-r", "resolvers.txt"});
  const auto parsed = parse(words);
  CHECK(parsed.outcome == Outcome::error);
  CHECK(parsed.message.starts_with("ringdns: "));
  CHECK(parsed.message.find('\n') == parsed.message.size() - 1);
  return parsed.message;
}

OutputFormat format(std::string letters) { return accepted({"-o", letters}).format; }

}  // namespace

TEST_CASE("the defaults are massdns's") {
  const Options o = accepted({});
  CHECK(o.names == "-");
  CHECK(o.resolvers == "resolvers.txt");
  CHECK(o.types == std::vector{type::a});
  CHECK(o.format.kind == OutputFormat::Kind::full);
  CHECK(o.outfile == "-");
  CHECK(o.error_log == "-");
  CHECK(o.concurrency == 10000);
  CHECK(o.tries == 50);
  CHECK(o.interval == std::chrono::milliseconds(500));
  CHECK(o.processes == 1);
  CHECK(o.drop_user == "nobody");
  CHECK(o.drop_group == "nogroup");
  CHECK(o.edns);
  CHECK(o.edns_size == 1232);
  CHECK(o.io == IoChoice::automatic);
  CHECK(o.retry.count() == rcode::limit - 2);
  CHECK_FALSE(o.retry.test(rcode::noerror));
  CHECK_FALSE(o.retry.test(rcode::nxdomain));
  CHECK(o.notices.empty());
}

TEST_CASE("options stand before and after the names; values are separate, glued or after =") {
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"-t", "MX", "-s", "20", "names.txt", "-q"},
           {"names.txt", "-qt", "MX", "-s20"},
           {"--type=MX", "names.txt", "--quiet", "--hashmap-size=20"},
           {"--types", "MX", "--hashmap-size", "20", "-q", "--", "names.txt"}}) {
    const Options o = accepted(words);
    CHECK(o.names == "names.txt");
    CHECK(o.types == std::vector{type::mx});
    CHECK(o.concurrency == 20);
    CHECK(o.quiet);
  }
}

TEST_CASE("every flag and text of massdns's") {
  const Options o = accepted({"--extended-input", "--flush", "--predictable", "--sticky", "--root",
                              "-n", "-w", "out", "-l", "log", "--drop-user", "u", "--drop-group",
                              "g", "--status-format", "json", "--socket-count", "3", "-"});
  CHECK(o.extended_input);
  CHECK(o.flush);
  CHECK(o.predictable);
  CHECK(o.sticky);
  CHECK(o.keep_root);
  CHECK(o.norecurse);
  CHECK(o.outfile == "out");
  CHECK(o.error_log == "log");
  CHECK(o.drop_user == "u");
  CHECK(o.drop_group == "g");
  CHECK(o.status == Options::Status::json);
  CHECK(o.socket_count == 3);
  CHECK(o.names == "-");
  CHECK(accepted({"--norecurse"}).norecurse);
  CHECK(accepted({"--drop-user", "u"}).drop_group.empty());
}

TEST_CASE("the callers of massdns-compat") {
  CHECK(accepted({"-q", "-o", "Snl", "-t", "A", "--root", "--retry", "REFUSED", "--retry",
                  "SERVFAIL", "-w", "OUT", "-s", "5000"}).retry.count() == 2);
  const Options oneforall = accepted(
      {"--quiet", "--status-format", "ansi", "--processes", "1", "--socket-count", "1",
       "--hashmap-size", "1000", "--resolve-count", "15", "--type", "A", "--flush", "--output",
       "J", "--outfile", "F", "--root", "--error-log", "L", "DICT", "--filter", "OK", "--sndbuf",
       "0", "--rcvbuf", "0"});
  CHECK(oneforall.filter_rcodes.test(rcode::noerror));
  CHECK(oneforall.receive_buffer == 0u);
  CHECK(oneforall.names == "DICT");
  const Options recon =
      accepted({"-o", "Je", "--retry", "never", "-w", "OUT", "--status-format", "json",
                "--processes", "2", "-t", "A", "-s", "auto", "-i", "500", "-c", "50", "LIST"});
  CHECK(recon.retry.none());
  CHECK(recon.format.failures);
  CHECK(recon.processes == 2);
}

TEST_CASE("-o F, B, L, J, Z") {
  using Kind = OutputFormat::Kind;
  CHECK(format("F").kind == Kind::full);
  CHECK(format("B").kind == Kind::binary);
  CHECK(format("L").kind == Kind::list);
  CHECK_FALSE(format("L").empty_noerror);
  CHECK(format("L0").empty_noerror);
  CHECK(format("J").kind == Kind::json);
  CHECK_FALSE(format("J").failures);
  CHECK(format("Je").failures);
  CHECK(format("Ja").only_answers_or_referrals);
  CHECK((format("Jae").failures && format("Jae").only_answers_or_referrals));
  CHECK(format("Z").kind == Kind::zdns);
  CHECK(refused({"-o", "Z", "--checkpoint", "c"}) ==
        "ringdns: --checkpoint cannot be combined with -o Z\n");
  for (std::string bad : {"", "X", "f", "Lx", "Jx", "J0", "Sx", "SnX", "Ze", "z"}) {
    CAPTURE(bad);
    CHECK(refused({"-o", bad}).find("output format") != std::string::npos);
  }
}

TEST_CASE("-o S: any flag turns off the name match, a section named turns off the others") {
  struct Row {
    const char* letters;
    bool answer, authority, additional, match_name;
  };
  for (const Row& row : {Row{"S", true, false, false, true}, Row{"St", true, false, false, false},
                         Row{"Sn", true, false, false, false}, Row{"Su", false, true, false, false},
                         Row{"Sd", false, false, true, false}, Row{"Snd", true, false, true, false},
                         Row{"Sm", true, false, false, true}, Row{"Sum", false, true, false, true},
                         Row{"Snl", true, false, false, false}}) {
    CAPTURE(row.letters);
    const OutputFormat f = format(row.letters);
    CHECK(f.kind == OutputFormat::Kind::simple);
    CHECK(f.answer == row.answer);
    CHECK(f.authority == row.authority);
    CHECK(f.additional == row.additional);
    CHECK(f.match_name == row.match_name);
  }
  CHECK(format("St").ttl);
  CHECK(format("Sl").separate_replies);
  CHECK(format("Si").indent);
  CHECK(format("Ss").separate_sections);
  CHECK((format("Sq").question && !format("Sq").meta));
  CHECK((format("Sr").question && format("Sr").meta));
}

TEST_CASE("-t: mnemonics, numbers, TYPEn, several, each once; zone transfers refused") {
  CHECK(accepted({"-t", "A", "-t", "28", "-t", "TYPE16,a"}).types ==
        std::vector{type::a, type::aaaa, type::txt});
  CHECK(refused({"-t", "NOPE"}) == "ringdns: -t: \"NOPE\" is not a record type\n");
  CHECK(refused({"-t", "A,"}).find("record type") != std::string::npos);
  CHECK(accepted({"-t", "AXFR"}).types == std::vector{type::axfr});
  for (uint16_t number = 0; number < 300; ++number) {
    if (number == type::ixfr) continue;
    Buffer name;
    append_type(name, number);
    CHECK(accepted({"-t", std::string(name.view())}).types == std::vector{number});
  }
  const Options ixfr = accepted({"-t", "IXFR=4294967295"});
  CHECK(ixfr.types == std::vector{type::ixfr});
  CHECK(ixfr.ixfr_serial == 4294967295);
  CHECK(refused({"-t", "IXFR"}) == "ringdns: -t: \"IXFR\" needs a serial: IXFR=SERIAL\n");
  CHECK(refused({"-t", "IXFR=x"}).find("serial") != std::string::npos);
  CHECK(refused({"-t", "A=1"}).find("not a record type") != std::string::npos);
}

TEST_CASE("--retry: names, numbers, OK, never, lists, repeated") {
  CHECK(accepted({"--retry", "SERVFAIL"}).retry == RcodeSet(1 << rcode::servfail));
  CHECK(accepted({"--retry", "ok,5", "--retry", "NXDOMAIN"}).retry ==
        RcodeSet(1 << rcode::noerror | 1 << rcode::refused | 1 << rcode::nxdomain));
  CHECK(accepted({"--retry", "Never"}).retry.none());
  CHECK(accepted({"--retry", "SERVFAIL", "--retry", "never"}).retry.none());
  CHECK(accepted({"--retry", "never,REFUSED"}).retry == RcodeSet(1 << rcode::refused));
  CHECK(refused({"--retry", "MAYBE"}) == "ringdns: --retry: \"MAYBE\" is not a response code\n");
}

TEST_CASE("--filter and --ignore") {
  CHECK(accepted({}).filter == Options::Filter::off);
  const Options only = accepted({"--filter", "NXDOMAIN", "--filter", "2,OK"});
  CHECK(only.filter == Options::Filter::only);
  CHECK(only.filter_rcodes == RcodeSet(1 << 3 | 1 << 2 | 1));
  CHECK(accepted({"--ignore", "REFUSED"}).filter == Options::Filter::not_these);
  CHECK(refused({"--ignore", "OK", "--filter", "OK"}) ==
        "ringdns: --filter and --ignore cannot be combined\n");
}

TEST_CASE("numbers have bounds") {
  CHECK(accepted({"-c", "255"}).tries == 255);
  CHECK(accepted({"-i", "1"}).interval == std::chrono::milliseconds(1));
  CHECK(accepted({"-s", "16000000"}).concurrency == 16'000'000);
  CHECK(accepted({"--sndbuf", "2147483647"}).send_buffer == 2147483647u);
  CHECK(accepted({"--processes", "0"}).processes >= 1);
  CHECK(refused({"-i", "abc"}) ==
        "ringdns: -i: \"abc\" is not a number of milliseconds from 1 to 3600000\n");
  for (const auto& [option, value] : std::vector<std::pair<std::string, std::string>>{
           {"-c", "0"}, {"-c", "256"}, {"-c", "1x"}, {"-c", ""}, {"-c", "-1"}, {"-c", " 1"},
           {"-i", "0"}, {"-i", "0.5"}, {"-s", "0"}, {"-s", "16000001"}, {"-s", "AUTO"},
           {"-s", "99999999999999999999999"}, {"--socket-count", "0"}, {"--processes", "x"},
           {"--sndbuf", "2147483648"}, {"--rcvbuf", "-1"}, {"--edns-size", "511"},
           {"--edns-size", "4097"}}) {
    CAPTURE(option);
    CAPTURE(value);
    CHECK(refused({option, value}).find("\"" + value + "\" is not") != std::string::npos);
  }
}

TEST_CASE("EDNS options") {
  const Options o = accepted({"--edns-size", "4096", "--dnssec-ok", "--nsid"});
  CHECK(o.edns_size == 4096);
  CHECK(o.dnssec_ok);
  CHECK(o.nsid);
  CHECK_FALSE(accepted({"--no-edns"}).edns);
  CHECK(refused({"--no-edns", "--nsid"}) ==
        "ringdns: --nsid cannot be combined with --no-edns\n");
}

TEST_CASE("--ecs: the bits beyond the prefix are zeroed") {
  const auto v4 = accepted({"--ecs", "192.0.2.255/25"}).ecs;
  REQUIRE(v4);
  CHECK(v4->length == 25);
  CHECK(v4->address.text() == "192.0.2.128:0");
  const auto v6 = accepted({"--ecs", "2001:db8:ffff:ffff::1/36"}).ecs;
  REQUIRE(v6);
  CHECK(v6->length == 36);
  CHECK(v6->address.text() == "[2001:db8:f000::]:0");
  CHECK(accepted({"--ecs", "192.0.2.1/0"}).ecs->address.text() == "0.0.0.0:0");
  CHECK(accepted({"--ecs", "2001:db8::1/128"}).ecs->address.text() == "[2001:db8::1]:0");
  for (std::string bad : {"", "/", "192.0.2.1", "192.0.2.1/", "192.0.2.1/33", "192.0.2.1/300",
                          "::1/129", "192.0.2.1:53/24", "x/8", "192.0.2.1/8x", "192.0.2.1/-1"}) {
    CAPTURE(bad);
    CHECK(refused({"--ecs", bad}).find("client subnet") != std::string::npos);
  }
}

TEST_CASE("--bindto, --io, --status-format") {
  const Options o = accepted({"-b", "192.0.2.1", "--bindto", "[::1]:5300", "--io", "epoll"});
  REQUIRE(o.bind.size() == 2);
  CHECK(o.bind[0].text() == "192.0.2.1:0");
  CHECK(o.bind[1].text() == "[::1]:5300");
  CHECK(o.io == IoChoice::epoll);
  CHECK(accepted({"--io=io_uring"}).io == IoChoice::io_uring);
  refused({"-b", "here"});
  refused({"--io", "kqueue"});
  refused({"--status-format", "xml"});
}

TEST_CASE("massdns's options without effect are accepted and told once") {
  const Options o = accepted({"--busypoll", "--busy-poll", "--tcp-raw", "--verify-ip",
                              "--verify-ip", "--tcp-disabled"});
  REQUIRE(o.notices.size() == 3);
  CHECK(o.notices[0].starts_with("--busy-poll has no effect"));
}

TEST_CASE("TCP: the defaults of tcp.md, and their options") {
  const Options o = accepted({});
  CHECK(o.tcp == Options::Tcp::fallback);
  CHECK(o.tcp_connections == 512);
  CHECK(o.tcp_per_server == 1);
  CHECK(o.tcp_pipeline == 64);
  CHECK(o.tcp_idle == std::chrono::seconds(5));
  CHECK(o.tcp_connect_timeout == std::chrono::seconds(2));
  CHECK(o.tcp_timeout == std::chrono::seconds(5));
  CHECK(o.tcp_mss == 1200);
  CHECK_FALSE(o.tcp_fastopen);
  const Options given = accepted(
      {"--tcp-only", "--tcp-connections", "64", "--tcp-per-server", "2", "--tcp-pipeline", "128",
       "--tcp-idle", "100", "--tcp-connect-timeout", "300", "--tcp-timeout", "400", "--tcp-mss",
       "0", "--tcp-fastopen", "--stats", "-"});
  CHECK(given.tcp == Options::Tcp::only);
  CHECK(given.tcp_connections == 64);
  CHECK(given.tcp_per_server == 2);
  CHECK(given.tcp_pipeline == 128);
  CHECK(given.tcp_idle == std::chrono::milliseconds(100));
  CHECK(given.tcp_connect_timeout == std::chrono::milliseconds(300));
  CHECK(given.tcp_timeout == std::chrono::milliseconds(400));
  CHECK(given.tcp_mss == 0);
  CHECK(given.tcp_fastopen);
  CHECK(given.stats_file == "-");
  CHECK(accepted({"--tcp-disabled"}).tcp == Options::Tcp::disabled);
  CHECK(refused({"--tcp-only", "--tcp-disabled"}).find("combined") != std::string::npos);
  CHECK(refused({"--tcp-mss", "87"}).find("octets") != std::string::npos);
  CHECK(refused({"--tcp-connections", "0"}).find("from 1") != std::string::npos);
}

TEST_CASE("--rand-src-ipv6 takes IPv6 prefixes, --rand-src-ipv6-file a path") {
  const Options o = accepted({"--rand-src-ipv6", "2001:db8:1:2:3::/64", "--rand-src-ipv6",
                              "2001:db8::1/128", "--rand-src-ipv6-file", "f"});
  REQUIRE(o.sources.size() == 2);
  CHECK(o.sources[0].address.text() == "[2001:db8:1:2::]:0");
  CHECK(o.sources[0].length == 64);
  CHECK(o.sources[1].length == 128);
  CHECK(o.sources_file == "f");
  for (std::string bad : {"2001:db8::1", "::/0", "192.0.2.0/24", "2001:db8::/129", "x/64", ""}) {
    CAPTURE(bad);
    CHECK(refused({"--rand-src-ipv6", bad}).find("IPv6 prefix") != std::string::npos);
  }
  CHECK(refused({"--rand-src-ipv6", "2001:db8::/64", "-b", "::1"}).find("combined") !=
        std::string::npos);
  CHECK(refused({"--rand-src-ipv6-file", "f", "-b", "::1"}).find("combined") != std::string::npos);
}

TEST_CASE("an address drawn from a prefix has its bits, and random ones behind") {
  Rng rng({1, 2, 3});
  for (std::string text : {"2001:db8:1:2::/64", "2001:db8::8000:0/97", "2001:db8::7/128",
                           "fe00::/7", "192.0.2.64/26", "10.0.0.0/8", "0.0.0.0/0"}) {
    CAPTURE(text);
    const auto prefix = parse_prefix(text);
    REQUIRE(prefix);
    const Bytes fixed = prefix->address.octets();
    std::vector<uint8_t> ones(fixed.size(), 0), zeroes(fixed.size(), 0);
    for (int i = 0; i < 200; ++i) {
      const Address drawn = draw_address(*prefix, rng);
      CHECK(drawn.port() == 0);
      REQUIRE(drawn.octets().size() == fixed.size());
      for (size_t at = 0; at < fixed.size(); ++at) {
        ones[at] |= static_cast<uint8_t>(drawn.octets()[at] ^ fixed[at]);
        zeroes[at] |= static_cast<uint8_t>(~(drawn.octets()[at] ^ fixed[at]));
      }
    }
    for (size_t bit = 0; bit < fixed.size() * 8; ++bit) {
      const int mask = 0x80 >> bit % 8;
      CAPTURE(bit);
      CHECK(((ones[bit / 8] & mask) != 0) == (bit >= prefix->length));
      CHECK((zeroes[bit / 8] & mask) != 0);
    }
  }
}

TEST_CASE("errors are one clear line of our own") {
  CHECK(refused({"--bogus"}) == "ringdns: unknown option --bogus (see --help)\n");
  CHECK(refused({"-qX"}) == "ringdns: unknown option -X (see --help)\n");
  CHECK(refused({"--=x"}) == "ringdns: unknown option --=x (see --help)\n");
  CHECK(refused({"--quiet=maybe"}).find("takes no value") != std::string::npos);
  CHECK(refused({"--quiet=false"}).find("takes none") != std::string::npos);
  CHECK(refused({"a", "b"}) == "ringdns: one list of names only, not \"b\" as well\n");
  CHECK(refused({"-r", "other"}) == "ringdns: -r may be given only once\n");
  CHECK(refused({"-t", "A\nB\x1b[2J"}).find("\"A?B?[2J\"") != std::string::npos);
  CHECK(parse({"names", "-r"}).message == "ringdns: -r needs a value\n");
  CHECK(parse({"names", "--interval"}).message == "ringdns: --interval needs a value\n");
  CHECK(parse({"names"}).message == "ringdns: no resolvers: name them with -r (see --help)\n");
}

TEST_CASE("the names and the resolvers cannot share standard input") {
  CHECK(parse({"-r", "-"}).outcome == Outcome::error);
  CHECK(parse({"-r", "-", "-"}).outcome == Outcome::error);
  CHECK(parse({"-r", "-", "names"}).outcome == Outcome::run);
  CHECK(parse({"-r", "x", "--rand-src-ipv6-file", "-"}).outcome == Outcome::error);
  CHECK(parse({"-r", "-", "--rand-src-ipv6-file", "-", "names"}).outcome == Outcome::error);
  CHECK(parse({"-r", "x", "--rand-src-ipv6-file", "-", "names"}).outcome == Outcome::run);
}

TEST_CASE("a very long argument is no way to crash") {
  const std::string list(100'000, '1');
  CHECK(parse({"-r", list}).options.resolvers == list);
  CHECK(parse({"-r" + list}).outcome == Outcome::error);
  CHECK(parse({"--resolvers=" + list}).outcome == Outcome::error);
  CHECK(refused({"-t", list}).size() < 200);
}

TEST_CASE("help, version, and no arguments") {
  CHECK(parse({"--help"}).outcome == Outcome::help);
  CHECK(parse({"-q", "-h", "names"}).outcome == Outcome::help);
  const auto version = parse({"--version"});
  CHECK(version.outcome == Outcome::version);
  CHECK(version.message.starts_with("ringdns "));
  const auto none = parse({});
  CHECK(none.outcome == Outcome::error);
  CHECK(none.message == parse({"--help"}).message);
}

TEST_CASE("the help lists every option, fits a terminal's width, and a group fits a page") {
  const std::string help = parse({"--help"}).message;
  for (const char* name :
       {"--resolvers", "--type", "--extended-input", "--output", "--outfile", "--error-log",
        "--filter", "--ignore", "--flush", "--quiet", "--status-format", "--hashmap-size",
        "--interval", "--resolve-count", "--retry", "--norecurse", "--predictable", "--sticky",
        "--edns-size", "--no-edns", "--dnssec-ok", "--nsid", "--ecs", "--io", "--bindto",
        "--socket-count", "--rcvbuf", "--sndbuf", "--processes", "--root", "--drop-user",
        "--drop-group", "--help", "--version", "--verify-ip", "--busy-poll", "--tcp-raw",
        "--tcp-disabled", "--tcp-only", "--tcp-connections", "--tcp-per-server", "--tcp-pipeline",
        "--tcp-timeout", "--tcp-connect-timeout", "--tcp-idle", "--tcp-mss", "--tcp-fastopen",
        "--stats", "--rand-src-ipv6", "--rand-src-ipv6-file", "--completion"}) {
    CAPTURE(name);
    CHECK(help.find(name) != std::string::npos);
  }
  CHECK(help.find("--names") == std::string::npos);
  size_t start = 0, group_lines = 0;
  for (size_t end; (end = help.find('\n', start)) != std::string::npos; start = end + 1) {
    CHECK(end - start <= 80);
    group_lines = end == start ? 0 : group_lines + 1;
    CHECK(group_lines <= 24);
  }
}
