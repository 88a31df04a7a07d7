#include "scenario.hpp"

#include <signal.h>

#include <cerrno>
#include <cmath>
#include <set>

#include "ringdns/codes.hpp"

namespace sim {

namespace {

std::string number(uint64_t value) { return std::to_string(value); }

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f%%", share * 100);
  return text;
}

// Logarithmically even, so that rare and common are equally likely.
double draw_rate(Dice& dice, double most) { return most * std::pow(0.01, dice.share()); }

// Rules that go wrong, each for a share of the queries.
constexpr const char* bad_rules[] = {
    "over udp %s drop",
    "over udp %s truncate",
    "over udp %s truncate full",
    "over udp %s truncate cut",
    "over udp %s late-full 300ms truncate answer",
    "over udp with-edns %s drop",
    "%s rcode SERVFAIL",
    "%s rcode REFUSED",
    "%s rcode 11",
    "with-edns no-opt %s rcode FORMERR",
    "with-edns header-only %s rcode FORMERR",
    "with-edns %s rcode FORMERR",
    "with-edns %s rcode BADVERS",
    "with-edns no-opt %s rcode NOTIMP",
    "%s wrong-id answer",
    "%s wrong-name answer",
    "%s wrong-type answer",
    "%s wrong-class answer",
    "%s wrong-port answer",
    "%s wrong-address answer",
    "%s not-a-reply answer",
    "%s wrong-opcode answer",
    "%s no-question answer",
    "%s two-questions answer",
    "%s flip-case answer",
    "%s header-only answer",
    "%s tc answer",
    "%s opt answer",
    "%s two-opts answer",
    "%s huge-counts answer",
    "%s rdlength-past-end answer",
    "%s trailing 9 answer",
    "%s cut 3 answer",
    "%s runt 7 answer",
    "%s copies 3 every 120ms answer",
    "%s spoof 3 answer",
    "%s delay 300ms to 900ms answer",
    "%s bad-owner self answer",
    "%s bad-owner loop answer",
    "%s bad-owner long-label answer",
    "%s bad-rdata past-end answer MX 10 mail.test.",
    "%s drop-above 600 oversize answer TXT size 900",
    "%s oversize answer TXT size 4500",
    "over tcp %s drop",
    "over tcp %s close",
    "over tcp %s reset",
    "over tcp %s rcode REFUSED",
    "over tcp %s delay 100ms to 700ms answer",
    "over tcp %s length 5 answer",
    "over tcp %s length +5 answer",
    "over tcp %s length -5 answer",
    "over tcp %s no-body answer",
    "over tcp %s stop 20 then close answer",
    "over tcp %s then close answer",
    "over tcp %s then reset answer",
    "over tcp %s then silent answer",
    "over tcp %s then deaf answer",
    "over tcp %s then half-close answer",
    "over tcp %s split 1 answer",
    "over tcp %s drip 7 every 20ms answer",
    "over tcp %s copies 2 answer",
    "over tcp %s spoof 1 answer",
};

// Settings of a server's connections.
constexpr const char* bad_connections[] = {
    "refuse",          "blackhole",          "close after 1",       "close after 3",
    "close after 8",   "close after 0",      "close at 2",          "reset after 2",
    "half-close after 3", "silent after 0",  "silent after 4",      "deaf after 0",
    "deaf after 5",    "split 1",            "drip 30 every 30ms",  "coalesced 4",
    "reversed 4",      "shuffled 6",         "swapped-ids",         "one-at-a-time ignore",
    "one-at-a-time close", "unsolicited 2",  "banner http",         "banner tls",
    "keepalive 0",     "keepalive 3",        "keepalive 65535 unasked", "idle 100ms",
};

std::string with_chance(const char* rule, double rate) {
  std::string text = rule;
  return text.replace(text.find("%s"), 2, "chance " + percent(rate));
}

constexpr const char* type_names[] = {"A", "AAAA", "TXT", "MX"};
constexpr uint16_t type_numbers[] = {type::a, type::aaaa, type::txt, type::mx};

}  // namespace

