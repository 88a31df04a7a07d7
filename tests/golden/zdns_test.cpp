// Z: keys, types and order of zdns's JSON. What is expected is read off zdns's source (answers.go,
// edns.go, qa.go, and sheriff, which sorts the keys).
#include <doctest/doctest.h>

#include "../packets.hpp"
#include "../unit/rdata_samples.hpp"
#include "json_check.hpp"
#include "ringdns/output.hpp"
#include "ringdns/rdata.hpp"
#include "ringdns/text.hpp"

using namespace ringdns;
using namespace packets;
using namespace std::string_literals;

namespace {

constexpr UnixTime received{std::chrono::nanoseconds(1'700'000'000'012'345'678)};
constexpr Duration took = std::chrono::microseconds(1'234'567);

Address resolver() { return *Address::parse("192.0.2.53", 53); }

std::string printed(const std::string& packet, Transport transport = Transport::udp) {
  const Indexed reply(packet);
  const Address server = resolver();
  Buffer out;
  make_formatter(*parse_output_format("Z"))
      ->append_reply(out, {reply.message, server, transport, received, {}, 0, false, false, took});
  CHECK(JsonCheck::valid('{' + std::string(out.view()) + '}'));
  return std::string(out.view());
}
std::string printed(const Packet& packet) { return printed(packet.bytes()); }

// What is between the first of `from` and the next `to`.
std::string between(const std::string& text, std::string_view from, std::string_view to) {
  const size_t start = text.find(from);
  if (start == text.npos) return "no " + std::string(from);
  const size_t end = text.find(to, start + from.size());
  return text.substr(start + from.size(), end - start - from.size());
}

std::string answer(unsigned type, const std::string& rdata, unsigned rr_class = 1) {
  const Packet packet{"x", type, {record(question_pointer, type, rdata, rr_class)}};
  return between(printed(packet), "\"answers\":[", "],\"flags\"");
}

// The object of an OPT record with these options.
std::string opt(const std::string& options, unsigned size = 1232, uint32_t ttl = 0) {
  const Packet packet{"x", 1, {}, {}, {record("\0"s, 41, options, size, ttl)}};
  return between(printed(packet), "\"additionals\":[", "],\"flags\"");
}
std::string option(unsigned code, const std::string& value) {
  return u16(code) + u16(static_cast<unsigned>(value.size())) + value;
}

const std::string& own = question_pointer;
const std::string address = "\xc0\0\2\1"s;
const std::string start_of_authority =
    name("ns.x") + name("h.x") + u32(1) + u32(2) + u32(3) + u32(4) + u32(5);
const std::string tail =
    R"("protocol":"udp","resolver":"192.0.2.53:53"},"duration":1.234567000,"status":"NOERROR",)"
    R"("timestamp":"2023-11-14T22:13:20.012345678Z"})";

struct Expected {
  uint16_t type;
  const char* hex;
  const char* object;
};

constexpr Expected typed[] = {
    {1, "c0000201", R"({"answer":"192.0.2.1","class":"IN","name":"x","ttl":300,"type":"A"})"},
    {28, "00000000000000000000ffffc0000201",
     R"({"answer":"::ffff:192.0.2.1","class":"IN","name":"x","ttl":300,"type":"AAAA"})"},
    {2, "026e73017800", R"({"answer":"ns.x.","class":"IN","name":"x","ttl":300,"type":"NS"})"},
    {6, "026e73017800016801780000000001000000020000000300000004ffffffff",
     R"({"class":"IN","expire":4,"mbox":"h.x","min_ttl":4294967295,"name":"x","ns":"ns.x",)"
     R"("refresh":2,"retry":3,"serial":1,"ttl":300,"type":"SOA"})"},
    {10, "61c3a4ff",
     R"({"answer":"a\u00e4\\255","class":"IN","name":"x","ttl":300,"type":"NULL"})"},
    {13, "034350550361225c",
     R"({"class":"IN","cpu":"CPU","name":"x","os":"a\\\"\\\\","ttl":300,"type":"HINFO"})"},
    {14, "016100016200",
     R"({"class":"IN","email":"b.","name":"x","rmail":"a.","ttl":300,"type":"MINFO"})"},
    {15, "000a016d017800",
     R"({"answer":"m.x.","class":"IN","name":"x","preference":10,"ttl":300,"type":"MX"})"},
    {16, "036f6e6504742277c3",
     R"({"answer":"one\nt\\\"w\\195","class":"IN","name":"x","ttl":300,"type":"TXT"})"},
    {17, "016100016200",
     R"({"class":"IN","mbox":"a.","name":"x","ttl":300,"txt":"b.","type":"RP"})"},
    {18, "0001016100",
     R"({"class":"IN","hostname":"a.","name":"x","subtype":1,"ttl":300,"type":"AFSDB"})"},
    {19, "03333131", R"({"answer":"311","class":"IN","name":"x","ttl":300,"type":"X25"})"},
    {21, "0002016100",
     R"({"answer":"a.","class":"IN","name":"x","preference":2,"ttl":300,"type":"RT"})"},
    {24, "000108020000012c6553f1005f5e10003039076578616d706c6500414243",
     R"({"algorithm":8,"class":"IN","expiration":"20231114221320","inception":"20200913122640",)"
     R"("keytag":12345,"labels":2,"name":"x","original_ttl":300,"signature":"QUJD",)"
     R"("signer_name":"example.","ttl":300,"type":"SIG","type_covered":1})"},
    {26, "000a016100016200",
     R"({"class":"IN","map822":"a.","mapx400":"b.","name":"x","preference":10,"ttl":300,)"
     R"("type":"PX"})"},
    {27, "022d310133023130",
     R"({"class":"IN","map822":"3","mapx400":"10","name":"x","preference":"-1","ttl":300,)"
     R"("type":"GPOS"})"},
    {29, "001233168b3cf018810cbce0009895b8",
     R"({"altitude":9999800,"class":"IN",)"
     R"("coordinates":"52 22 23.000 N 4 53 32.000 E -2.00m 1m 30m 10000m","horizontal_pre":51,)"
     R"("latitude":2336026648,"longitude":2165095648,"name":"x","size":18,"ttl":300,)"
     R"("type":"LOC","version":0,"vertical_pre":22})"},
    {30, "01610040000080",
     R"({"class":"IN","name":"x","next_domain":"a","ttl":300,"type":"NXT",)"
     R"("type_bit_map":"A SIG"})"},
    {31, "01ab", R"({"answer":"01ab","class":"IN","name":"x","ttl":300,"type":"EID"})"},
    {32, "01ab", R"({"answer":"01ab","class":"IN","name":"x","ttl":300,"type":"NIMLOC"})"},
    {33, "00010002ffff017400",
     R"({"class":"IN","name":"x","port":65535,"priority":1,"target":"t.","ttl":300,"type":"SRV",)"
     R"("weight":2})"},
    {35, "00640032017303782b7905215e2e2a21017200",
     R"({"class":"IN","flags":"s","name":"x","order":100,"preference":50,"regexp":"!^.*!",)"
     R"("replacement":"r.","service":"x+y","ttl":300,"type":"NAPTR"})"},
    {36, "000a016100",
     R"({"answer":"a.","class":"IN","name":"x","preference":10,"ttl":300,"type":"KX"})"},
    {37, "0001303908414243",
     R"({"algorithm":"RSASHA256","certificate":"QUJD","class":"IN","keytag":12345,"name":"x",)"
     R"("ttl":300,"type":"PKIX"})"},
    {42, "00011803c000020002208420010db8",
     R"({"class":"IN","name":"x","prefixes":[{"negation":false,"network":{"IP":"192.0.2.0",)"
     R"("Mask":"////AA=="}},{"negation":true,"network":{"IP":"2001:db8::",)"
     R"("Mask":"/////wAAAAAAAAAAAAAAAA=="}}],"ttl":300,"type":"APL"})"},
    {43, "30390d02abcd",
     R"({"algorithm":13,"class":"IN","digest":"abcd","digest_type":2,"key_tag":12345,"name":"x",)"
     R"("ttl":300,"type":"DS"})"},
    {44, "0402abcd",
     R"({"algorithm":4,"class":"IN","fingerprint":"abcd","name":"x","ttl":300,"type":2})"},
    {45, "0a0102c0000226414243",
     R"({"algorithm":2,"class":"IN","gateway_addr":"192.0.2.38","gateway_host":"",)"
     R"("gateway_type":1,"name":"x","precedence":10,"public_key":"QUJD","ttl":300,)"
     R"("type":"IPSECKEY"})"},
    {45, "0a0302016800414243",
     R"({"algorithm":2,"class":"IN","gateway_addr":"","gateway_host":"h.","gateway_type":3,)"
     R"("name":"x","precedence":10,"public_key":"QUJD","ttl":300,"type":"IPSECKEY"})"},
    {46, "ff000d020000012c80000000000000000001076578616d706c6500414243",
     R"({"algorithm":13,"class":"IN","expiration":"20380119031408","inception":"19700101000000",)"
     R"("keytag":1,"labels":2,"name":"x","original_ttl":300,"signature":"QUJD",)"
     R"("signer_name":"example.","ttl":300,"type":"RRSIG","type_covered":65280})"},
    {47, "0161000006400100000003",
     R"({"class":"IN","name":"x","next_domain":"a","ttl":300,"type":"NSEC",)"
     R"("type_bit_map":"A MX RRSIG NSEC"})"},
    {48, "0100030d414243",
     R"({"algorithm":13,"class":"IN","flags":256,"name":"x","protocol":3,"public_key":"QUJD",)"
     R"("ttl":300,"type":"DNSKEY"})"},
    {50, "0101000502aabb0300010200024001",
     R"({"class":"IN","flags":1,"hash_algorithm":1,"hash_length":3,"iterations":5,"name":"x",)"
     R"("next_domain":"000G4","salt":"aabb","salt_length":2,"ttl":300,"type":"NSEC3",)"
     R"("type_bit_map":"A MX"})"},
    {51, "0100000502aabb",
     R"({"class":"IN","flags":0,"hash_algorithm":1,"iterations":5,"name":"x","salt":"aabb",)"
     R"("ttl":300,"type":"NSEC3PARAM"})"},
    {52, "030101cdef",
     R"({"cert_usage":3,"certificate":"cdef","class":"IN","matching_type":1,"name":"x",)"
     R"("selector":1,"ttl":300,"type":"TLSA"})"},
    {53, "030001cdef",
     R"({"certificate":"cdef","class":"IN","matching_type":1,"name":"x","selector":0,"ttl":300,)"
     R"("type":"SMIMEA","usage":3})"},
    {55, "02020003abcd414243017200016200",
     R"({"class":"IN","hit":"abcd","hit_length":2,"name":"x","pubkey":"QUJD","pubkey_algo":2,)"
     R"("pubkey_len":3,"rendezvous_servers":["r.","b."],"ttl":300,"type":"HIP"})"},
    {56, "0161026263", R"({"answer":"a\nbc","class":"IN","name":"x","ttl":300,"type":"NINFO"})"},
    {57, "00000308414243",
     R"({"algorithm":8,"class":"IN","flags":0,"name":"x","protocol":3,"public_key":"QUJD",)"
     R"("ttl":300,"type":"RKEY"})"},
    {58, "016100016200",
     R"({"class":"IN","name":"x","next_name":"b.","previous_name":"a.","ttl":300,)"
     R"("type":"TALINK"})"},
    {59, "30390d02abcd",
     R"({"algorithm":13,"class":"IN","digest":"abcd","digest_type":2,"key_tag":12345,"name":"x",)"
     R"("ttl":300,"type":"CDS"})"},
    {60, "0100030d414243",
     R"({"algorithm":13,"class":"IN","flags":256,"name":"x","protocol":3,"public_key":"QUJD",)"
     R"("ttl":300,"type":"CDNSKEY"})"},
    {62, "000000420003000460000008",
     R"({"class":"IN","flags":3,"name":"x","serial":66,"ttl":300,"type":"CSYNC",)"
     R"("type_bit_map":"A NS AAAA"})"},
    {63, "7848b78c0101feed",
     R"({"class":"IN","digest":"feed","hash":1,"name":"x","scheme":1,"serial":2018031500,)"
     R"("ttl":300,"type":"ZONEMD"})"},
    {64, "0000016100",
     R"({"class":"IN","name":"x","priority":0,"target":"a.","ttl":300,"type":"SVCB"})"},
    {65,
     "00010000000004000100030001000b026832032263010368c3a4000200000003000220fb00040008c000"
     "0201c0000202000500034142430006001020010db8000000000000000000000001000700042f717b7d00"
     "080000ff000002abcd",
     R"({"class":"IN","name":"x","priority":1,"svcparams":{"alpn":["h2","\"c\u0001","h\u00e4"],)"
     R"("dohpath":"/q{}","ech":"QUJD","ipv4hint":["192.0.2.1","192.0.2.2"],)"
     R"("ipv6hint":["2001:db8::1"],"key65280":"q80=","mandatory":["alpn","port"],)"
     R"("no-default-alpn":true,"ohttp":true,"port":8443},"target":".","ttl":300,"type":"HTTPS"})"},
    {99, "0161026263", R"({"answer":"a\nbc","class":"IN","name":"x","ttl":300,"type":"SPF"})"},
    {100, "6869", R"({"answer":"hi","class":"IN","name":"x","ttl":300,"type":"UINFO"})"},
    {101, "000003e8", R"({"answer":"1000","class":"IN","name":"x","ttl":300,"type":"UID"})"},
    {102, "000003e8", R"({"answer":"1000","class":"IN","name":"x","ttl":300,"type":"GID"})"},
    {104, "000a00144fffff20ee64",
     R"({"answer":"00144fffff20ee64","class":"IN","name":"x","preference":10,"ttl":300,)"
     R"("type":"NID"})"},
    {105, "000a0a010200",
     R"({"answer":"10.1.2.0","class":"IN","name":"x","preference":10,"ttl":300,"type":"L32"})"},
    {106, "000a20010db811401000",
     R"({"answer":"20010DB811401000","class":"IN","name":"x","preference":10,"ttl":300,)"
     R"("type":"L64"})"},
    {107, "000a016100",
     R"({"answer":"a.","class":"IN","name":"x","preference":10,"ttl":300,"type":"LP"})"},
    {108, "00005e00532a",
     R"({"answer":"00-00-5e-00-53-2a","class":"IN","name":"x","ttl":300,"type":"EUI48"})"},
    {249, "03616c670000000001000000020003001000034142430002abcd",
     R"({"algorithm":"alg.","class":"IN","error":16,"expiration":"19700101000002",)"
     R"("inception":"19700101000001","key":"414243","key_size":3,"mode":3,"name":"x",)"
     R"("other_data":"abcd","other_len":2,"ttl":300,"type":"TKEY"})"},
    {256, "000a0001683a2f2f22",
     R"({"class":"IN","name":"x","priority":10,"target":"h://\"","ttl":300,"type":"URI",)"
     R"("weight":1})"},
    {257, "00056973737565636122c3a4",
     R"({"class":"IN","flag":0,"name":"x","tag":"issue","ttl":300,"type":"CAA",)"
     R"("value":"ca\"\u00e4"})"},
    {258, "03617663", R"({"answer":"avc","class":"IN","name":"x","ttl":300,"type":"AVC"})"},
    {260, "0a8220010db8000000000000000000000001",
     R"({"class":"IN","gateway_addr":"2001:db8::1","gateway_host":"","gateway_type":2,)"
     R"("name":"x","precedence":10,"ttl":300,"type":"AMTRELAY"})"},
    {65280, "abcd",
     R"({"answer":"\\# 2 ABCD","class":"IN","name":"x","ttl":300,"type":"TYPE65280"})"},
    {15, "00", R"({"answer":"\\# 1 00","class":"IN","name":"x","ttl":300,"type":"MX"})"},
};

}  // namespace

