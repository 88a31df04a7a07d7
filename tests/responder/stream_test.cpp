#include "scene.hpp"

using namespace responder;
using namespace std::chrono_literals;

namespace {
std::vector<Act> acts(const std::vector<Sent>& sent) {
  std::vector<Act> out;
  for (const Sent& one : sent) out.push_back(one.act);
  return out;
}
using Acts = std::vector<Act>;
Scene scene_of(View settings, View rule = "* answer A hash") {
  return Scene(join(settings, "\n", rule, "\n"));
}
uint16_t id_of(const Octets& bytes, size_t frame = 0) {
  return ringdns::load_u16(&bytes[frame + 2]);
}
}  // namespace

TEST_CASE("a stream is answered, message by message") {
  Scene scene = scene_of("");
  CHECK(scene.accept().empty());
  CHECK(scene.tcp({.id = 7}).id == 7);
  CHECK(scene.tcp({.id = 8, .edns_size = 65535}).counts[1] == 1);
  CHECK(scene.listener.counts.tcp_replies == 2);
}

TEST_CASE("a connection ends after so many answers") {
  struct {
    View word;
    Act act;
  } cases[] = {{"close", Act::close}, {"reset", Act::reset},
               {"half-close", Act::half_close}, {"deaf", Act::deaf}};
  for (const auto& [word, act] : cases) {
    Scene scene = scene_of(join("tcp ", word, " after 2"));
    CHECK(acts(scene.tcp_all()) == Acts{Act::send});
    CHECK(acts(scene.tcp_all()) == Acts{Act::send, act});
    CHECK(scene.tcp_all().empty());
    CHECK(acts(scene_of(join("tcp ", word, " after 0")).accept()) == Acts{act});
  }
  Scene silent = scene_of("tcp silent after 1");
  CHECK(silent.tcp_all().size() == 1);
  CHECK(silent.tcp_all().empty());
}

TEST_CASE("a connection ends as a query arrives: what a FIN that crosses it looks like") {
  Scene scene = scene_of("tcp close at 2");
  CHECK(acts(scene.tcp_all()) == Acts{Act::send});
  CHECK(acts(scene.tcp_all()) == Acts{Act::close});
}

TEST_CASE("settings are for the connections they name; later lines are stronger") {
  Scene scene = scene_of("tcp close after 1\ntcp connection 2.. close after 2\n");
  CHECK(acts(scene.tcp_all()) == Acts{Act::send, Act::close});
  scene.accept();
  CHECK(acts(scene.tcp_all()) == Acts{Act::send});
  CHECK(acts(scene.tcp_all()) == Acts{Act::send, Act::close});
  CHECK(scene_of("tcp chance 0% close after 0").accept().empty());
}

TEST_CASE("a rule sees the connection and the query's place on it") {
  Scene scene = scene_of("", "* connection 2 rcode NXDOMAIN\n"
                             "* position 2.. rcode SERVFAIL\n* answer");
  CHECK(scene.tcp().rcode() == 0);
  CHECK(scene.tcp().rcode() == 2);
  scene.accept();
  CHECK(scene.tcp().rcode() == 3);
}

TEST_CASE("a poison query ends its connection") {
  Scene scene = scene_of("", "poison.test. close\nworse.test. reset\n* answer");
  CHECK(acts(scene.tcp_all()) == Acts{Act::send});
  CHECK(acts(scene.tcp_all({"poison.test."})) == Acts{Act::close});
  CHECK(scene.tcp_all().empty());
  scene.accept();
  CHECK(acts(scene.tcp_all({"worse.test."})) == Acts{Act::reset});
}

TEST_CASE("an end waits for the answers before it, however late") {
  Scene scene = scene_of("tcp close after 2", "slow. delay 80ms answer A hash\n* answer A hash");
  scene.tcp_all({"slow."});
  auto sent = scene.tcp_all();
  CHECK(acts(sent) == Acts{Act::send, Act::close});
  CHECK((sent[0].delay == 0ms && sent[1].delay == 80ms));
}

TEST_CASE("a message cut off, then an end") {
  auto cut = scene_of("", "* stop 20 then reset answer").tcp_all();
  CHECK(acts(cut) == Acts{Act::send, Act::reset});
  CHECK(cut[0].bytes.size() == 20);
  CHECK(ringdns::load_u16(cut[0].bytes.data()) > 18);
  CHECK(acts(scene_of("", "* then reset answer").tcp_all()) == Acts{Act::send, Act::reset});
  CHECK(acts(scene_of("", "* then half-close answer").tcp_all()) ==
        Acts{Act::send, Act::half_close});
  CHECK(scene_of("", "* stop 0 answer").tcp_all().empty());
}

