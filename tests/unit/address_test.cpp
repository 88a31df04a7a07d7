#include <doctest/doctest.h>
#include <net/if.h>

#include "ringdns/address.hpp"

using namespace ringdns;

namespace {

std::string parsed(std::string_view text) {
  const auto address = Address::parse(text, 53);
  return address ? address->text() : "none";
}

}  // namespace

TEST_CASE("addresses with and without a port") {
  CHECK(parsed("192.0.2.1") == "192.0.2.1:53");
  CHECK(parsed("192.0.2.1:5353") == "192.0.2.1:5353");
  CHECK(parsed("192.0.2.1:65535") == "192.0.2.1:65535");
  CHECK(parsed("2001:db8::1") == "[2001:db8::1]:53");
  CHECK(parsed("2001:DB8:0:0::0001") == "[2001:db8::1]:53");
  CHECK(parsed("[2001:db8::1]:5353") == "[2001:db8::1]:5353");
  CHECK(parsed("[2001:db8::1]") == "[2001:db8::1]:53");
  CHECK(parsed("::") == "[::]:53");
  CHECK(parsed("::ffff:192.0.2.1") == "[::ffff:192.0.2.1]:53");
  CHECK(Address::parse("192.0.2.1", 0)->text() == "192.0.2.1:0");
}

TEST_CASE("what is no address is none") {
  using namespace std::string_view_literals;
  for (std::string_view text :
       {""sv, " "sv, "x"sv, "192.0.2"sv, "192.0.2.1 "sv, " 192.0.2.1"sv, "192.0.2.256"sv,
        "192.0.2.1:"sv, "192.0.2.1:0"sv, "192.0.2.1:65536"sv, "192.0.2.1:99999999999"sv,
        "192.0.2.1:+53"sv, "192.0.2.1:-1"sv, "192.0.2.1:53x"sv, "192.0.2.1: 53"sv, "192.0.2.1#53"sv,
        "192.0.2.1%lo"sv, "dns.example"sv, ":53"sv, ":"sv, "::1::"sv, "[::1"sv, "::1]"sv, "[]"sv,
        "[]:53"sv, "[::1]53"sv, "[::1]:"sv, "[::1]:0"sv, "[::1]:x"sv, "[::1]]"sv, "[[::1]]"sv,
        "[192.0.2.1]"sv, "[192.0.2.1]:53"sv, "192.0.2.1\0"sv, "::1\0"sv, "[::1\0]:53"sv,
        "1:2:3:4:5:6:7:8:9"sv, "fe80::1%"sv, "fe80::1%\0"sv, "fe80::1%nosuchinterface"sv,
        "fe80::1%4294967296"sv, "2001:db8::1%lo"sv}) {
    CAPTURE(text);
    CHECK(parsed(text) == "none");
  }
  CHECK(parsed(std::string(100'000, ':')) == "none");
  CHECK(parsed(std::string(100'000, '1')) == "none");
}

TEST_CASE("a link-local address has its interface as scope, by name or number") {
  const uint32_t loopback = if_nametoindex("lo");
  REQUIRE(loopback != 0);
  const auto by_name = Address::parse("fe80::1%lo", 53);
  const auto by_number = Address::parse("[fe80::1%" + std::to_string(loopback) + "]:53", 5353);
  REQUIRE(by_name);
  REQUIRE(by_number);
  CHECK(*by_name == *by_number);
  CHECK(by_name->text() == "[fe80::1%lo]:53");
  CHECK_FALSE(*by_name == *Address::parse("fe80::1", 53));
  CHECK(parsed("fe80::1%4000000000") == "[fe80::1%4000000000]:53");
}

TEST_CASE("two addresses are one when family, address, port and scope agree") {
  const Address a = *Address::parse("192.0.2.1", 53);
  CHECK(a == *Address::parse("192.0.2.1:53", 1));
  CHECK_FALSE(a == *Address::parse("192.0.2.1:54", 53));
  CHECK_FALSE(a == *Address::parse("192.0.2.2", 53));
  CHECK_FALSE(a == *Address::parse("::ffff:192.0.2.1", 53));
  sockaddr_in6 raw{};
  const Address b = *Address::parse("2001:db8::1", 53);
  std::memcpy(&raw, b.data(), sizeof raw);
  raw.sin6_flowinfo = 7;
  CHECK(b == Address::from_sockaddr(&raw, sizeof raw));
}