TEST_CASE("a reply: one member of results, the additional section first") {
  CHECK(printed(Packet{"x.test", 1, {record(own, 5, name("b.test"))},
                       {record(name("test"), 2, name("ns.test"))},
                       {record(name("ns.test"), 1, address),
                        record("\0"s, 41, "", 1232, 0x8000),
                        record(name("ns.test"), 28, std::string(15, '\0') + "\1")},
                       0x8580}) ==
        R"("A":{"data":{"additionals":[)"
        R"({"answer":"192.0.2.1","class":"IN","name":"ns.test","ttl":300,"type":"A"},)"
        R"({"flags":"do","type":"EDNS0","udpsize":1232,"version":0},)"
        R"({"answer":"::1","class":"IN","name":"ns.test","ttl":300,"type":"AAAA"}],)"
        R"("answers":[{"answer":"b.test.","class":"IN","name":"x.test","ttl":300,)"
        R"("type":"CNAME"}],)"
        R"("authorities":[{"answer":"ns.test.","class":"IN","name":"test","ttl":300,)"
        R"("type":"NS"}],)"
        R"("flags":{"authenticated":false,"authoritative":true,"checking_disabled":false,)"
        R"("error_code":0,"opcode":0,"recursion_available":true,"recursion_desired":true,)"
        R"("response":true,"truncated":false},)" + tail);
}

