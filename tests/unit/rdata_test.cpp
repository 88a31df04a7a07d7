#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "../packets.hpp"
#include "rdata_samples.hpp"
#include "ringdns/output.hpp"
#include "ringdns/rdata.hpp"
#include "ringdns/text.hpp"

using namespace ringdns;
using namespace packets;
using namespace std::string_literals;

namespace {

struct Printed {
  std::string text;
  bool sound;      // the rest of the message can be read
  bool malformed;  // and it counts as such
};

Printed print(unsigned type, const std::string& rdata, unsigned rr_class = 1) {
  const Indexed reply(
      Packet{"www.example", type, {record(question_pointer, type, rdata, rr_class)}}.bytes());
  REQUIRE(reply.message.records().size() == 1);
  Buffer out;
  out.append("before ");
  const bool sound = append_rdata(out, reply.message, reply.message.records()[0]);
  CHECK(out.view().starts_with("before "));
  return {std::string(out.view().substr(7)), sound, reply.message.malformed()};
}

std::string text(unsigned type, const std::string& rdata, unsigned rr_class = 1) {
  return print(type, rdata, rr_class).text;
}

std::string unknown(const std::string& rdata) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out = "\\# " + std::to_string(rdata.size());
  if (!rdata.empty()) out += ' ';
  for (unsigned char c : rdata) out += {digits[c >> 4], digits[c & 15]};
  return out;
}

}  // namespace

TEST_CASE("rdata of every type, as dig prints it") {
  for (const RdataSample& sample : dig_samples) {
    CAPTURE(sample.type);
    CHECK(text(sample.type, from_hex(sample.hex)) == sample.text);
  }
  for (const RdataSample& sample : other_samples) {
    CAPTURE(sample.type);
    CHECK(text(sample.type, from_hex(sample.hex)) == sample.text);
  }
}

TEST_CASE("rdata is malformed where its type has a layout that it does not fit, and then goes on") {
  const auto check = [](const RdataSample& sample) {
    CAPTURE(sample.type);
    CAPTURE(sample.text);
    const Printed printed = print(sample.type, from_hex(sample.hex));
    const bool known = find_layout(static_cast<uint16_t>(sample.type), rr_class::internet);
    const bool no_prefixes = sample.type == 42 && sample.text == "\\# 0"s;  // RFC 3123 4
    CHECK(printed.malformed == (known && printed.text.starts_with("\\#") && !no_prefixes));
    CHECK(printed.sound);
  };
  for (const RdataSample& sample : dig_samples) check(sample);
  for (const RdataSample& sample : other_samples) check(sample);
  CHECK(print(1, "abc").malformed);
  CHECK_FALSE(print(1, "abc", 3).malformed);
}

TEST_CASE("every layout of the table has a sample") {
  for (uint32_t type = 0; type <= 65535; ++type) {
    if (!find_layout(static_cast<uint16_t>(type), rr_class::internet)) continue;
    bool sampled = false;
    for (const RdataSample& sample : dig_samples) sampled |= sample.type == type;
    for (const RdataSample& sample : other_samples) sampled |= sample.type == type;
    CAPTURE(type);
    CHECK(sampled);
  }
}

TEST_CASE("rdata cut short or with something after it is never printed as if it were whole") {
  for (const RdataSample& sample : dig_samples) {
    const std::string rdata = from_hex(sample.hex);
    CAPTURE(sample.type);
    for (size_t length = 0; length < rdata.size(); ++length) {
      const std::string cut = rdata.substr(0, length), printed = text(sample.type, cut);
      CHECK(printed != sample.text);
      if (printed.starts_with("\\#")) CHECK(printed == unknown(cut));
    }
  }
  for (unsigned type : {1, 2, 6, 15, 28, 33, 105, 108, 109}) {
    CAPTURE(type);
    const auto sample = std::find_if(std::begin(dig_samples), std::end(dig_samples),
                                     [&](const RdataSample& s) { return s.type == type; });
    const std::string longer = from_hex(sample->hex) + '\0';
    CHECK(text(type, longer) == unknown(longer));
  }
}

TEST_CASE("A and AAAA are addresses in class IN only; types of all classes are so in any") {
  CHECK(text(1, "abcd") == "97.98.99.100");
  CHECK(text(1, "abcd", 3) == "\\# 4 61626364");
  CHECK(text(28, std::string(16, '\0'), 254) == unknown(std::string(16, '\0')));
  CHECK(text(16, "\1x", 3) == "\"x\"");
  CHECK(text(15, "\0\1\0"s, 42) == "1 .");
}

