#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "ringdns/framing.hpp"
#include "ringdns/rng.hpp"

using namespace ringdns;

namespace {
using Messages = std::vector<std::string>;

std::string framed(const std::string& message) {
  std::string out{static_cast<char>(message.size() >> 8), static_cast<char>(message.size())};
  return out + message;
}

Bytes bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

struct Stream {
  Framing framing;
  Messages messages;
  Framing::Outcome take(const std::string& octets) {
    std::vector<uint8_t> exact(octets.begin(), octets.end());  // so that ASan sees an overrun
    return framing.take({exact.data(), exact.size()}, [&](Bytes message) {
      messages.emplace_back(message.begin(), message.end());
      return true;
    });
  }
};
}  // namespace

TEST_CASE("REQ 20: any segmentation gives the same messages") {
  Rng rng({7});
  Messages sent;
  std::string stream;
  for (size_t size : {12, 13, 512, 4095, 4096, 4097, 65535, 12, 1232}) {
    std::string message(size, ' ');
    for (char& c : message) c = static_cast<char>(rng.next());
    sent.push_back(message);
    stream += framed(message);
  }
  SUBCASE("in one piece") {
    Stream whole;
    CHECK(whole.take(stream) == Framing::Outcome::ok);
    CHECK(whole.messages == sent);
    CHECK_FALSE(whole.framing.partial());
  }
  SUBCASE("an octet at a time") {
    Stream drip;
    for (char c : stream) REQUIRE(drip.take({c}) == Framing::Outcome::ok);
    CHECK(drip.messages == sent);
  }
  SUBCASE("at random") {
    for (int round = 0; round < 200; ++round) {
      Stream pieces;
      for (size_t at = 0; at < stream.size();) {
        size_t length = std::min<size_t>(1 + rng.below(rng.below(8) ? 40 : 20000), stream.size() - at);
        REQUIRE(pieces.take(stream.substr(at, length)) == Framing::Outcome::ok);
        at += length;
      }
      REQUIRE(pieces.messages == sent);
    }
  }
}

TEST_CASE("REQ 20: a length below a header ends the stream, wherever it is split") {
  for (int length = 0; length < 12; ++length) {
    std::string bad{0, static_cast<char>(length)};
    Stream behind;
    CHECK(behind.take(framed(std::string(20, 'm')) + bad) == Framing::Outcome::bad_length);
    CHECK(behind.messages.size() == 1);
    Stream split;
    CHECK(split.take(bad.substr(0, 1)) == Framing::Outcome::ok);
    Framing::Outcome second = split.take(bad.substr(1) + "x");
    CHECK(second == Framing::Outcome::bad_length);
    CHECK(split.messages.empty());
  }
}

TEST_CASE("a length that is only announced costs no memory; a large message's is given back") {
  Stream stream;
  CHECK(stream.take("\xff\xff") == Framing::Outcome::ok);
  CHECK(stream.framing.partial());
  CHECK(stream.framing.memory() <= 4096);
  CHECK(stream.take(std::string(65534, 'b')) == Framing::Outcome::ok);
  CHECK(stream.framing.memory() >= 65536);
  CHECK(stream.take("b") == Framing::Outcome::ok);
  CHECK(stream.messages.size() == 1);
  CHECK(stream.framing.memory() <= 4096);
}

TEST_CASE("whoever takes the messages can stop") {
  Framing framing;
  std::string stream = framed(std::string(12, '1')) + framed(std::string(12, '2'));
  int seen = 0;
  auto stop = [&](Bytes) { return ++seen, false; };
  CHECK(framing.take(bytes_of(stream), stop) == Framing::Outcome::stopped);
  CHECK(seen == 1);
}