TEST_CASE("length prefixes that lie") {
  auto frame = [](View words) {
    return scene_of("", join("* ", words, " answer")).tcp_all()[0].bytes;
  };
  size_t good = frame("").size();
  CHECK(ringdns::load_u16(frame("length +5").data()) == good - 2 + 5);
  CHECK(ringdns::load_u16(frame("length -5").data()) == good - 2 - 5);
  CHECK(ringdns::load_u16(frame("length 9").data()) == 9);
  CHECK(frame("length 9").size() == good);
  CHECK(frame("length 65535 no-body") == Octets{0xff, 0xff});
  for (int size = 0; size < 12; ++size) {
    Octets runt = frame(join("runt ", std::to_string(size)));
    CHECK((ringdns::load_u16(runt.data()) == size && runt.size() == static_cast<size_t>(size) + 2));
  }
}

TEST_CASE("paces: a split prefix, a drip; a rule's own before the connection's") {
  auto split = scene_of("tcp split 1").tcp_all()[0].pace;
  CHECK((split.first == 1 && split.piece == 0 && split.gap == 2ms));
  auto drip = scene_of("tcp split 1", "* drip 1 every 1s answer").tcp_all()[0].pace;
  CHECK((drip.first == 0 && drip.piece == 1 && drip.gap == 1s));
}

TEST_CASE("replies held: in one piece, reversed, with ids swapped; a timer lets the rest go") {
  Scene reversed = scene_of("tcp reversed 3");
  CHECK(acts(reversed.tcp_all({.id = 1})) == Acts{Act::wake});
  CHECK(reversed.tcp_all({.id = 2}).empty());
  auto sent = reversed.tcp_all({.id = 3});
  REQUIRE(acts(sent) == Acts{Act::send});
  size_t frame = sent[0].bytes.size() / 3;
  CHECK((id_of(sent[0].bytes) == 3 && id_of(sent[0].bytes, frame) == 2 &&
         id_of(sent[0].bytes, 2 * frame) == 1));

  CHECK(acts(reversed.tcp_all({.id = 4})) == Acts{Act::wake});
  CHECK(reversed.wake(19ms).empty());
  CHECK(acts(reversed.wake(1ms)) == Acts{Act::send});

  Scene swapped = scene_of("tcp swapped-ids");
  swapped.tcp_all({"a.test.", 1, 1});
  auto pair = swapped.tcp_all({"b.test.", 1, 2})[0].bytes;
  CHECK((id_of(pair) == 2 && pair[15] == 'a' && id_of(pair, pair.size() / 2) == 1));

  Scene shuffled = scene_of("tcp shuffled 50");
  for (uint16_t id = 0; id < 49; ++id) shuffled.tcp_all({.id = id});
  auto mixed = shuffled.tcp_all({.id = 49})[0].bytes;
  std::vector<bool> seen(50);
  bool in_order = true;
  for (size_t i = 0; i < 50; ++i) {
    uint16_t id = id_of(mixed, i * mixed.size() / 50);
    REQUIRE(id < 50);
    seen[id] = true;
    in_order &= id == i;
  }
  CHECK_FALSE(in_order);
  CHECK(std::count(seen.begin(), seen.end(), true) == 50);
}

TEST_CASE("what is held goes out before the connection ends") {
  Scene scene = scene_of("tcp coalesced 10 close after 2");
  scene.tcp_all();
  CHECK(acts(scene.tcp_all()) == Acts{Act::send, Act::close});
}

TEST_CASE("one query at a time: others are ignored, or the end") {
  View slow = "* delay 50ms answer A hash";
  Scene ignoring = scene_of("tcp one-at-a-time ignore", slow);
  CHECK(ignoring.tcp_all().size() == 1);
  CHECK(ignoring.tcp_all().empty());
  ignoring.now += 51ms;
  CHECK(ignoring.tcp_all().size() == 1);
  Scene closing = scene_of("tcp one-at-a-time close", slow);
  closing.tcp_all();
  CHECK(acts(closing.tcp_all()) == Acts{Act::close});
}

