// Every format byte for byte. Unless a test says otherwise the bytes are what massdns (its public
// master) printed for the same packets.
#include <doctest/doctest.h>

#include "../packets.hpp"
#include "ringdns/output.hpp"

using namespace ringdns;
using namespace packets;
using namespace std::string_literals;

namespace {

constexpr UnixTime received{std::chrono::nanoseconds(1'700'000'000'012'345'678)};

std::string printed(const char* letters, const std::string& packet,
                    const char* server = "192.0.2.53", Transport transport = Transport::udp) {
  const Indexed reply(packet);
  const Address address = *Address::parse(server, 53);
  Buffer out;
  make_formatter(*parse_output_format(letters))
      ->append_reply(out, {reply.message, address, transport, received});
  return std::string(out.view());
}

std::string printed(const char* letters, const Packet& packet) {
  return printed(letters, packet.bytes());
}

const std::string& own = question_pointer;
const std::string address = "\xc0\0\2\1"s;
const std::string start_of_authority =
    name("ns.x") + name("h.x") + u32(1) + u32(2) + u32(3) + u32(4) + u32(5);

const Packet two_addresses{"a.test", 1, {record(own, 1, address), record(own, 1, "\xc0\0\2\2"s)},
                           {}, {}, 0x8580};
const Packet alias{"c.test", 1, {record(own, 5, name("d.test")),
                                 record(name("d.test"), 1, address)}};
const Packet no_such_name{"nx.test", 1, {}, {record(name("test"), 6, start_of_authority)}, {},
                          0x8183};
const Packet empty{"empty.test", 1};
const Packet referral{"ref.test", 1, {}, {record(own, 2, name("ns1.ref.test"))},
                      {record(name("ns1.ref.test"), 1, address)}, 0x8000};
const Packet exchange{"mx.test", 15, {record(own, 15, "\0\x0a"s + name("m.test"))},
                      {record(name("test"), 2, name("ns.test"))},
                      {record(name("m.test"), 1, address), record(name("ns.test"), 1, address)},
                      0x81b0};
const Packet texts{"txt.test", 16, {record(own, 16, counted("one") + counted("two three"))}};

const std::string json_tail = R"("resolver":"192.0.2.53:53","proto":"UDP"})" "\n";

std::string json_head(const char* name, const char* type, const char* status = "NOERROR") {
  return R"({"name":")"s + name + R"(","type":")" + type + R"(","class":"IN","status":")" + status +
         R"(","rx_ts":1700000000012345678,"data":{)";
}

}  // namespace

TEST_CASE("S: the question's own answers, three fields") {
  CHECK(printed("S", two_addresses) == "a.test. A 192.0.2.1\na.test. A 192.0.2.2\n");
  CHECK(printed("S", alias) == "c.test. CNAME d.test.\n");
  CHECK(printed("S", no_such_name) == "");
  CHECK(printed("S", exchange) == "mx.test. MX 10 m.test.\n");
  CHECK(printed("S", Packet{"q.test", 28, {record(own, 28, "\x20\1\x0d\xb8"s +
                                                              std::string(11, '\0') + "\1")}}) ==
        "q.test. AAAA 2001:db8::1\n");
  CHECK(printed("S", Packet{"n.test", 2, {record(own, 2, name("ns.x"))}}) == "n.test. NS ns.x.\n");
  CHECK(printed("S", Packet{"p.test", 12, {record(own, 12, name("p.x"))}}) == "p.test. PTR p.x.\n");
  CHECK(printed("S", Packet{"p.test", 39, {record(own, 39, name("p.x"))}}) ==
        "p.test. DNAME p.x.\n");
  CHECK(printed("S", Packet{"s.test", 33, {record(own, 33, "\0\1\0\2\0\3"s + name("t.x"))}}) ==
        "s.test. SRV 1 2 3 t.x.\n");
  CHECK(printed("S", Packet{"s.test", 6, {record(own, 6, start_of_authority)}}) ==
        "s.test. SOA ns.x. h.x. 1 2 3 4 5\n");
  CHECK(printed("S", Packet{"c.test", 257, {record(own, 257, "\0\5issueca.x; a=b"s)}}) ==
        "c.test. CAA 0 issue \"ca.x; a=b\"\n");
}

