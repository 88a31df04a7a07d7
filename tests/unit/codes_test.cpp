#include <doctest/doctest.h>

#include <map>
#include <sstream>
#include <string>

#include "ringdns/codes.hpp"

using namespace ringdns;

namespace {

// IANA "Resource Record (RR) TYPEs" in November 2025. Its "*" is written ANY.
constexpr char registered[] =
    "1 A 2 NS 3 MD 4 MF 5 CNAME 6 SOA 7 MB 8 MG 9 MR 10 NULL 11 WKS 12 PTR 13 HINFO 14 MINFO "
    "15 MX 16 TXT 17 RP 18 AFSDB 19 X25 20 ISDN 21 RT 22 NSAP 23 NSAP-PTR 24 SIG 25 KEY 26 PX "
    "27 GPOS 28 AAAA 29 LOC 30 NXT 31 EID 32 NIMLOC 33 SRV 34 ATMA 35 NAPTR 36 KX 37 CERT "
    "38 A6 39 DNAME 40 SINK 41 OPT 42 APL 43 DS 44 SSHFP 45 IPSECKEY 46 RRSIG 47 NSEC "
    "48 DNSKEY 49 DHCID 50 NSEC3 51 NSEC3PARAM 52 TLSA 53 SMIMEA 55 HIP 56 NINFO 57 RKEY "
    "58 TALINK 59 CDS 60 CDNSKEY 61 OPENPGPKEY 62 CSYNC 63 ZONEMD 64 SVCB 65 HTTPS 66 DSYNC "
    "67 HHIT 68 BRID 99 SPF 100 UINFO 101 UID 102 GID 103 UNSPEC 104 NID 105 L32 106 L64 "
    "107 LP 108 EUI48 109 EUI64 128 NXNAME 249 TKEY 250 TSIG 251 IXFR 252 AXFR 253 MAILB "
    "254 MAILA 255 ANY 256 URI 257 CAA 258 AVC 259 DOA 260 AMTRELAY 261 RESINFO 262 WALLET "
    "263 CLA 264 IPN 32768 TA 32769 DLV";

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
  std::map<uint32_t, std::string> names;
  std::istringstream words(registered);
  std::string name;
  for (uint32_t number; words >> number >> name;) names[number] = name;
  CHECK(names.size() == 97);
  for (uint32_t type = 0; type <= 65535; ++type) {
    const auto found = names.find(type);
    const std::string expected =
        found == names.end() ? "TYPE" + std::to_string(type) : found->second;
    if (type_text(static_cast<uint16_t>(type)) != expected) FAIL(expected, " is called otherwise");
    if (parse_type(expected) != type) FAIL(expected, " is not known");
  }
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
