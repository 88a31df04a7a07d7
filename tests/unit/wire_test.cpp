#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "../packets.hpp"
#include "ringdns/wire.hpp"

using namespace ringdns;
using namespace std::string_literals;

namespace {

Bytes bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

using packets::Indexed;
using packets::record;
using packets::u16;

std::string wire(std::string_view text) {
  WireName name;
  REQUIRE(encode_name(text, name) == NameError::none);
  return std::string(reinterpret_cast<const char*>(name.octets.data()), name.length);
}

NameError error_of(std::string_view text) {
  WireName name;
  return encode_name(text, name);
}

std::string text_of(const std::string& wire_name) {
  Buffer out;
  append_name(out, bytes_of(wire_name));
  return std::string(out.view());
}

std::string header(unsigned questions, unsigned answers, unsigned authorities = 0,
                   unsigned additionals = 0, unsigned flags = 0x8180) {
  return u16(0x1234) + u16(flags) + u16(questions) + u16(answers) + u16(authorities) +
         u16(additionals);
}

const std::string question = "\3www\7example\0\0\1\0\1"s;  // at 12; "example" at 16; ends at 29
const std::string& pointer = packets::question_pointer;

std::string name_at(const Indexed& reply, size_t offset) {
  Buffer out;
  const size_t taken = append_packet_name(out, reply.message, offset);
  if (taken) return std::string(out.view()) + " " + std::to_string(taken);
  return out.empty() ? "malformed" : "malformed, with something appended";
}

// The name that stands behind www.example's question.
std::string behind_question(const std::string& encoded) {
  return name_at(Indexed(header(1, 0) + question + encoded), 29);
}

}  // namespace

TEST_CASE("names to wire") {
  CHECK(wire("www.example") == "\3www\7example\0"s);
  CHECK(wire("www.example.") == "\3www\7example\0"s);
  CHECK(wire(".") == "\0"s);
  CHECK(wire("WwW.x") == "\3WwW\1x\0"s);
  CHECK(wire("\\.") == "\1.\0"s);
  CHECK(wire("a\\.b.c") == "\3a.b\1c\0"s);
  CHECK(wire("\\000\\255\\\\\\x") == "\4\0\xff\\x\0"s);
  CHECK(wire("\xc3\xa4 *@\"") == "\6\xc3\xa4 *@\"\0"s);
  CHECK(wire(std::string_view("a\0b", 3)) == "\3a\0b\0"s);
  CHECK(wire("a\\.") == "\2a.\0"s);
}

TEST_CASE("names that cannot be encoded, each with its reason") {
  CHECK(error_of("") == NameError::empty);
  CHECK(error_of("..") == NameError::empty_label);
  CHECK(error_of(".a") == NameError::empty_label);
  CHECK(error_of("a..b") == NameError::empty_label);
  CHECK(error_of("a..") == NameError::empty_label);
  const std::string longest(63, 'x');
  CHECK(error_of(longest) == NameError::none);
  CHECK(error_of(longest + "y") == NameError::label_too_long);
  CHECK(error_of("a." + longest + "y.b") == NameError::label_too_long);
  for (std::string_view text : {"\\", "a\\", "\\1", "\\12", "\\25x", "\\256", "\\999", "a.\\"}) {
    CAPTURE(text);
    CHECK(error_of(text) == NameError::bad_escape);
  }
  CHECK(error_of(std::string(10'000'000, '.')) == NameError::empty_label);
  CHECK(describe(NameError::label_too_long) == "label longer than 63 octets");
}

TEST_CASE("255 octets of wire is the longest name, with and without a trailing dot") {
  const std::string label = std::string(63, 'x') + ".";
  const std::string three = label + label + label;  // 192 octets
  const std::string most = three + std::string(61, 'y');
  CHECK(wire(most).size() == max_name);
  CHECK(wire(most + ".") == wire(most));
  CHECK(error_of(three + std::string(62, 'y')) == NameError::name_too_long);
  CHECK(error_of(three + std::string(62, 'y') + ".") == NameError::name_too_long);
  CHECK(error_of(three + std::string(60, 'y') + ".z") == NameError::name_too_long);
  CHECK(wire(three + std::string(59, 'y') + ".z").size() == max_name);
  std::string dotted;
  for (int i = 0; i < 127; ++i) dotted += "a.";
  CHECK(wire(dotted).size() == max_name);
  CHECK(error_of(dotted + "a") == NameError::name_too_long);
  CHECK(error_of(dotted + "a.") == NameError::name_too_long);
}