TEST_CASE("copies, forgeries, unsolicited replies") {
  CHECK(scene_of("", "* copies 2 answer").tcp_all().size() == 2);
  auto spoofed = scene_of("", "* spoof 3 answer").tcp_all({.id = 5});
  REQUIRE(spoofed.size() == 4);
  CHECK((id_of(spoofed[0].bytes) != 5 && id_of(spoofed[3].bytes) == 5));
  CHECK(scene_of("", "* spoof 3 by-port spoof 2 by-address answer").tcp_all({.id = 5}).size() == 1);
  CHECK(scene_of("", "* spoof 2 by-name answer").tcp_all({.id = 5}).size() == 3);
  auto unsolicited = scene_of("tcp unsolicited 2").accept();
  REQUIRE(unsolicited.size() == 2);
  CHECK(ringdns::load_u16(unsolicited[0].bytes.data()) + 2u == unsolicited[0].bytes.size());
}

TEST_CASE("no DNS at all: banners") {
  auto http = scene_of("tcp banner http").tcp_all();
  CHECK(acts(http) == Acts{Act::send, Act::close});
  CHECK(std::string(http[0].bytes.begin(), http[0].bytes.begin() + 4) == "HTTP");
  CHECK(scene_of("tcp banner tls").tcp_all()[0].bytes[0] == 21);
  CHECK(acts(scene_of("tcp banner smtp").accept()) == Acts{Act::send});
}

TEST_CASE("edns-tcp-keepalive, where asked for or not") {
  Ask asking{.edns_size = 1232, .options = {0, 11, 0, 0}};
  auto option = [](const Reply& reply) {
    Octets tail(reply.all.end() - 6, reply.all.end());
    return tail[0] == 0 && tail[1] == 11 && tail[3] == 2 ? tail[4] << 8 | tail[5] : -1;
  };
  for (int value : {0, 1, 65535})
    CHECK(option(scene_of(join("tcp keepalive ", std::to_string(value))).tcp(asking)) == value);
  CHECK(option(scene_of("tcp keepalive 7").tcp({.edns_size = 1232})) == -1);
  CHECK(option(scene_of("tcp keepalive 7 unasked").tcp({.edns_size = 1232})) == 7);
  CHECK(option(scene_of("").tcp(asking)) == -1);
}

TEST_CASE("an idle connection is closed, a busy one is not") {
  Scene scene = scene_of("tcp idle 5s");
  auto first = scene.accept();
  REQUIRE(acts(first) == Acts{Act::wake});
  CHECK(first[0].delay == 5s);
  scene.now += 3s;
  scene.tcp_all();
  auto second = scene.wake(2s);
  REQUIRE(acts(second) == Acts{Act::wake});
  CHECK(second[0].delay == 3s);
  CHECK(acts(scene.wake(3s)) == Acts{Act::close});
  CHECK(scene.wake(9s).empty());
}

TEST_CASE("a runt or a reply ends the connection; a malformed query gets FORMERR") {
  Scene scene = scene_of("");
  Octets bytes = make_query({});
  auto send = [&](Octets message) {
    scene.accept();
    on_message(scene.listener, scene.stream, message, scene.now, scene.actions);
    return scene.take();
  };
  CHECK(acts(send(Octets(bytes.begin(), bytes.begin() + 11))) == Acts{Act::close});
  CHECK(acts(send({})) == Acts{Act::close});
  Octets cut(bytes.begin(), bytes.end() - 1);
  CHECK(acts(send(cut)) == Acts{Act::send});
  bytes[2] |= 0x80;
  CHECK(acts(send(bytes)) == Acts{Act::close});
}

TEST_CASE("a transfer: records between two SOAs, over messages of bounded size") {
  auto sent = scene_of("", "test. AXFR transfer 5000").tcp_all({"test.", 252, 77});
  REQUIRE(sent.size() == 1);
  const Octets& all = sent[0].bytes;
  size_t messages = 0, records = 0;
  for (size_t at = 0; at < all.size();) {
    size_t length = ringdns::load_u16(&all[at]);
    REQUIRE(at + 2 + length <= all.size());
    CHECK(ringdns::load_u16(&all[at + 2]) == 77);
    records += ringdns::load_u16(&all[at + 2 + 6]);
    ++messages;
    at += 2 + length;
  }
  CHECK(records == 5002);
  CHECK(messages > 3);
}