Scenario::Scenario(uint64_t of, uint32_t lookups) : seed(of) {
  Dice dice(seed, Stream::scenario);
  harmless = dice.chance(0.1);
  draw_servers(dice);
  draw_options(dice);
  draw_input(dice, lookups);
  draw_faults(dice);
}

void Scenario::draw_servers(Dice& dice) {
  constexpr uint32_t counts[] = {1, 1, 2, 3, 5, 12, 40};
  uint32_t count = dice.pick(counts);
  bool ipv6 = dice.chance(0.3);
  for (uint32_t n = 1; n <= count; ++n) {
    std::string text = ipv6 && n % 2 ? "2001:db8::53:" + number(n) : "192.0.2." + number(n);
    servers.push_back(*Address::parse(text, 53));
  }
  // What every server does in the end.
  constexpr const char* text_sizes[] = {"300", "900", "1800", "5000", "20000"};
  std::string last = dice.chance(0.4) ? "* delay 1ms to 60ms " : "* ";
  std::string general;
  if (dice.chance(0.4)) general += "* share " + percent(draw_rate(dice, 0.5)) + " rcode NXDOMAIN\n";
  if (!harmless && dice.chance(0.1)) general += "* over-rate 200 rcode REFUSED\n";
  if (dice.chance(0.1)) general += "* over-rate 200 every 2 truncate answer\n";
  general += std::string("* TXT answer TXT size ") + dice.pick(text_sizes) + "\n";
  general += "* MX answer MX 10 mail.test.\n* AXFR transfer " + number(dice.below(3000)) + "\n";
  plan = general + last + "answer\n";
  if (harmless || dice.chance(0.15)) return;  // honest ones
  for (uint32_t n = 1; n <= count; ++n) {
    plan += "server " + number(n) + "\n";
    double wickedness = dice.share() * 0.15;
    for (const char* rule : bad_rules)
      if (dice.chance(wickedness))
        plan += "* " + with_chance(rule, draw_rate(dice, 0.5)) + "\n";
    if (dice.chance(0.1)) plan += "* over udp truncate answer\n";
    if (dice.chance(0.05)) plan += "* no-opt rcode FORMERR\n";
    if (dice.chance(0.03)) plan += "udp refuse\n";
    if (dice.chance(0.4))
      plan += std::string("tcp ") + bad_connections[dice.below(std::size(bad_connections))] + "\n";
  }
}