TEST_CASE("names to text, escaped as RFC 1035 5.1 and dig do") {
  CHECK(text_of("\3www\7example\0"s) == "www.example.");
  CHECK(text_of("\0"s) == ".");
  CHECK(text_of("\11.\\\"();@$~\4\0 \x7f\xff\0"s) ==
        "\\.\\\\\\\"\\(\\)\\;\\@\\$~.\\000\\032\\127\\255.");
  for (int octet = 0; octet < 256; ++octet) {
    const std::string name = "\2x"s + static_cast<char>(octet) + "\0"s;
    CHECK(wire(text_of(name)) == name);
  }
  std::string worst;
  for (int i = 0; i < 3; ++i) worst += "\x3f"s + std::string(63, '\xff');
  worst += "\x3d"s + std::string(61, '\0') + "\0"s;
  CHECK(wire(text_of(worst)) == worst);
}

TEST_CASE("reverse names") {
  WireName name;
  REQUIRE(encode_reverse_name("192.0.2.10", name));
  CHECK(name.length == 25);
  const auto text = [&] {
    Buffer out;
    append_name(out, name.bytes());
    return std::string(out.view());
  };
  CHECK(text() == "10.2.0.192.in-addr.arpa.");
  REQUIRE(encode_reverse_name("2001:db8::567:89ab", name));
  CHECK(text() ==
        "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.");
  for (std::string_view bad : {"", "192.0.2", "192.0.2.1.", "x", "[::1]", "::1%lo", "1.2.3.4:53"}) {
    CAPTURE(bad);
    CHECK_FALSE(encode_reverse_name(bad, name));
  }
  CHECK_FALSE(encode_reverse_name(std::string_view("192.0.2.1\0", 10), name));
}

TEST_CASE("a query, with and without EDNS") {
  std::array<uint8_t, max_query> out;
  const std::string name = wire("www.example");
  Query query;
  query.id = 0xabcd;
  query.name = bytes_of(name);
  query.type = type::aaaa;
  const auto encoded = [&] {
    const size_t length = encode_query(query, out);
    return std::string(reinterpret_cast<const char*>(out.data()), length);
  };
  CHECK(encoded() == "\xab\xcd\1\0\0\1\0\0\0\0\0\0"s + name + "\0\x1c\0\1"s);
  query.recursion_desired = false;
  query.edns.present = true;
  CHECK(encoded() == "\xab\xcd\0\0\0\1\0\0\0\0\0\1"s + name + "\0\x1c\0\1"s +
                         "\0\0\x29\x04\xd0\0\0\0\0\0\0"s);
  const std::string nsid = "\0\3\0\0"s;
  query.edns.dnssec_ok = true;
  query.edns.udp_size = 512;
  query.edns.options = bytes_of(nsid);
  CHECK(encoded() == "\xab\xcd\0\0\0\1\0\0\0\0\0\1"s + name + "\0\x1c\0\1"s +
                         "\0\0\x29\x02\0\0\0\x80\0\0\4"s + nsid);
  Message message;
  CHECK(message.index(Bytes(out.data(), encode_query(query, out))));
  CHECK(message.has_opt());
}

TEST_CASE("RFC 1995 3: an IXFR carries the serial that the asker has") {
  std::array<uint8_t, max_query> out;
  const std::string name = wire("zone.example");
  Query query;
  query.name = bytes_of(name);
  query.type = type::ixfr;
  query.serial = 0x01020304;
  query.edns.present = true;
  Message message;
  REQUIRE(message.index(Bytes(out.data(), encode_query(query, out))));
  REQUIRE(message.records().size() == 1);
  const Record& soa = message.records()[0];
  CHECK(soa.section == Section::authority);
  CHECK(soa.type == type::soa);
  CHECK(owner_is_question(message, soa.owner));
  REQUIRE(soa.rdata_length == 22);
  CHECK(load_u32(out.data() + soa.rdata + 2) == 0x01020304);
  CHECK(message.has_opt());
}

TEST_CASE("the longest name and the most options fit a query") {
  std::array<uint8_t, max_query> out;
  const std::string name(max_name, 'x');
  const std::string options(64, 'o');
  Query query;
  query.name = bytes_of(name);
  query.edns.present = true;
  query.edns.options = bytes_of(options);
  query.serial = 1;
  CHECK(encode_query(query, out) == max_query);
}

