#include <doctest/doctest.h>

#include "ringdns/resolvers.hpp"

using namespace ringdns;

namespace {

std::vector<std::string> texts(const ResolverList& list) {
  std::vector<std::string> out;
  for (const Address& address : list.addresses) out.push_back(address.text());
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("a list: one address a line, in order, port 53 unless given") {
  const auto list = parse_resolver_list("192.0.2.1\n192.0.2.2:5353\n2001:db8::1\n"
                                        "[2001:db8::1]:5353\n[2001:db8::2]");
  CHECK(texts(list) == Texts{"192.0.2.1:53", "192.0.2.2:5353", "[2001:db8::1]:53",
                             "[2001:db8::1]:5353", "[2001:db8::2]:53"});
  CHECK(list.problem_count == 0);
}

TEST_CASE("comments, blank lines, CRLF and words after the address are skipped") {
  const auto list = parse_resolver_list("# a comment\r\n\r\n \t\r\n  192.0.2.1 # quick\r\n"
                                        "#192.0.2.9\n192.0.2.2\tfoo bar\r\n");
  CHECK(texts(list) == Texts{"192.0.2.1:53", "192.0.2.2:53"});
  CHECK(list.problem_count == 0);
}

TEST_CASE("duplicates collapse, however they are written; ports and families differ") {
  const auto list = parse_resolver_list("192.0.2.1\n192.0.2.1:53\n192.0.2.1:54\n2001:db8::1\n"
                                        "[2001:DB8:0::1]:53\n192.0.2.1\n");
  CHECK(texts(list) == Texts{"192.0.2.1:53", "192.0.2.1:54", "[2001:db8::1]:53"});
}

TEST_CASE("what is no address is listed with its line, and does not stop the list") {
  const auto list = parse_resolver_list("192.0.2.1\ndns.example\n192.0.2\n192.0.2.3:0\n"
                                        "192.0.2.4:99999\n192.0.2.5#53\n192.0.2.2");
  CHECK(texts(list) == Texts{"192.0.2.1:53", "192.0.2.2:53"});
  REQUIRE(list.problem_count == 5);
  CHECK(list.problems[0].line == 2);
  CHECK(list.problems[0].text == "dns.example");
  CHECK(list.problems[2].line == 4);
}

TEST_CASE("at most 20 problems are kept, cut and fit to be shown") {
  std::string text = std::string("a\0\x1b[2J", 6) + "\n" + std::string(100'000, 'z') + "\n";
  for (int i = 0; i < 100; ++i) text += "garbage\n";
  const auto list = parse_resolver_list(text);
  CHECK(list.problem_count == 102);
  REQUIRE(list.problems.size() == 20);
  CHECK(list.problems[0].text == "a??[2J");
  CHECK(list.problems[1].text == std::string(80, 'z'));
}

TEST_CASE("a comma list") {
  CHECK(texts(parse_resolver_commas("192.0.2.1,192.0.2.2:5353, 192.0.2.1,[2001:db8::1]:53")) ==
        Texts{"192.0.2.1:53", "192.0.2.2:5353", "[2001:db8::1]:53"});
  CHECK(parse_resolver_commas("").addresses.empty());
  CHECK(parse_resolver_commas("/etc/resolvers").problem_count == 1);
}

TEST_CASE("200,000 distinct addresses given twice are 200,000") {
  std::string text;
  for (int twice = 0; twice < 2; ++twice)
    for (int i = 0; i < 200'000; ++i)
      text += "10." + std::to_string(i >> 16) + "." + std::to_string(i >> 8 & 255) + "." +
              std::to_string(i & 255) + "\n";
  const auto list = parse_resolver_list(text);
  CHECK(list.addresses.size() == 200'000);
  CHECK(list.addresses.back().text() == "10.3.13.63:53");
}

TEST_CASE("nobody answers: hopeless after the patience, unless nothing was asked") {
  using namespace std::chrono_literals;
  Rng rng{Rng::Seed{}};
  Resolvers resolvers({*Address::parse("192.0.2.1", 53), *Address::parse("192.0.2.2", 53)},
                      {0, 1000, 10s});
  Instant now(100s);
  resolvers.advance(now);
  now += 1h;  // a pipe that brings no names
  resolvers.advance(now);
  CHECK_FALSE(resolvers.hopeless());
  for (int i = 0; i < 40; ++i) {
    CHECK_FALSE(resolvers.hopeless());
    uint32_t index = resolvers.choose(rng, 0).index;
    REQUIRE(index != Resolvers::none);
    resolvers.sent(index, now);
    now += 250ms;
    resolvers.advance(now);
    if (i + 1 < 40) resolvers.returned(index, TryOutcome::silent, now - 250ms, now, rng);
  }
  CHECK(resolvers.hopeless());
  resolvers.heard(0, now);
  CHECK_FALSE(resolvers.hopeless());
}

TEST_CASE("choice: not one that was asked, while another will do; nobody with full windows") {
  Rng rng{Rng::Seed{}};
  Resolvers resolvers({*Address::parse("192.0.2.1", 53), *Address::parse("192.0.2.2", 53)},
                      {0, 2, std::chrono::seconds(10)});
  Instant now(std::chrono::seconds(100));
  resolvers.advance(now);
  for (int i = 0; i < 20; ++i) CHECK(resolvers.choose(rng, 0b01).index == 1);
  resolvers.sent(1, now);
  resolvers.sent(1, now);
  Resolvers::Choice waits = resolvers.choose(rng, 0b01);
  CHECK(waits.index == Resolvers::none);
  CHECK(waits.wait);
  CHECK(resolvers.choose(rng, 0b11).index == 0);
  resolvers.sent(0, now);
  resolvers.sent(0, now);
  Resolvers::Choice nobody = resolvers.choose(rng, 0);
  CHECK(nobody.index == Resolvers::none);
  CHECK_FALSE(nobody.wait);
}