TEST_CASE("flags, transport and status") {
  CHECK(between(printed(Packet{"x", 1, {}, {}, {}, 0x8280 | 0x0030}), "\"flags\":", ",\"proto") ==
        R"({"authenticated":true,"authoritative":false,"checking_disabled":true,"error_code":0,)"
        R"("opcode":0,"recursion_available":true,"recursion_desired":false,"response":true,)"
        R"("truncated":true})");
  CHECK(between(printed(Packet{"x"}.bytes(), Transport::tcp), "\"protocol\":", ",") == "\"tcp\"");
  const auto status = [](unsigned flags, const std::string& additional = "") {
    Packet packet{"x", 1, {}, {}, {}, flags};
    if (!additional.empty()) packet.additionals.push_back(additional);
    return between(printed(packet), "\"status\":\"", "\"");
  };
  CHECK(status(0x8180) == "NOERROR");
  CHECK(status(0x8182) == "SERVFAIL");
  CHECK(status(0x8183) == "NXDOMAIN");
  CHECK(status(0x8185) == "REFUSED");
  CHECK(status(0x8187, record("\0"s, 41, "", 512, 1 << 24)) == "BADCOOKIE");
  CHECK(printed(Packet{"x", 65280}).starts_with("\"TYPE65280\":{"));
}