TEST_CASE("names in rdata may be compressed in any type") {
  CHECK(text(5, "\xc0\x0c"s) == "www.example.");
  CHECK(text(15, "\0\x0a\4mail\xc0\x10"s) == "10 mail.example.");
  CHECK(text(33, "\0\1\0\2\0\3\xc0\x10"s) == "1 2 3 example.");
  CHECK(text(6, "\2ns\xc0\x10\4host\xc0\x29"s + std::string(20, '\0')) ==
        "ns.example. host.ns.example. 0 0 0 0 0");
}

TEST_CASE("a name that is malformed or leaves its rdata: RFC 3597's form, and whether to go on") {
  const Printed looped = print(2, "\xc0\x29"s);  // to itself
  CHECK(looped.text == "\\# 2 C029");
  CHECK_FALSE(looped.sound);
  const Printed second = print(6, "\2ns\xc0\x10\xc0\xff"s + std::string(20, '\0'));
  CHECK(second.text.starts_with("\\# 27 "));
  CHECK_FALSE(second.sound);
  // A label that runs on behind the record, here into the next one.
  const Indexed reply(Packet{"www.example", 2,
                             {record(question_pointer, 2, "\5ab"),
                              record(question_pointer, 1, "abcd")}}.bytes());
  REQUIRE(reply.message.records().size() == 2);
  Buffer out;
  append_rdata(out, reply.message, reply.message.records()[0]);
  CHECK(out.view() == "\\# 3 056162");
  CHECK(print(1, "abc").sound);
}

TEST_CASE("unknown types and rdata that does not fit") {
  CHECK(text(65280, "\x0a\0\0\1"s) == "\\# 4 0A000001");
  CHECK(text(65280, "") == "\\# 0");
  CHECK(text(10, "x") == "\\# 1 78");
  CHECK(text(0, "x") == "\\# 1 78");
  CHECK(text(65535, "x") == "\\# 1 78");
  CHECK(text(16, "") == "\\# 0");
  CHECK(text(16, "\5ab") == "\\# 3 056162");
  CHECK(text(257, "\0\0"s) == "\\# 2 0000");
  CHECK(text(257, "\0\1 x"s) == "\\# 4 00012078");
  CHECK(text(257, "\0\5issu"s) == unknown("\0\5issu"s));
  CHECK(text(43, "\0\1\2\3"s) == unknown("\0\1\2\3"s));
  CHECK(text(45, "\x0a\4\2"s) == unknown("\x0a\4\2"s));
  CHECK(text(260, "\x0a\4"s) == unknown("\x0a\4"s));
  CHECK(text(38, "\x81"s + std::string(16, 'x')) == unknown("\x81"s + std::string(16, 'x')));
  CHECK(text(34, "\1x1"s) == unknown("\1x1"s));
  CHECK(text(34, "\2"s) == unknown("\2"s));
}

TEST_CASE("character-strings are quoted, and escaped so that they can be read back") {
  CHECK(text(16, counted("a\"b\\c;d e") + counted("\x1f\x7f\x80\xff") + counted("\0"s) +
                     counted("")) == R"("a\"b\\c;d e" "\031\127\128\255" "\000" "")");
  CHECK(text(16, counted(std::string(255, 'x'))) == '"' + std::string(255, 'x') + '"');
}

TEST_CASE("type bitmaps: in order, never empty, no zero octet at the end") {
  const auto bitmap = [](const std::string& windows) {
    return text(62, "\0\0\0\1\0\0"s + windows);
  };
  CHECK(bitmap("") == "1 0");
  CHECK(bitmap("\0\1\x40"s) == "1 0 A");
  CHECK(bitmap("\0\1\x40\1\1\x40"s) == "1 0 A CAA");
  CHECK(bitmap("\xff\x20"s + std::string(31, '\0') + "\1") == "1 0 TYPE65535");
  for (const std::string& bad : {"\0"s, "\0\1"s, "\0\0"s, "\0\1\0"s, "\0\2\x40\0"s, "\0\2\x40"s,
                                 "\1\1\x40\0\1\x40"s, "\0\1\x40\0\1\x40"s,
                                 "\0\x21"s + std::string(33, '\1')})
    CHECK(bitmap(bad).starts_with("\\#"));
}

