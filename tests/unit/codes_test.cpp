#include <doctest/doctest.h>

#include <string>

#include "ringdns/codes.hpp"

using namespace ringdns;

namespace {

std::string type_text(uint16_t type) {
  Buffer out;
  append_type(out, type);
  return std::string(out.view());
}

std::string class_text(uint16_t rr_class) {
  Buffer out;
  append_class(out, rr_class);
  return std::string(out.view());
}

std::string rcode_text(uint16_t rcode) {
  Buffer out;
  append_rcode(out, rcode);
  return std::string(out.view());
}

std::string lowered(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

}  // namespace

TEST_CASE("types as IANA registers them") {
  CHECK(type_text(1) == "A");
  CHECK(type_text(28) == "AAAA");
  CHECK(type_text(23) == "NSAP-PTR");
  CHECK(type_text(51) == "NSEC3PARAM");
  CHECK(type_text(65) == "HTTPS");
  CHECK(type_text(257) == "CAA");
  CHECK(type_text(264) == "IPN");
  CHECK(type_text(32768) == "TA");
  CHECK(type_text(32769) == "DLV");
  CHECK(type_text(0) == "TYPE0");
  CHECK(type_text(54) == "TYPE54");
  CHECK(type_text(265) == "TYPE265");
  CHECK(type_text(65280) == "TYPE65280");
  CHECK(type_text(65535) == "TYPE65535");
}

TEST_CASE("every number of a type comes back from its text, in either case and as a number") {
  for (uint32_t type = 0; type <= 65535; ++type) {
    const std::string text = type_text(static_cast<uint16_t>(type));
    CAPTURE(text);
    const bool back = parse_type(text) == type && parse_type(lowered(text)) == type &&
                      parse_type(std::to_string(type)) == type &&
                      parse_type("TYPE" + std::to_string(type)) == type;
    if (!back) FAIL("a type is lost");
  }
}

TEST_CASE("what is no type") {
  for (std::string_view text :
       {"", " ", "A ", "NOPE", "-1", "+1", "65536", "99999999999", "TYPE", "TYPE65536", "TYPE-1",
        "TYPE1x", "TYPE 1", "TYPE000001", "A,MX", "1x", "\xff", "OPENPGPKEYS"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_type(text));
  }
  CHECK_FALSE(parse_type(std::string_view("A\0", 2)));
  CHECK_FALSE(parse_type(std::string(100'000, '1')));
  CHECK(parse_type("Mx") == type::mx);
}

TEST_CASE("classes") {
  CHECK(class_text(1) == "IN");
  CHECK(class_text(3) == "CH");
  CHECK(class_text(4) == "HS");
  CHECK(class_text(254) == "NONE");
  CHECK(class_text(255) == "ANY");
  CHECK(class_text(0) == "CLASS0");
  CHECK(class_text(1232) == "CLASS1232");
}

TEST_CASE("response codes, the extended ones too") {
  CHECK(rcode_text(0) == "NOERROR");
  CHECK(rcode_text(3) == "NXDOMAIN");
  CHECK(rcode_text(11) == "DSOTYPENI");
  CHECK(rcode_text(12) == "RCODE12");
  CHECK(rcode_text(16) == "BADVERS");
  CHECK(rcode_text(23) == "BADCOOKIE");
  CHECK(rcode_text(4095) == "RCODE4095");
  for (uint16_t rcode = 0; rcode < rcode::limit; ++rcode) {
    CAPTURE(rcode);
    REQUIRE(parse_rcode(rcode_text(rcode)) == rcode);
    REQUIRE(parse_rcode(lowered(rcode_text(rcode))) == rcode);
    REQUIRE(parse_rcode(std::to_string(rcode)) == rcode);
  }
  CHECK(parse_rcode("ok") == 0);
  CHECK(parse_rcode("ServFail") == 2);
  for (std::string_view text : {"", "x", "4096", "-1", "never", "NOERROR ", "RCODE", "RCODE4096"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_rcode(text));
  }
}