TEST_CASE("failures: the word of the last response code, or zdns's") {
  const std::string question = name("x.test");
  const Address server = resolver();
  const auto formatter = make_formatter(*parse_output_format("Z"));
  const auto failed = [&](FailureReason reason, const Address* asked = nullptr,
                          const Reply* last = nullptr) {
    Buffer out;
    Failure failure{{reinterpret_cast<const uint8_t*>(question.data()), question.size()}, 28, 1,
                    reason, last, asked, Transport::tcp, received, took};
    formatter->append_failure(out, failure);
    CHECK(JsonCheck::valid('{' + std::string(out.view()) + '}'));
    return std::string(out.view());
  };
  CHECK(failed(FailureReason::timeout, &server) ==
        R"("AAAA":{"data":{"flags":{"authenticated":false,"authoritative":false,)"
        R"("checking_disabled":false,"error_code":0,"opcode":0,"recursion_available":false,)"
        R"("recursion_desired":false,"response":false,"truncated":false},"protocol":"tcp",)"
        R"("resolver":"192.0.2.53:53"},"duration":1.234567000,"error":"TIMEOUT",)"
        R"("status":"TIMEOUT","timestamp":"2023-11-14T22:13:20.012345678Z"})");
  const auto status = [](const std::string& text) {
    return between(text, "\"error\":\"", "\",\"timestamp");
  };
  CHECK(status(failed(FailureReason::truncated)) == R"(TRUNCATED","status":"TRUNCATED)");
  CHECK(status(failed(FailureReason::unreachable)) == R"(UNREACHABLE","status":"ERROR)");
  CHECK(status(failed(FailureReason::interrupted)) == R"(INTERRUPTED","status":"ERROR)");
  CHECK(status(failed(FailureReason::incomplete)) == R"(INCOMPLETE","status":"ERROR)");
  CHECK(between(failed(FailureReason::interrupted), "\"protocol\":", "}") ==
        R"("","resolver":"")");

  const Packet refusing{"x.test", 28, {}, {}, {record("\0"s, 41, "", 1232)}, 0x8185};
  const Indexed refusal(refusing.bytes());
  const Reply last{refusal.message, server, Transport::udp, received};
  const std::string refused = failed(FailureReason::max_retries, &server, &last);
  CHECK(status(refused) == R"(MAXRETRIES","status":"REFUSED)");
  CHECK(between(refused, "\"data\":{\"additionals\":[", "]") ==
        R"({"flags":"","type":"EDNS0","udpsize":1232,"version":0})");
}

