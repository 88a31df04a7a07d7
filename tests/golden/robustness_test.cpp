// Packets damaged at random, through the index and all formatters. Run it under sanitizers.
#include <doctest/doctest.h>

#include <cstdlib>
#include <random>

#include "../packets.hpp"
#include "../unit/rdata_samples.hpp"
#include "json_check.hpp"
#include "ringdns/output.hpp"

using namespace ringdns;
using namespace packets;
using namespace std::string_literals;

namespace {

std::string sample_record(const RdataSample& sample, const std::string& owner) {
  return record(owner, sample.type, from_hex(sample.hex));
}

std::vector<std::string> sound_packets() {
  std::vector<std::string> out;
  const std::string opt = record("\0"s, 41, "\0\3\0\2id"s, 1232, 0x8000);
  for (const RdataSample& sample : dig_samples)
    out.push_back(Packet{"www.example", sample.type,
                         {sample_record(sample, question_pointer),
                          sample_record(sample, "\1x\xc0\x10"s)},
                         {record("\xc0\x10"s, 2, "\2ns\xc0\x10"s)},
                         {record("\2ns\xc0\x10"s, 1, "abcd"), opt}}.bytes());
  Packet all{"\\000.a\\.b", 255, {}, {}, {opt}};
  for (const RdataSample& sample : dig_samples)
    all.answers.push_back(sample_record(sample, "\1\0\xc0\x0e"s));
  out.push_back(all.bytes());
  return out;
}

class Mutator {
 public:
  explicit Mutator(uint32_t seed) : random_(seed), corpus_(sound_packets()) {}

  std::string next() {
    std::string packet = corpus_[below(corpus_.size())];
    if (below(50) == 0) packet = noise();
    for (size_t changes = below(6); changes > 0 && !packet.empty(); --changes) change(packet);
    return packet;
  }
  size_t below(size_t limit) { return random_() % limit; }

 private:
  char octet() { return static_cast<char>(random_()); }

  std::string noise() {
    std::string out(below(600), '\0');
    for (char& c : out) c = below(3) ? octet() : static_cast<char>(below(4) * 0x40);
    return out;
  }

  void change(std::string& packet) {
    const size_t at = below(packet.size());
    switch (below(8)) {
      case 0: packet[at] = octet(); break;
      case 1: packet[at] = static_cast<char>(packet[at] ^ 1 << below(8)); break;
      case 2: packet.resize(at); break;
      case 3: packet.erase(at, below(16)); break;
      case 4: packet.insert(at, below(32), octet()); break;
      case 5: point(packet, at); break;
      case 6: change_count(packet); break;
      case 7: packet += corpus_[below(corpus_.size())].substr(12 + below(17)); break;
    }
  }

  void change_count(std::string& packet) {
    const size_t at = 4 + below(8);
    if (at < packet.size()) packet[at] = below(2) ? octet() : static_cast<char>(below(3));
  }

  // A compression pointer, to anywhere in the packet or just behind.
  void point(std::string& packet, size_t at) {
    packet.replace(at, 2, u16(static_cast<unsigned>(0xc000 | below(packet.size() + 4))));
  }

  std::mt19937 random_;
  const std::vector<std::string> corpus_;
};

bool printable(std::string_view text) {
  for (unsigned char c : text)
    if (c >= 0x7f || (c < 0x20 && c != '\n' && c != '\t')) return false;
  return true;
}

bool three_fields(std::string_view lines) {
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    const size_t first = line.find(' ');
    const size_t second = first == line.npos ? line.npos : line.find(' ', first + 1);
    if (second == line.npos || first == 0 || second + 1 == line.size()) return false;
    if (line[first - 1] != '.') return false;  // names end so, and hold no blank
    lines.remove_prefix(line.size() + 1);
  }
  return true;
}

bool json_line(std::string_view line) {
  return line.ends_with("}\n") && JsonCheck::valid(line.substr(0, line.size() - 1));
}

// What a name's text is must encode to a name again.
bool name_or_nothing(const Message& message, size_t offset) {
  Buffer out;
  const size_t taken = append_packet_name(out, message, offset);
  if (taken == 0) return out.empty();
  WireName name;
  Buffer again;
  if (encode_name(out.view(), name) != NameError::none) return false;
  append_name(again, name.bytes());
  return again.view() == out.view() && offset + taken <= message.packet().size();
}

}  // namespace