TEST_CASE("S with sections: n, u, d; any letter turns the name match off, m on again") {
  CHECK(printed("Sn", alias) == "c.test. CNAME d.test.\nd.test. A 192.0.2.1\n");
  CHECK(printed("Sm", alias) == "c.test. CNAME d.test.\n");
  CHECK(printed("Su", exchange) == "test. NS ns.test.\n");
  CHECK(printed("Sd", exchange) == "m.test. A 192.0.2.1\nns.test. A 192.0.2.1\n");
  CHECK(printed("Sudn", exchange) ==
        "mx.test. MX 10 m.test.\ntest. NS ns.test.\nm.test. A 192.0.2.1\nns.test. A 192.0.2.1\n");
  CHECK(printed("Sum", referral) == "ref.test. NS ns1.ref.test.\n");
}

TEST_CASE("S with l: one blank line after every reply") {
  CHECK(printed("Snl", two_addresses) == "a.test. A 192.0.2.1\na.test. A 192.0.2.2\n\n");
  CHECK(printed("Snl", no_such_name) == "\n");
  CHECK(printed("Snl", empty) == "\n");
}

TEST_CASE("S with t, i, s") {
  CHECK(printed("St", alias) == "c.test. IN 300 CNAME d.test.\nd.test. IN 300 A 192.0.2.1\n");
  CHECK(printed("Si", two_addresses) == "\ta.test. A 192.0.2.1\n\ta.test. A 192.0.2.2\n");
  CHECK(printed("Sndus", exchange) ==
        "mx.test. MX 10 m.test.\n\ntest. NS ns.test.\n\n"
        "m.test. A 192.0.2.1\nns.test. A 192.0.2.1\n");
  CHECK(printed("Sdus", referral) ==
        "\nref.test. NS ns1.ref.test.\n\nns1.ref.test. A 192.0.2.1\n");
  CHECK(printed("Snuis", referral) == "\n\tref.test. NS ns1.ref.test.\n");
}

TEST_CASE("S with q and r: the question, with two blanks where the class would be") {
  CHECK(printed("Sq", two_addresses) ==
        "a.test.  A\na.test. A 192.0.2.1\na.test. A 192.0.2.2\n");
  CHECK(printed("Sqt", empty) == "empty.test. IN A\n");
  CHECK(printed("Sr", no_such_name) == "192.0.2.53:53 1700000000 NXDOMAIN nx.test.  A\n");
  CHECK(printed("Srt", empty) == "192.0.2.53:53 1700000000 NOERROR empty.test. IN A\n");
  CHECK(printed("Sr", empty.bytes(), "[2001:db8::35]:5353") ==
        "[2001:db8::35]:5353 1700000000 NOERROR empty.test.  A\n");
}

TEST_CASE("S, where ours is right: names match in any case, TXT has no blank at its end") {
  CHECK(printed("S", Packet{"A.test", 1, {record(name("a.TEST"), 1, address)}}) ==
        "a.TEST. A 192.0.2.1\n");
  CHECK(printed("S", texts) == "txt.test. TXT \"one\" \"two three\"\n");
  CHECK(printed("S", Packet{"a\\.b\\000.test", 65280, {record(own, 65280, "xy", 3)}}) ==
        "a\\.b\\000.test. TYPE65280 \\# 2 7879\n");
  CHECK(printed("Sn", Packet{"t.test", 52, {record(own, 52, "\3\1\1\xab\xcd")}}) ==
        "t.test. TLSA 3 1 1 ABCD\n");
}

