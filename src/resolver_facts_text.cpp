// --resolver-stats: facts of resolvers as JSON lines and as a table.
#include <string>
#include <vector>

#include "ringdns/codes.hpp"
#include "ringdns/resolver_facts.hpp"
#include "ringdns/text.hpp"

namespace ringdns {

namespace {

uint64_t lost(const ResolverCounts& counts) {
  return counts.timeouts + counts.unreachable + counts.tcp_failures;
}

double share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

double milliseconds(const RttHistogram& rtt, double part) {
  return static_cast<double>(rtt.percentile_us(part)) / 1000;
}

void append_rcodes(Buffer& out, const ResolverCounts& counts) {
  const char* separator = "";
  for (uint16_t code = 0; code < counts.rcodes.size(); ++code) {
    if (counts.rcodes[code] == 0) continue;
    print(out, "%s\"", separator);
    if (code + 1u == counts.rcodes.size())
      out.append("others");
    else
      append_rcode(out, code);
    print(out, "\":%zu", counts.rcodes[code]);
    separator = ",";
  }
}

}  // namespace

void append_resolver_json(Buffer& out, const ResolverFacts& facts) {
  const ResolverCounts& counts = facts.counts;
  out.append("{\"resolver\":\"");
  out.append(facts.address.text());
  out.append("\",\"state\":\"");
  out.append(name(facts.state));
  print(out, "\",\"sent\":%zu,\"answered\":%zu,\"replies\":%zu,\"timeouts\":%zu,\"unreachable\":%zu,",
        counts.sent, counts.answered, counts.replies, counts.timeouts, counts.unreachable);
  print(out, "\"mismatches\":%zu,\"udp_replies\":%zu,\"truncated\":%zu,\"truncation_rate\":%.4f,",
        counts.mismatches, counts.udp_replies, counts.truncated,
        share(counts.truncated, counts.udp_replies));
  print(out, "\"tcp_replies\":%zu,\"tcp_failures\":%zu,\"rcodes\":{", counts.tcp_replies,
        counts.tcp_failures);
  append_rcodes(out, counts);
  print(out, "},\"rtt_us\":{\"count\":%zu,\"p50\":%zu,\"p90\":%zu,\"p99\":%zu,\"smoothed\":%zu},",
        counts.rtt.total(), counts.rtt.percentile_us(0.5), counts.rtt.percentile_us(0.9),
        counts.rtt.percentile_us(0.99), facts.srtt_us);
  print(out, "\"window\":%u,\"rate\":%.3f,\"rested\":%zu}\n", facts.window, facts.rate,
        counts.rested);
}

void append_resolver_table(Buffer& out, std::span<const ResolverFacts> facts) {
  std::vector<const ResolverFacts*> sorted;
  size_t widest = std::string_view("resolver").size();
  for (const ResolverFacts& one : facts) {
    sorted.push_back(&one);
    widest = std::max(widest, one.address.text().size());
  }
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
    return lost(a->counts) > lost(b->counts);
  });
  int width = static_cast<int>(widest);
  print(out, "%-*s %10s %10s %9s %9s %9s %9s %9s %9s %8s %8s %8s %6s %9s %8s %-8s %7s %8s %7s\n",
        width, "resolver", "sent", "answered", "timeouts", "unreach", "noerror", "nxdomain",
        "servfail", "refused", "p50 ms", "p90 ms", "p99 ms", "TC %", "TCP", "TCP lost", "state",
        "window", "rate", "strays");
  for (const ResolverFacts* one : sorted) {
    const ResolverCounts& counts = one->counts;
    print(out, "%-*s", width, one->address.text().c_str());
    print(out, " %10zu %10zu %9zu %9zu %9zu %9zu %9zu %9zu", counts.sent, counts.answered,
          counts.timeouts, counts.unreachable, counts.rcodes[rcode::noerror],
          counts.rcodes[rcode::nxdomain], counts.rcodes[rcode::servfail],
          counts.rcodes[rcode::refused]);
    print(out, " %8.1f %8.1f %8.1f %6.2f", milliseconds(counts.rtt, 0.5),
          milliseconds(counts.rtt, 0.9), milliseconds(counts.rtt, 0.99),
          100 * share(counts.truncated, counts.udp_replies));
    print(out, " %9zu %8zu %-8s %7u", counts.tcp_replies, counts.tcp_failures,
          name(one->state).data(), one->window);
    if (one->rate > 0)
      print(out, " %8.0f", one->rate);
    else
      print(out, " %8s", "-");
    print(out, " %7zu\n", counts.mismatches);
  }
}

}  // namespace ringdns