TEST_CASE("input that cannot be asked") {
  Buffer out;
  make_formatter(*parse_output_format("Z"))->append_rejection(out, {28, "empty label", received});
  CHECK(out.view() == R"("AAAA":{"duration":0.000000000,"error":"empty label",)"
                      R"("status":"ILLEGAL_INPUT","timestamp":"2023-11-14T22:13:20.012345678Z"})");
}

TEST_CASE("each type has the members that zdns gives it") {
  for (const Expected& expected : typed) {
    CAPTURE(expected.type);
    CHECK(answer(expected.type, from_hex(expected.hex)) == expected.object);
  }
}

TEST_CASE("the members of a type are there when its presentation form is, and only then") {
  const auto check = [](const RdataSample& sample) {
    if (!find_layout(sample.type, rr_class::internet)) return;
    // zdns takes it, dig does not.
    const bool empty_list = sample.type == 42 && *sample.hex == '\0';
    const bool sound = !std::string_view(sample.text).starts_with("\\#");
    const std::string object = answer(sample.type, from_hex(sample.hex));
    CAPTURE(sample.type);
    CHECK((object.find("\"answer\":\"\\\\#") == object.npos) == (sound || empty_list));
  };
  for (const RdataSample& sample : dig_samples) check(sample);
  for (const RdataSample& sample : other_samples) check(sample);
}