TEST_CASE("the question of a reply is ours, or not") {
  const std::string name = wire("www.example");
  const auto matches = [&](const std::string& packet) {
    const std::vector<uint8_t> exact(packet.begin(), packet.end());
    return question_matches({exact.data(), exact.size()}, bytes_of(name), 1, 1);
  };
  const std::string good = header(1, 0) + question;
  CHECK(matches(good));
  CHECK(matches(good + "more"));
  CHECK(matches(header(1, 0) + "\3WWw\7eXAMPLe\0\0\1\0\1"s));
  CHECK_FALSE(matches(header(0, 0) + question));
  CHECK_FALSE(matches(header(2, 0) + question));
  CHECK_FALSE(matches(header(257, 0) + question));
  CHECK_FALSE(matches(header(1, 0) + "\3wwx\7example\0\0\1\0\1"s));
  CHECK_FALSE(matches(header(1, 0) + "\3www\7example\0\0\2\0\1"s));
  CHECK_FALSE(matches(header(1, 0) + "\3www\7example\0\0\1\0\3"s));
  CHECK_FALSE(matches(header(1, 0) + "\3www\7exampl\0\0\1\0\1"s));
  CHECK_FALSE(matches(header(1, 0) + "\3www\xc0\x10\7example\0\0\1\0\1"s));
  for (size_t length = 0; length < good.size(); ++length)
    CHECK_FALSE(matches(good.substr(0, length)));
  // '[' and '{' are no pair of letters, nor are '@' and '`'.
  const std::string odd = wire("[@x");
  CHECK(question_matches(bytes_of(header(1, 0) + odd + "\0\1\0\1"s), bytes_of(odd), 1, 1));
  CHECK_FALSE(question_matches(bytes_of(header(1, 0) + "\3{`x\0\0\1\0\1"s), bytes_of(odd), 1, 1));
}

TEST_CASE("a reply's records, section by section") {
  Indexed reply(header(1, 2, 1, 2) + question + record(pointer, 5, "\3web\xc0\x10"s) +
                record("\xc0\x29"s, 1, "\xc0\0\2\1"s) + record("\xc0\x10"s, 2, "\2ns\xc0\x10"s) +
                record("\0"s, 41, "opts", 1232, 0x01008000) + record("\0"s, 1, "abcd", 3));
  CHECK(reply.sound);
  CHECK_FALSE(reply.message.malformed());
  CHECK(reply.message.question_type() == 1);
  CHECK(reply.message.question_class() == 1);
  CHECK(reply.message.question_name().size() == 13);
  CHECK(reply.message.has_opt());
  CHECK(reply.message.opt_rdata().size() == 4);
  CHECK(reply.message.rcode() == 16);
  const auto records = reply.message.records();
  REQUIRE(records.size() == 4);
  CHECK(records[0].owner == 29);
  CHECK(records[0].rdata == 41);
  CHECK(records[0].rdata_length == 6);
  CHECK(records[0].ttl == 300);
  CHECK(records[1].type == 1);
  CHECK(records[1].section == Section::answer);
  CHECK(records[2].section == Section::authority);
  CHECK(records[3].section == Section::additional);
  CHECK(records[3].rr_class == 3);
  CHECK(name_at(reply, 29) == "www.example. 2");
  CHECK(name_at(reply, 41) == "web.example. 6");
  CHECK(name_at(reply, records[1].owner) == "web.example. 2");
  CHECK(match_owner(reply.message, records[0].owner) == OwnerMatch::question);
  CHECK(match_owner(reply.message, records[1].owner) == OwnerMatch::other);
}

TEST_CASE("one Message after another: nothing stays of the one before") {
  Message message;
  const std::string first = header(1, 1, 0, 1) + question + record(pointer, 1, "abcd") +
                            record("\0"s, 41, "x", 1232, 0x01000000);
  const std::string second = header(0, 0, 0, 0, 0x8185);
  REQUIRE(message.index(bytes_of(first)));
  REQUIRE(message.index(bytes_of(second)));
  CHECK(message.records().empty());
  CHECK_FALSE(message.has_opt());
  CHECK(message.opt_rdata().empty());
  CHECK(message.question_name().empty());
  CHECK(message.question_type() == 0);
  CHECK(message.rcode() == 5);
}

TEST_CASE("a message cut anywhere keeps the records before the cut") {
  const std::string a = record(pointer, 1, "abcd");
  const std::string whole = header(1, 3) + question + a + a + a;
  for (size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    Indexed reply(whole.substr(0, length));
    CHECK_FALSE(reply.sound);
    CHECK(reply.message.malformed());
    const size_t kept = length < 29 ? 0 : (length - 29) / a.size();
    CHECK(reply.message.records().size() == kept);
    CHECK(reply.message.question_name().empty() == (length < 29));
  }
  CHECK(Indexed(whole).sound);
}