TEST_CASE("F: like dig's") {
  CHECK(printed("F", two_addresses) ==
        ";; Server: 192.0.2.53:53\n;; Size: 56\n;; Unix time: 1700000000\n"
        ";; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 4660\n"
        ";; flags: qr aa rd ra ; QUERY: 1, ANSWER: 2, AUTHORITY: 0, ADDITIONAL: 0\n\n"
        ";; QUESTION SECTION:\na.test. IN A\n\n"
        ";; ANSWER SECTION:\na.test. 300 IN A 192.0.2.1\na.test. 300 IN A 192.0.2.2\n\n\n");
  CHECK(printed("F", exchange.bytes(), "2001:db8::35") ==
        ";; Server: [2001:db8::35]:53\n;; Size: 117\n;; Unix time: 1700000000\n"
        ";; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 4660\n"
        ";; flags: qr ad rd ra cd ; QUERY: 1, ANSWER: 1, AUTHORITY: 1, ADDITIONAL: 2\n\n"
        ";; QUESTION SECTION:\nmx.test. IN MX\n\n"
        ";; ANSWER SECTION:\nmx.test. 300 IN MX 10 m.test.\n\n"
        ";; AUTHORITY SECTION:\ntest. 300 IN NS ns.test.\n\n"
        ";; ADDITIONAL SECTION:\nm.test. 300 IN A 192.0.2.1\nns.test. 300 IN A 192.0.2.1\n\n\n");
  CHECK(printed("F", empty) ==
        ";; Server: 192.0.2.53:53\n;; Size: 28\n;; Unix time: 1700000000\n"
        ";; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 4660\n"
        ";; flags: qr rd ra ; QUERY: 1, ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 0\n\n"
        ";; QUESTION SECTION:\nempty.test. IN A\n\n\n");
  const std::string all = printed("F", Packet{"x", 1, {}, {}, {}, 0x87b0});
  CHECK(all.find("\n;; flags: qr ad aa rd ra tc cd ; QUERY: 1,") != all.npos);
}

TEST_CASE("F, where ours is right: class CH, the extended code, no OPT among the records") {
  const Packet version{"version.bind", 16, {record(own, 16, counted("x"), 3)}, {},
                       {record("\0"s, 41, "", 1232, 0x01000000)}, 0x8180, 3};
  const std::string out = printed("F", version);
  CHECK(out.find(", status: BADVERS, ") != out.npos);
  CHECK(out.ends_with(";; QUESTION SECTION:\nversion.bind. CH TXT\n\n"
                      ";; ANSWER SECTION:\nversion.bind. 300 CH TXT \"x\"\n\n\n"));
}

TEST_CASE("L: names that have an answer; with 0 also those that exist without") {
  CHECK(printed("L", two_addresses) == "a.test\n");
  CHECK(printed("L", alias) == "c.test\n");
  CHECK(printed("L", empty) == "");
  CHECK(printed("L", referral) == "");
  CHECK(printed("L", no_such_name) == "");
  CHECK(printed("L0", empty) == "empty.test\n");
  CHECK(printed("L0", referral) == "ref.test\n");
  CHECK(printed("L0", no_such_name) == "");
  CHECK(printed("L", Packet{".", 2, {record("\0"s, 2, name("a.x"))}}) == ".\n");  // massdns: blank
}

TEST_CASE("J: massdns's keys in massdns's order") {
  CHECK(printed("J", two_addresses) ==
        json_head("a.test.", "A") +
            R"("answers":[{"ttl":300,"type":"A","class":"IN","name":"a.test.","data":"192.0.2.1"},)"
            R"({"ttl":300,"type":"A","class":"IN","name":"a.test.","data":"192.0.2.2"}]},)"
            R"("flags":["aa","rd","ra"],)" + json_tail);
  CHECK(printed("J", empty) ==
        json_head("empty.test.", "A") + R"(},"flags":["rd","ra"],)" + json_tail);
  CHECK(printed("J", no_such_name) ==
        json_head("nx.test.", "A", "NXDOMAIN") +
            R"("authorities":[{"ttl":300,"type":"SOA","class":"IN","name":"test.",)"
            R"("data":"ns.x. h.x. 1 2 3 4 5"}]},"flags":["rd","ra"],)" + json_tail);
  CHECK(printed("J", referral) ==
        json_head("ref.test.", "A") +
            R"("authorities":[{"ttl":300,"type":"NS","class":"IN","name":"ref.test.",)"
            R"("data":"ns1.ref.test."}],"additionals":[{"ttl":300,"type":"A","class":"IN",)"
            R"("name":"ns1.ref.test.","data":"192.0.2.1"}]},"flags":[],)" + json_tail);
  const std::string flags = printed("J", Packet{"x", 1, {}, {}, {}, 0x87b0});
  CHECK(flags.find(R"("flags":["aa","tc","rd","ra","ad","cd"],)") != flags.npos);
  CHECK(printed("J", empty.bytes(), "[2001:db8::35]:5353", Transport::tcp)
            .ends_with(R"("resolver":"[2001:db8::35]:5353","proto":"TCP"})" "\n"));
}