TEST_CASE("service parameters that are none") {
  const auto https = [](const std::string& parameters) { return text(65, "\0\1\0"s + parameters); };
  CHECK(https("") == "1 .");
  CHECK(https("\0\3\0\2\1\xbb"s) == "1 . port=443");
  CHECK(https("\xff\xff\0\0"s) == "1 . key65535");
  CHECK(https("\0\5\0\0"s) == "1 . ech");
  for (const std::string& bad :
       {"\0"s, "\0\3\0"s, "\0\3\0\2\1"s, "\0\3\0\1\1"s, "\0\3\0\3abc"s, "\0\3\0\0"s,
        "\0\1\0\0"s, "\0\1\0\1\0"s, "\0\1\0\2\2h"s, "\0\1\0\3\1h\5"s, "\0\2\0\1x"s, "\0\4\0\0"s,
        "\0\4\0\3abc"s, "\0\4\0\5abcde"s, "\0\6\0\4abcd"s, "\0\0\0\0"s,
        "\0\0\0\1\0"s, "\0\0\0\2\0\0"s, "\0\0\0\4\0\4\0\1"s, "\0\0\0\4\0\1\0\1"s,
        "\0\3\0\2\1\xbb\0\3\0\2\1\xbb"s, "\0\4\0\4abcd\0\3\0\2\1\xbb"s}) {
    CAPTURE(unknown(bad));
    CHECK(https(bad).starts_with("\\#"));
  }
}

TEST_CASE("locations beyond the poles, the date line and the digits of a size") {
  const auto at = [](const std::string& sizes, uint32_t latitude, uint32_t longitude) {
    return text(29, sizes + u32(latitude) + u32(longitude) + u32(10'000'000));
  };
  const uint32_t middle = 1u << 31, degree = 3'600'000;
  CHECK(at("\0\x12\x16\x13"s, middle + 90 * degree, middle - 180 * degree) ==
        "90 0 0.000 N 180 0 0.000 W 0.00m 1m 10000m 10m");
  CHECK(at("\0\x99\x10\x11"s, middle, middle) ==
        "0 0 0.000 N 0 0 0.000 E 0.00m 90000000m 0.01m 0.10m");
  CHECK(at("\0\x12\x16\x13"s, middle + 90 * degree + 1, middle).starts_with("\\#"));
  CHECK(at("\0\x12\x16\x13"s, middle, middle + 180 * degree + 1).starts_with("\\#"));
  CHECK(at("\0\x12\x16\x13"s, 0, middle).starts_with("\\#"));
  for (const std::string& sizes : {"\1\x12\x16\x13"s, "\0\xa2\x16\x13"s, "\0\x12\x1a\x13"s,
                                   "\0\x12\x16\2"s})
    CHECK(at(sizes, middle, middle).starts_with("\\#"));
}

TEST_CASE("address prefixes out of bounds") {
  for (const std::string& bad :
       {"\0"s, "\0\1\x18"s, "\0\1\x18\3\xc0\0"s, "\0\1\x21\1\xc0"s, "\0\2\x81\1\x20"s,
        "\0\1\x18\5abcde"s, "\0\3\0\0"s, "\0\1\x18\2\xc0\0"s})
    CHECK(text(42, bad).starts_with("\\#"));
  CHECK(text(42, "\0\1\0\x80"s) == "!1:0.0.0.0/0");
}

TEST_CASE("times from 1970 to 2106") {
  const auto time = [](uint32_t seconds) {
    return text(46, "\0\1\x08\2"s + u32(300) + u32(seconds) + u32(0) + u16(1) + name("x") + "A");
  };
  CHECK(time(0) == "A 8 2 300 19700101000000 19700101000000 1 x. QQ==");
  CHECK(time(951'827'696) == "A 8 2 300 20000229123456 19700101000000 1 x. QQ==");
  CHECK(time(UINT32_MAX) == "A 8 2 300 21060207062815 19700101000000 1 x. QQ==");
}

TEST_CASE("IPv6 addresses are written as inet_ntop writes them") {
  std::mt19937 random(5952);
  std::array<uint8_t, 16> octets;
  for (int i = 0; i < 200'000; ++i) {
    // Mostly zeros, so that runs of them meet.
    for (uint8_t& octet : octets)
      octet = random() % 4 ? 0 : static_cast<uint8_t>(random() % 3 ? random() : 0xff);
    char expected[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, octets.data(), expected, sizeof expected);
    Buffer out;
    append_ipv6(out, octets.data());
    REQUIRE(out.view() == expected);
  }
  for (int value = 0; value < 256; ++value) {
    const uint8_t four[]{static_cast<uint8_t>(value), 0, 255, static_cast<uint8_t>(value)};
    Buffer out;
    append_ipv4(out, four);
    CHECK(out.view() == std::to_string(value) + ".0.255." + std::to_string(value));
  }
}

TEST_CASE("an endpoint is what Address::text says") {
  for (const char* address : {"192.0.2.1:53", "[2001:db8::1]:5353", "[::ffff:192.0.2.1]:1",
                              "[fe80::1%lo]:53", "0.0.0.0:65535"}) {
    Buffer out;
    append_endpoint(out, *Address::parse(address, 53));
    CHECK(out.view() == address);
  }
}