void Scenario::draw_options(Dice& dice) {
  std::string list;
  for (const Address& server : servers) list += (list.empty() ? "" : ",") + server.text();
  arguments = {"-r", list, "--quiet"};
  auto add = [this](const std::string& name, const std::string& value = {}) {
    arguments.push_back(name);
    if (!value.empty()) arguments.push_back(value);
  };
  auto add_number = [&](const char* name, auto& values) { add(name, number(dice.pick(values))); };

  constexpr uint32_t concurrencies[] = {1, 3, 20, 100, 100, 500, 500, 1500};
  constexpr uint32_t tries[] = {1, 2, 3, 3, 5, 8, 50};
  constexpr uint32_t intervals[] = {15, 60, 200, 500, 500, 2000};
  add_number("-s", concurrencies);
  add_number("-c", tries);
  if (harmless) add("-i", "1000");
  else add_number("-i", intervals);
  for (const char* flag : {"--norecurse", "--predictable", "--sticky", "--flush", "--tcp-fastopen"})
    if (dice.chance(0.15)) add(flag);
  extended_ = !harmless && dice.chance(0.15);
  if (extended_) add("--extended-input");
  constexpr uint32_t sizes[] = {512, 1232, 4096};
  if (dice.chance(0.2)) {
    add("--no-edns");
  } else {
    if (dice.chance(0.3)) add_number("--edns-size", sizes);
    if (dice.chance(0.15)) add("--dnssec-ok");
    if (dice.chance(0.15)) add("--nsid");
    if (dice.chance(0.15)) add("--ecs", "192.0.2.0/24");
  }
  if (dice.chance(0.1)) add("--retry", "never");
  if (dice.chance(0.1)) add(dice.chance(0.5) ? "--filter" : "--ignore", "NXDOMAIN");
  if (!harmless && dice.chance(0.15)) add("--tcp-disabled");
  else if (dice.chance(0.15)) add("--tcp-only");
  constexpr uint32_t few[] = {1, 2, 4, 16};
  if (dice.chance(0.4)) add_number("--tcp-connections", few);
  else add("--tcp-connections", "64");
  if (dice.chance(0.2)) add_number("--tcp-per-server", few);
  constexpr uint32_t pipelines[] = {1, 2, 7, 64, 200};
  if (dice.chance(0.4)) add_number("--tcp-pipeline", pipelines);
  constexpr uint32_t times[] = {30, 200, 1000, 3000};
  if (!harmless && dice.chance(0.3)) add_number("--tcp-timeout", times);
  if (!harmless && dice.chance(0.3)) add_number("--tcp-connect-timeout", times);
  if (dice.chance(0.3)) add_number("--tcp-idle", times);
  constexpr uint32_t sockets[] = {1, 2, 9};
  if (dice.chance(0.2)) add_number("--socket-count", sockets);

  for (size_t i = 0; i < std::size(type_numbers); ++i)
    if (dice.chance(i == 0 ? 0.7 : 0.1)) types_.push_back(type_numbers[i]);
  if (types_.empty()) types_.push_back(type::a);
  for (size_t i = 0; i < std::size(type_numbers); ++i)
    if (std::find(types_.begin(), types_.end(), type_numbers[i]) != types_.end())
      add("-t", type_names[i]);
  constexpr char formats[] = {'J', 'J', 'J', 'J', 'S', 'S', 'L', 'F', 'B'};
  format = dice.pick(formats);
  switch (format) {
    case 'J': add("-o", "Je"); break;
    case 'S': add("-o", "Snq"); break;
    default: add("-o", std::string(1, format)); break;
  }
}

void Scenario::draw_input(Dice& dice, uint32_t lookups) {
  constexpr const char* invalid[] = {"a..b", "two words here", ".x",
      "a-label-that-is-far-longer-than-the-sixty-three-octets-that-dns-allows.test"};
  constexpr const char* words[] = {" 192.0.2.1", " 192.0.2.2 192.0.2.3", " 203.0.113.9",
                                   " nonsense"};
  bool odd_lines = dice.chance(0.3), repeats = dice.chance(0.3), own_types = dice.chance(0.3);
  bool crlf = dice.chance(0.1), upper = dice.chance(0.1), transfers = dice.chance(0.05);
  bool one_long_line = dice.chance(0.02);
  uint32_t line = 0;
  auto end_line = [&](bool is_invalid) {
    input += crlf ? "\r\n" : "\n";
    lines.push_back({static_cast<uint32_t>(input.size()), is_invalid});
  };
  while (asked.size() < lookups) {
    ++line;
    if (odd_lines && dice.chance(0.05)) {
      if (dice.chance(0.5)) {
        // With --extended-input further words are resolvers, or none.
        const char* text = invalid[dice.below(std::size(invalid))];
        bool valid_there = extended_ && std::string_view(text).find(' ') != std::string_view::npos;
        input += valid_there ? ".x" : text;
        end_line(true);
      } else {
        input += dice.chance(0.5) ? "" : " \t ";
        input += crlf ? "\r\n" : "\n";
      }
      continue;
    }
    if (one_long_line && dice.chance(0.002)) {
      input += std::string(70000, 'x');
      end_line(true);
      continue;
    }
    uint32_t name = static_cast<uint32_t>(names.size());
    if (repeats && !names.empty() && dice.chance(0.2)) {
      name -= 1 + dice.below(std::min<uint32_t>(name, 20));
    } else {
      const char* domain = name % 3 ? ".s.test." : ".Long-er.test.";
      names.push_back((upper ? "W" : "w") + number(name) + domain);
    }
    std::vector<uint16_t> types = types_;
    if (own_types && dice.chance(0.3)) {
      uint32_t which = dice.below(std::size(type_numbers));
      types = {type_numbers[which]};
      input += std::string(type_names[which]) + " ";
    } else if (transfers && dice.chance(0.01)) {
      types = {type::axfr};
      input += "AXFR ";
    }
    input += dice.chance(0.5) ? names[name] : names[name].substr(0, names[name].size() - 1);
    if (extended_ && dice.chance(0.5)) input += words[dice.below(std::size(words))];
    end_line(false);
    for (uint16_t type : types)
      asked.push_back({name, type, static_cast<uint32_t>(input.size()), line});
  }
  if (dice.chance(0.3)) {  // no newline at the end
    size_t cut = crlf ? 2 : 1;
    input.resize(input.size() - cut);
    uint32_t end = static_cast<uint32_t>(input.size());
    for (Asked& one : asked) one.line_end = std::min(one.line_end, end);
    lines.back().end = end;
  }
}