TEST_CASE("rdata that does not fit its type, or is of another class, is RFC 3597's") {
  CHECK(between(answer(6, start_of_authority + "x"), "\"answer\":\"", " ") == "\\\\#");
  CHECK(between(answer(48, ""), "\"answer\":\"", "\"") == "\\\\# 0");
  CHECK(between(answer(64, "\0\1\0"s + "\0\3\0\2\0\1"s + "\0\1\0\2\1x"s), "\"answer\":\"", " ") ==
        "\\\\#");
  CHECK(answer(33, "\0\1\0\2\0\3\1t\0"s, 3) ==
        R"({"answer":"\\# 9 000100020003017400","class":"CH","name":"x","ttl":300,"type":"SRV"})");
  CHECK(answer(16, counted("v"), 3) ==
        R"({"answer":"v","class":"CH","name":"x","ttl":300,"type":"TXT"})");
}

TEST_CASE("a name that is none ends the listing") {
  const std::string loop = "\xc0\x40"s;
  const auto records = [](const Packet& packet) {
    const std::string text = printed(packet);
    return std::pair(between(text, "\"answers\":[", "],\""),
                     between(text, "\"additionals\":[", "],\""));
  };
  const auto [owners, none] = records({"x", 1, {record(own, 1, address), record(loop, 1, address)},
                                       {}, {record(own, 1, address)}});
  CHECK(owners == R"({"answer":"192.0.2.1","class":"IN","name":"x","ttl":300,"type":"A"})");
  CHECK(none == "no \"additionals\":[");
  CHECK(records({"x", 2, {record(own, 2, loop), record(own, 1, address)}}).first ==
        R"({"answer":"\\# 2 C040","class":"IN","name":"x","ttl":300,"type":"NS"})");
}

TEST_CASE("the root keeps its dot as an owner, names are escaped twice over") {
  CHECK(between(printed(Packet{".", 2, {record(own, 2, name("a\\.\\\"\\000"))}}), "\"answers\":[",
                "]") ==
        R"({"answer":"a\\.\\\"\\000.","class":"IN","name":".","ttl":300,"type":"NS"})");
}

TEST_CASE("EDNS") {
  CHECK(opt("", 4096, 0x00018000) ==
        R"({"flags":"do","type":"EDNS1","udpsize":4096,"version":1})");
  CHECK(opt(option(15, "\0\x12"s) + option(3, "ns\xff\""s) +
            option(15, "\0\x03s"s + "tale\xc3\xa4") + option(8, "\0\1\x18\x10\xc0\0\2"s) +
            option(10, from_hex("0123456789abcdef")) +
            option(11, "\0\x64"s) + option(9, u32(86400)) + option(12, "\0\0"s) +
            option(15, "\xff\xff") + option(65001, "local")) ==
        R"({"cookie":{"cookie":"0123456789abcdef"},)"
        R"("csubnet":{"address":"192.0.2.0","family":1,"source_netmask":24,"source_scope":16},)"
        R"("ede":[{"error_text":"Prohibited","extra_text":"","info_code":18},)"
        R"({"error_text":"Stale Answer","extra_text":"stale\u00e4","info_code":3},)"
        R"({"error_text":"","extra_text":"","info_code":65535}],)"
        R"("expire":{"code":9,"expire":86400},"flags":"","nsid":{"nsid":"ns\\255\""},)"
        R"("padding":{"padding":"0000"},"tcp_keepalive":{"code":11,"length":0,"timeout":100},)"
        R"("type":"EDNS0","udpsize":1232,"version":0})");
  CHECK(between(opt(option(8, "\0\2\x20\0\x20\1\x0d\xb8"s)), "\"address\":", ",") ==
        "\"2001:db8::\"");
  // Options without their form, and a list cut short.
  const std::string bare = R"({"flags":"","type":"EDNS0","udpsize":1232,"version":0})";
  CHECK(opt(option(8, "\0\1\x21\0"s) + option(8, "\0\0\1\0"s) + option(8, "\0\3\0\0"s) +
            option(8, "\0"s) + option(9, "ab") + option(11, "abc") + option(15, "x") +
            "\0\3\0\5id"s) ==
        bare);
  CHECK(opt(option(9, "") + option(11, "")).starts_with(R"({"expire":{"code":9,"expire":0},)"));
}