TEST_CASE("J with a: an answer, or name servers of the very name") {
  CHECK(printed("Ja", two_addresses) == printed("J", two_addresses));
  CHECK(printed("Ja", referral) == printed("J", referral));
  CHECK(printed("Ja", empty) == "");
  CHECK(printed("Ja", no_such_name) == "");
  CHECK(printed("Ja", Packet{"x.test", 1, {}, {record(name("test"), 2, name("ns.x"))}}) == "");
}

TEST_CASE("J with e: failures by name") {
  const std::string question = name("a\\\"b.test");
  const Failure failure{{reinterpret_cast<const uint8_t*>(question.data()), question.size()},
                        28, 1, FailureReason::timeout};
  Buffer out;
  make_formatter(*parse_output_format("Je"))->append_failure(out, failure);
  CHECK(out.view() ==
        R"({"name":"a\\\"b.test.","type":"AAAA","class":"IN","error":"TIMEOUT"})" "\n");
  for (const char* letters : {"J", "F", "S", "L", "B"}) {
    out.clear();
    make_formatter(*parse_output_format(letters))->append_failure(out, failure);
    CHECK(out.empty());
  }
}

TEST_CASE("J, TXT: data is the strings joined, as massdns has it, and each is in strings") {
  CHECK(printed("J", texts) ==
        json_head("txt.test.", "TXT") +
            R"("answers":[{"ttl":300,"type":"TXT","class":"IN","name":"txt.test.",)"
            R"("data":"onetwo three","strings":["one","two three"]}]},"flags":["rd","ra"],)" +
            json_tail);
  const auto data = [](const std::string& rdata) {
    const std::string line = printed("J", Packet{"t", 16, {record(own, 16, rdata)}});
    const size_t start = line.find("\"data\":\""), end = line.find("}]}");
    return line.substr(start, end - start);
  };
  // Two layers: RFC 1035's \DDD and \\ make it printable, JSON's escapes make it JSON.
  CHECK(data(counted("a\"b\\c") + counted("\0\n\x7f\xc3\xa4"s)) ==
        R"("data":"a\"b\\\\c\\000\\010\\127\\195\\164",)"
        R"("strings":["a\"b\\\\c","\\000\\010\\127\\195\\164"])");
  CHECK(data(counted("")) == R"("data":"","strings":[""])");
  CHECK(data("") == R"("data":"\\# 0")");
  CHECK(data("\5ab") == R"("data":"\\# 3 056162")");
}

TEST_CASE("J: names and other rdata are escaped as in text, then as JSON wants it") {
  const std::string line = printed(
      "J", Packet{"a\\.b\\\"\\255.test", 257, {record(own, 257, "\0\5issue\"\\\xff"s)}});
  CHECK(line.starts_with(R"({"name":"a\\.b\\\"\\255.test.",)"));
  CHECK(line.find(R"("data":"0 issue \"\\\"\\\\\\255\"")") != line.npos);
}

TEST_CASE("a malformed record ends the listing; what came before it is printed, and is whole") {
  const std::string good = record(own, 1, address);
  const std::string loop = record("\xc0\x35"s, 1, address);  // an owner that is its own pointer
  const std::string bad_rdata = record(own, 5, "\xc0\xff"s);
  CHECK(printed("Sn", Packet{"a.x", 1, {good, loop, good}}) == "a.x. A 192.0.2.1\n");
  CHECK(printed("Sl", Packet{"a.x", 1, {good, loop, good}}) == "a.x. A 192.0.2.1\n\n");
  CHECK(printed("S", Packet{"a.x", 1, {good, bad_rdata, good}}) ==
        "a.x. A 192.0.2.1\na.x. CNAME \\# 2 C0FF\n");
  CHECK(printed("J", Packet{"a.x", 1, {good}, {loop}}) ==
        json_head("a.x.", "A") +
            R"("answers":[{"ttl":300,"type":"A","class":"IN","name":"a.x.","data":"192.0.2.1"}]},)"
            R"("flags":["rd","ra"],)" + json_tail);
  CHECK(printed("J", Packet{"a.x", 1, {loop, good}}) ==
        json_head("a.x.", "A") + R"(},"flags":["rd","ra"],)" + json_tail);
  // An owner whose first pointer goes back, and the next one forward again: only c-ares sees it.
  const std::string forth = record(own, 65280, "\xc0\x2f"s), back = record("\xc0\x21"s, 1, address);
  const std::string packet = Packet{"a.x", 1, {forth, back, good}}.bytes();
  CHECK(printed("Sn", packet) == "a.x. TYPE65280 \\# 2 C02F\n");
  CHECK(printed("Snm", packet) == "a.x. TYPE65280 \\# 2 C02F\n");
  CHECK(printed("J", packet).find("\"answers\":[{") != std::string::npos);
  CHECK(printed("J", packet).find("192.0.2.1") == std::string::npos);
}

TEST_CASE("B: the header, then time, server, length and packet of each reply") {
  Buffer out;
  const auto formatter = make_formatter(*parse_output_format("B"));
  formatter->append_preamble(out);
  const auto u64 = [](uint64_t v) { return std::string(reinterpret_cast<const char*>(&v), 8); };
  // As a little-endian 64-bit Linux has it.
  const std::string header = "massdns\0\x78\x56\x34\x12\0\0\0\0\x08"s + u64(8) + u64(128) + u64(0) +
                             u64(2) + u64(2) + "\2\0"s + u64(4) + u64(2) + "\x0a\0"s + u64(8) +
                             u64(2);
  CHECK(out.view() == header);
  const std::string packet = two_addresses.bytes();
  const std::string four = "\2\0\0\x35\xc0\0\2\x35"s;
  const std::string time = u64(1'700'000'000);
  const std::string tail = static_cast<char>(packet.size()) + "\0"s + packet;
  CHECK(printed("B", packet) == time + four + std::string(120, '\0') + tail);
  const std::string six = "\x0a\0\0\x35\0\0\0\0\x20\1\x0d\xb8"s + std::string(11, '\0') + "\x35"s;
  CHECK(printed("B", packet, "2001:db8::35") == time + six + std::string(104, '\0') + tail);
  for (const char* letters : {"F", "S", "L", "J"}) {
    Buffer none;
    make_formatter(*parse_output_format(letters))->append_preamble(none);
    CHECK(none.empty());
  }
}

TEST_CASE("A zone transfer's message without a question: ours, and every record") {
  const std::string packet = u16(7) + u16(0x8400) + u16(0) + u16(2) + u32(0) +
                             record(name("z.test"), 6, start_of_authority) +
                             record(name("a.z.test"), 1, address);
  const Indexed message(packet);
  const Address server = *Address::parse("192.0.2.53", 53);
  const std::string asked = name("z.test");
  const auto transferred = [&](const char* letters, bool more) {
    Buffer out;
    make_formatter(*parse_output_format(letters))
        ->append_reply(out, {message.message, server, Transport::tcp, received,
                             {reinterpret_cast<const uint8_t*>(asked.data()), asked.size()},
                             type::axfr, true, more});
    return std::string(out.view());
  };
  const std::string records = "z.test. SOA ns.x. h.x. 1 2 3 4 5\na.z.test. A 192.0.2.1\n";
  CHECK(transferred("S", true) == records);
  CHECK(transferred("Snq", true) == "z.test.  AXFR\n" + records);
  CHECK(transferred("J", true).find(R"({"name":"z.test.","type":"AXFR","class":"IN",)") == 0);
  CHECK(transferred("F", true).find(";; QUESTION SECTION:\nz.test. IN AXFR\n") !=
        std::string::npos);
  // A list has the zone once, when it is complete.
  CHECK(transferred("L", true) == "");
  CHECK(transferred("L", false) == "z.test\n");
}