void Scenario::draw_faults(Dice& dice) {
  double wickedness = dice.chance(0.1) ? 0 : dice.share() * 0.5;
  for (const FaultKind& kind : fault_kinds)
    if (dice.chance(wickedness) && (kind.harmless || !harmless))
      faults.*kind.rate = draw_rate(dice, kind.most);
  faults_end = dice.time(1s, 40s);
  constexpr Duration latencies[] = {100us, 2ms, 15ms, 80ms};
  latency = harmless ? 2ms : dice.pick(latencies);
  constexpr Duration slacks[] = {0us, 20us, 200us, 1ms};
  slack = dice.pick(slacks);
  constexpr uint32_t descriptor_limits[] = {1, 2, 5, 20};
  if (!harmless && dice.chance(0.1)) descriptors = dice.pick(descriptor_limits);
  constexpr uint32_t pieces[] = {1, 2, 30, 1000};
  if (dice.chance(0.15)) input_piece = dice.pick(pieces);
  uint32_t size = static_cast<uint32_t>(input.size());
  if (dice.chance(0.05)) input_error_at = 1 + dice.below(size);
  if (dice.chance(0.07)) {
    output_error_at = 1 + dice.below(100'000);
    output_error = dice.chance(0.5) ? ENOSPC : EPIPE;
  }
  if (dice.chance(0.1)) {
    Duration at = dice.time(0s, dice.chance(0.5) ? 300ms : 10s);
    for (uint32_t n = dice.between(1, 3); n > 0; --n) {
      signals.push_back({at, dice.chance(0.5) ? SIGINT : SIGTERM});
      at += dice.time(0s, 3s);
    }
  }
}

std::string Scenario::text() const {
  std::string out = "seed " + number(seed) + "\nringdns";
  for (const std::string& argument : arguments) out += " " + argument;
  out += "\n" + number(asked.size()) + " lookups, " + number(lines.size()) + " lines, " +
         number(input.size()) + " octets of input\nfaults:";
  for (const FaultKind& kind : fault_kinds)
    if (faults.*kind.rate > 0)
      out += std::string(" ") + kind.name + " " + percent(faults.*kind.rate);
  out += "; until " + number(static_cast<uint64_t>(faults_end / 1ms)) + " ms\n";
  out += "latency " + number(static_cast<uint64_t>(latency / 1us)) + " us, slack " +
         number(static_cast<uint64_t>(slack / 1us)) + " us, descriptors " + number(descriptors) +
         ", input in pieces of " + number(input_piece) + ", input fails at " +
         number(input_error_at) + ", output at " + number(output_error_at) + "\n";
  for (const Signal& signal : signals)
    out += "signal " + number(static_cast<uint64_t>(signal.number)) + " at " +
           number(static_cast<uint64_t>(signal.at / 1ms)) + " ms\n";
  return out + "plan:\n" + plan;
}

}  // namespace sim