TEST_CASE("octets in JSON: UTF-8 as its characters, all else as \\DDD") {
  const auto text = [](const std::string& octets) {
    Buffer out;
    append_json_octets(out, {reinterpret_cast<const uint8_t*>(octets.data()), octets.size()});
    CHECK(JsonCheck::valid('"' + std::string(out.view()) + '"'));
    return std::string(out.view());
  };
  CHECK(text("a\"\\ \x7f\n\0"s) == R"(a\"\\ \u007f\u000a\u0000)");
  CHECK(text("\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf") == R"(\u0080\u07ff\u0800\uffff)");
  CHECK(text("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf") == R"(\ud800\udc00\udbff\udfff)");
  // Overlong, a surrogate, too large, cut, alone.
  CHECK(text("\xc0\x80\xc1\xbf") == R"(\\192\\128\\193\\191)");
  CHECK(text("\xe0\x9f\xbf") == R"(\\224\\159\\191)");
  CHECK(text("\xed\xa0\x80") == R"(\\237\\160\\128)");
  CHECK(text("\xf0\x8f\xbf\xbf") == R"(\\240\\143\\191\\191)");
  CHECK(text("\xf4\x90\x80\x80") == R"(\\244\\144\\128\\128)");
  CHECK(text("\xe2\x82") == R"(\\226\\130)");
  CHECK(text("\xe2\x82x") == R"(\\226\\130x)");
  CHECK(text("\x80\xff") == R"(\\128\\255)");
}

TEST_CASE("times") {
  const Indexed reply(Packet{"x"}.bytes());
  const Address server = resolver();
  const auto at = [&](UnixTime time, Duration duration) {
    Buffer out;
    make_formatter(*parse_output_format("Z"))
        ->append_reply(out, {reply.message, server, Transport::udp, time, {}, 0, false, false,
                             duration});
    return between(std::string(out.view()), "\"duration\":", "}");
  };
  using namespace std::chrono_literals;
  CHECK(at(UnixTime{}, 0s) ==
        R"(0.000000000,"status":"NOERROR","timestamp":"1970-01-01T00:00:00.000000000Z")");
  CHECK(at(UnixTime{951'782'399s}, 61s + 1ns) ==
        R"(61.000000001,"status":"NOERROR","timestamp":"2000-02-28T23:59:59.000000000Z")");
}