TEST_CASE("counts that lie, and an RDLENGTH past the end") {
  const std::string a = record(pointer, 1, "abcd");
  CHECK_FALSE(Indexed(header(1, 65535, 65535, 65535) + question + a).sound);
  CHECK(Indexed(header(1, 65535, 65535, 65535) + question + a).message.records().size() == 1);
  CHECK(Indexed(header(1, 1) + question + a + a).message.records().size() == 1);
  CHECK_FALSE(Indexed(header(65535, 0) + question).sound);
  const std::string past = pointer + "\0\1\0\1\0\0\0\0\xff\xff"s;
  CHECK_FALSE(Indexed(header(1, 2) + question + a + past).sound);
  CHECK(Indexed(header(1, 2) + question + a + past).message.records().size() == 1);
}

TEST_CASE("as many records as 65535 octets hold") {
  std::string packet = header(0, 65535);
  while (packet.size() + 11 <= max_message) packet += record("\0"s, 1, "");
  packet.resize(70'000);
  Indexed reply(packet);
  CHECK_FALSE(reply.sound);
  CHECK(reply.message.records().size() == (max_message - 12) / 11);
  CHECK(reply.message.packet().size() == max_message);
}

TEST_CASE("OPT: one, at the root, in the additional section") {
  const std::string opt = record("\0"s, 41, "", 512);
  CHECK(Indexed(header(1, 0, 0, 1) + question + opt).sound);
  CHECK_FALSE(Indexed(header(1, 0, 0, 2) + question + opt + opt).sound);
  CHECK_FALSE(Indexed(header(1, 1) + question + opt).sound);
  CHECK_FALSE(Indexed(header(1, 0, 0, 1) + question + record(pointer, 41, "")).sound);
  Indexed kept(header(1, 0, 0, 4) + question + opt + record("\0"s, 1, "abcd") + opt +
               record("\0"s, 1, "abcd"));
  CHECK_FALSE(kept.sound);
  CHECK(kept.message.records().size() == 1);
}

TEST_CASE("names in a packet: as they are, and compressed") {
  CHECK(behind_question("\1a\2bc\0"s) == "a.bc. 6");
  CHECK(behind_question("\0"s) == ". 1");
  CHECK(behind_question(pointer) == "www.example. 2");
  CHECK(behind_question("\1a\xc0\x0c"s) == "a.www.example. 4");
  CHECK(behind_question("\xc0\x10"s) == "example. 2");
  CHECK(behind_question("\2a.\xc0\x10"s) == "a\\..example. 5");
  CHECK(behind_question("\xc0\x18"s) == ". 2");
  CHECK(behind_question("\1a\xc0\x18"s) == "a. 4");
  // c-ares has spaces and lone NULs of its own way.
  CHECK(behind_question("\3a b\xc0\x10"s) == "a\\032b.example. 6");
  CHECK(behind_question("\1\0\xc0\x10"s) == "\\000.example. 4");
  CHECK(behind_question("\1\0\xc0\x18"s) == "\\000. 4");
  CHECK(behind_question("\1a\1\0\1\0\1.\xc0\x18"s) == "a.\\000.\\000.\\.. 10");
  CHECK(behind_question("\2a.\1\0\xc0\x18"s) == "a\\..\\000. 7");
}

TEST_CASE("a bare pointer to a name that starts with a lone NUL, and one to the root") {
  const std::string odd = header(1, 0) + question + "\1\0\1b\0"s;  // at 29; the root at 33
  CHECK(name_at(Indexed(odd + "\xc0\x1d"s), 34) == "\\000.b. 2");
  CHECK(name_at(Indexed(odd + "\xc0\x21"s), 34) == ". 2");
  CHECK(name_at(Indexed(odd + "\xc0\x21\xc0\x22"s), 36) == ". 2");
  const std::string far = odd + std::string(40'000, 'x') + "\xc0\x1d"s;
  CHECK(name_at(Indexed(far), far.size() - 2) == "\\000.b. 2");
}

TEST_CASE("compressed names that lead nowhere") {
  CHECK(behind_question("\xc0\x1d"s) == "malformed");              // itself
  CHECK(behind_question("\xc0\x1f\xc0\x1d"s) == "malformed");      // forward
  CHECK(behind_question("\xc0\x1f\1a\0"s) == "malformed");         // forward, to a name
  CHECK(behind_question("\xff\xff"s) == "malformed");
  CHECK(behind_question("\xc0"s) == "malformed");
  CHECK(behind_question("\1a\xc0"s) == "malformed");
  CHECK(behind_question(""s) == "malformed");
  CHECK(behind_question("\1"s) == "malformed");
  CHECK(behind_question("\5abc\0"s) == "malformed");
  CHECK(behind_question("\1a"s) == "malformed");
  CHECK(behind_question("\x40"s + std::string(64, 'x') + "\0"s) == "malformed");
  CHECK(behind_question("\x80\0"s) == "malformed");
  CHECK(behind_question("\1a\xc0\x1d"s) == "malformed");           // to its own start
  Indexed loop(header(1, 0) + question + "\1a\xc0\x21\xc0\x1d\xc0\x21"s);
  CHECK(name_at(loop, 29) == "malformed");
  CHECK(name_at(loop, 33) == "malformed");
  CHECK(name_at(loop, 35) == "malformed");
  CHECK(match_owner(loop.message, 33) == OwnerMatch::malformed);
  // Into the header, where a label of 18 octets starts.
  CHECK(behind_question("\xc0\0"s) == "malformed");
}

TEST_CASE("a name of 255 octets can be compressed, one of 256 cannot be") {
  const std::string label = "\x3f"s + std::string(63, 'l');
  const std::string three = label + label + label;
  const auto name = [&](size_t last, const std::string& tail) {
    Indexed reply(header(1, 0) + question + three + static_cast<char>(last) +
                  std::string(last, 'm') + tail);
    return name_at(reply, 29);
  };
  CHECK(name(53, "\xc0\x10"s).ends_with("m.example. 248"));
  CHECK(name(54, "\xc0\x10"s) == "malformed");
  CHECK(name(49, pointer).ends_with("m.www.example. 244"));
  CHECK(name(50, pointer) == "malformed");
  CHECK(name(61, "\0"s).ends_with("m. 255"));
  CHECK(name(62, "\0"s) == "malformed");
  // Pointers on, each with a label before it: longer and longer, until it is too long.
  std::string packet = header(1, 0) + question;
  for (int i = 0; i < 6; ++i) {
    const size_t before = i == 0 ? 16 : packet.size() - 66;
    packet += label + u16(static_cast<unsigned>(0xc000 | before));
  }
  Indexed chain(packet);
  CHECK(name_at(chain, 29 + 2 * 66).ends_with("l.example. 66"));
  CHECK(name_at(chain, 29 + 3 * 66) == "malformed");
  CHECK(name_at(chain, 29 + 5 * 66) == "malformed");
}

TEST_CASE("pointers to pointers are followed to an end") {
  std::string packet = header(1, 0) + question;
  unsigned target = 16;
  for (int i = 0; i < 40; ++i) {
    const unsigned at = static_cast<unsigned>(packet.size());
    packet += u16(0xc000 | target);
    target = at;
  }
  CHECK(name_at(Indexed(packet), packet.size() - 2) == "example. 2");
}

TEST_CASE("a pointer reaches the first 16 KiB from anywhere") {
  std::string packet = header(1, 0) + question + std::string(60'000, '\0');
  CHECK(name_at(Indexed(packet + "\1x\xc0\x10"s), packet.size()) == "x.example. 4");
  CHECK(name_at(Indexed(packet + "\xff\xff"s), packet.size()) == ". 2");
}

TEST_CASE("the owner is the question's name, in whatever case and compression") {
  const auto match = [](const std::string& owner) {
    return match_owner(Indexed(header(1, 0) + question + owner).message, 29);
  };
  CHECK(match(pointer) == OwnerMatch::question);
  CHECK(match("\3wWw\7EXAMPLE\0"s) == OwnerMatch::question);
  CHECK(match("\3wWw\xc0\x10"s) == OwnerMatch::question);
  CHECK(match("\xc0\x10"s) == OwnerMatch::other);
  CHECK(match("\0"s) == OwnerMatch::other);
  CHECK(match("\xc0\x1d"s) == OwnerMatch::malformed);
  Indexed nothing_asked(header(0, 1) + record(pointer, 1, "abcd"));
  CHECK_FALSE(nothing_asked.sound);
  CHECK(owner_is_question(nothing_asked.message, 12) == false);
}

TEST_CASE("a question whose name points is malformed: there is nothing before it") {
  CHECK_FALSE(Indexed(header(1, 0) + "\xc0\x04\0\1\0\1"s).sound);
  CHECK_FALSE(Indexed(header(1, 0) + "\1a\xc0\x0c\0\1\0\1"s).sound);
  CHECK(Indexed(header(2, 0) + question + "\xc0\x0c\0\1\0\1"s).sound);
}
