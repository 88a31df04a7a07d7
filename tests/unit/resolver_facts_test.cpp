#include "ringdns/resolver_facts.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace ringdns;

namespace {

ResolverFacts facts_of(const char* address, uint64_t sent, uint64_t timeouts) {
  ResolverFacts facts;
  facts.address = *Address::parse(address, 53);
  facts.window = 16;
  facts.counts.sent = sent;
  facts.counts.timeouts = timeouts;
  facts.counts.replies = facts.counts.udp_replies = facts.counts.answered = sent - timeouts;
  facts.counts.rcodes[0] = sent - timeouts;
  return facts;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    size_t end = text.find('\n');
    REQUIRE(end != text.npos);
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace

TEST_CASE("a resolver's facts as JSON") {
  ResolverFacts facts = facts_of("[2001:db8::1]:5353", 10, 2);
  facts.state = ResolverState::on_trial;
  facts.rate = 12.5;
  facts.srtt_us = 900;
  facts.counts.truncated = 2;
  facts.counts.unreachable = 1;
  facts.counts.mismatches = 3;
  facts.counts.tcp_replies = 2;
  facts.counts.tcp_failures = 4;
  facts.counts.rcodes[7] = 6;
  for (int i = 0; i < 8; ++i) facts.counts.rtt.add(1000);
  Buffer out;
  append_resolver_json(out, facts);
  CHECK(out.view() ==
        "{\"resolver\":\"[2001:db8::1]:5353\",\"state\":\"on trial\",\"sent\":10,\"answered\":8,"
        "\"replies\":8,\"timeouts\":2,\"unreachable\":1,\"mismatches\":3,\"udp_replies\":8,"
        "\"truncated\":2,\"truncation_rate\":0.2500,\"tcp_replies\":2,\"tcp_failures\":4,"
        "\"rcodes\":{\"NOERROR\":8,\"others\":6},"
        "\"rtt_us\":{\"count\":8,\"p50\":1023,\"p90\":1023,\"p99\":1023,\"smoothed\":900},"
        "\"window\":16,\"rate\":12.500,\"rested\":0}\n");
}

TEST_CASE("a table of resolvers is aligned, those that lost most first") {
  ResolverFacts facts[] = {facts_of("192.0.2.1", 5, 0), facts_of("192.0.2.2", 5, 4),
                           facts_of("2001:db8:1234:5678:9abc:def0:1234:5678", 5, 1)};
  facts[2].counts.tcp_failures = 7;
  facts[1].rate = 1000;
  Buffer out;
  append_resolver_table(out, facts);
  std::vector<std::string> lines = lines_of(out.view());
  REQUIRE(lines.size() == 4);
  CHECK(lines[0].starts_with("resolver "));
  CHECK(lines[1].starts_with("[2001:db8:1234:5678:9abc:def0:1234:5678]:53 "));
  CHECK(lines[2].starts_with("192.0.2.2:53 "));
  CHECK(lines[2].find(" working ") != std::string::npos);
  CHECK(lines[2].find(" 1000 ") != std::string::npos);
  CHECK(lines[3].starts_with("192.0.2.1:53 "));
  for (const std::string& line : lines) CHECK(line.size() == lines[0].size());
}