TEST_CASE("the JSON check knows JSON") {
  for (const char* good : {"{}", "[]", "0", "10", "\"\"", R"({"a":[1,"x\\\"",{"b":{}}]})", "true",
                           "0.5", "10.025", "\"\\u00e9\""})
    CHECK(JsonCheck::valid(good));
  for (const char* bad : {"", "{", "}", "{}{}", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{a:1}",
                          "01", "-", "\"", "\"\\x\"", "\"\\", "\"\x80\"", "\"\n\"", "[1 2]", "{} ",
                          "\"a\"b\"", "tru", "1.", ".5", "0.", "00.5", "1e5",
                          "\"\\u00g9\"", "\"\\u00\"", "\"\\u", "[[[[[[[[[[]]]]]]]]]]"}) {
    CAPTURE(bad);
    CHECK_FALSE(JsonCheck::valid(bad));
  }
}

TEST_CASE("the packets that are damaged are sound before") {
  for (const std::string& packet : sound_packets()) {
    const Indexed reply(packet);
    CHECK(reply.sound);
    CHECK(reply.message.has_opt());
  }
}

TEST_CASE("damaged packets: no crash, and every output keeps its form") {
  // Sanitizers are slow, and see the fuzz targets' corpora as well.
  const int rounds = std::getenv("RINGDNS_SANITIZED") ? 60'000 : 300'000;
  constexpr const char* formats[] = {"S", "Sntlisqrum", "F", "L0", "J", "Ja", "B", "Z"};
  std::vector<std::unique_ptr<Formatter>> formatters;
  for (const char* letters : formats)
    formatters.push_back(make_formatter(*parse_output_format(letters)));
  const Address server = *Address::parse("[2001:db8::1]:53", 53);
  Mutator mutator(20240229);
  Message message;
  Buffer out;
  int sound = 0, with_records = 0;
  for (int round = 0; round < rounds; ++round) {
    const std::string text = mutator.next();
    const auto packet = std::make_unique<uint8_t[]>(text.size());
    std::copy(text.begin(), text.end(), packet.get());
    sound += message.index({packet.get(), text.size()});
    with_records += !message.records().empty();

    bool good = true;
    for (size_t format = 0; format < std::size(formats); ++format) {
      out.clear();
      formatters[format]->append_reply(out, {message, server, Transport::udp, UnixTime{}});
      switch (formats[format][0]) {
        case 'B': good &= out.size() == 8 + 128 + 2 + message.packet().size(); break;
        case 'J': good &= out.empty() || json_line(out.view()); break;
        case 'Z': good &= JsonCheck::valid('{' + std::string(out.view()) + '}'); break;
        default: good &= printable(out.view()) && (out.empty() || out.view().ends_with('\n'));
      }
      if (format == 0) good &= three_fields(out.view());
      CAPTURE(formats[format]);
      if (!good) FAIL("round ", round, ": ", std::string(out.view()));
    }
    for (int names = 0; names < 4; ++names)
      if (!name_or_nothing(message, mutator.below(text.size() + 2))) FAIL("a name, round ", round);
  }
  // The test reaches what it is for.
  CHECK(sound > rounds / 10);
  CHECK(sound < rounds / 10 * 9);
  CHECK(with_records > rounds / 2);
}

TEST_CASE("a message of pointers that c-ares must refuse costs one refusal, not thousands") {
  // Labels that fill the message, run through fifty times over, at every owner: with c-ares 1.18
  // a reading of all of them takes seconds.
  std::string packet = Packet{"www.example"}.bytes();
  std::string labels;
  while (labels.size() < 16'000) labels += "\1x";
  const size_t start = packet.size() + 11;
  labels += u16(static_cast<unsigned>(0xc000 | start));
  packet += record("\0"s, 65280, labels);
  int count = 1;
  for (; packet.size() < 65'000; ++count)
    packet += record(u16(static_cast<unsigned>(0xc000 | start)), 1, "abcd");
  packet.replace(6, 2, u16(static_cast<unsigned>(count)));
  const Indexed reply(packet);
  REQUIRE(reply.sound);
  REQUIRE(reply.message.records().size() == static_cast<size_t>(count));
  const Address server = *Address::parse("192.0.2.1", 53);
  for (const char* letters : {"S", "Sn", "F", "J", "Ja", "Z"}) {
    Buffer out;
    make_formatter(*parse_output_format(letters))
        ->append_reply(out, {reply.message, server, Transport::udp, UnixTime{}});
    CHECK(out.view().find("97.98.99.100") == std::string_view::npos);
  }
}
