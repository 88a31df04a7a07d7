#include "scene.hpp"

using namespace responder;
using namespace std::chrono_literals;

namespace {
Reply with(View modifiers, const Ask& ask = {}, View action = "answer A 192.0.2.1") {
  return Scene(join("* ", modifiers, " ", action)).udp(ask);
}
}  // namespace

TEST_CASE("answer A hash can be computed again, whatever the case of the name") {
  Scene scene("* answer A hash ; AAAA hash");
  uint32_t hash = 2166136261u;
  for (char c : std::string("www.test.")) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619u;
  for (View name : {"www.test.", "WwW.tESt."}) {
    Reply reply = scene.udp({name});
    CHECK(reply.id == 0x1234);
    CHECK(reply.flags == 0x8580);  // QR AA RD RA
    CHECK(reply.counts[1] == 1);
    CHECK(reply.u32(reply.all.size() - 4) == (10u << 24 | (hash & 0xffffff)));
    // The question comes back as it was spelt.
    Octets query = make_query({name});
    CHECK(std::equal(query.begin() + 12, query.end(), reply.all.begin() + 12));
    Reply v6 = scene.udp({name, 28});
    CHECK(v6.u32(v6.all.size() - 16) == 0x20010db8);
    CHECK(v6.u32(v6.all.size() - 4) == hash);
  }
}

TEST_CASE("the fast path and the general one answer alike") {
  for (int edns : {-1, 1232})
    for (uint16_t type : {1, 28}) {
      Ask ask{"a.Test.", type, 9, edns};
      CHECK(Scene("* answer A hash").udp(ask).all ==
            Scene("* first 99 answer A hash").udp(ask).all);
    }
}

TEST_CASE("another type than the answer's gets an empty NOERROR; a CNAME leads on") {
  Scene scene("* answer CNAME b.test. ; b.test. A 192.0.2.1 ; authority test. NS ns.test. ; "
              "additional ns.test. A 192.0.2.2");
  Reply a = scene.udp();
  CHECK((a.counts[1] == 2 && a.counts[2] == 1 && a.counts[3] == 1));
  Reply mx = scene.udp({.type = 15});
  CHECK((mx.rcode() == 0 && mx.counts[1] == 1));
  CHECK(Scene("* answer A 192.0.2.1").udp({.type = 28}).counts[1] == 0);
  CHECK(Scene("* answer A 192.0.2.1").udp({.type = 255}).counts[1] == 1);
  CHECK(Scene("* as-is answer A 192.0.2.1").udp({.type = 28}).counts[1] == 1);
}

TEST_CASE("a record's class is the question's, or its own") {
  const auto class_of = [](View record) {
    Reply reply = Scene(join("* answer ", record)).udp({"x."});
    return reply.u16(12 + 3 + 4 + 4);
  };
  CHECK(class_of("A hash") == 1);
  CHECK(class_of("CH A hash") == 3);
  CHECK(class_of("@ 60 CLASS254 A 192.0.2.1") == 254);
}

TEST_CASE("an OPT answers an OPT: 1232, DO, NSID where asked for") {
  CHECK(with("").counts[3] == 0);
  Reply plain = with("", {.edns_size = 4096});
  CHECK(plain.counts[3] == 1);
  CHECK(plain.u16(plain.all.size() - 8) == 1232);
  Reply nsid = with("", {.edns_size = 4096, .options = {0, 3, 0, 0}});
  CHECK(std::string(nsid.all.end() - 9, nsid.all.end()) == "responder");
  CHECK(with("no-opt", {.edns_size = 4096}).counts[3] == 0);
  CHECK(with("opt").counts[3] == 1);
  CHECK(with("two-opts", {.edns_size = 4096}).counts[3] == 2);
}

TEST_CASE("queries out of order") {
  Scene scene("* answer A hash");
  auto send = [&](Octets bytes) {
    on_datagram(scene.listener, scene.query, bytes, scene.now, scene.actions);
    return scene.take();
  };
  Octets good = make_query({.edns_size = 1232});
  for (size_t size = 0; size < 12; ++size)
    CHECK(send(Octets(good.begin(), good.begin() + size)).empty());
  for (size_t size = 12; size < good.size(); ++size) {
    auto sent = send(Octets(good.begin(), good.begin() + size));
    REQUIRE(sent.size() == 1);
    CHECK((sent[0].bytes.size() == 12 && Reply(sent[0].bytes).rcode() == 1));
  }
  Octets reply = good, notify = good, pointer = good, two = good, version = good, octet = good;
  reply[2] |= 0x80;
  CHECK(send(reply).empty());
  notify[2] |= 4 << 3;
  CHECK(Reply(send(notify)[0].bytes).rcode() == 4);
  pointer[12] = 0xc0;
  CHECK(Reply(send(pointer)[0].bytes).rcode() == 1);
  two[5] = 2;
  CHECK(Reply(send(two)[0].bytes).rcode() == 1);
  version[good.size() - 5] = 1;
  Reply badvers(send(version)[0].bytes);
  CHECK((badvers.rcode() == 0 && badvers.all[badvers.all.size() - 6] == 1));  // 16, extended
  octet.push_back(0);
  CHECK(Reply(send(octet)[0].bytes).rcode() == 1);
}

TEST_CASE("any octets at all are survived") {
  Scene scene("* answer A hash\n");
  Rng rng({1, 2, 3});
  for (int i = 0; i < 50000; ++i) {
    Octets bytes = make_query({.edns_size = 1232, .options = {0, 3, 0, 0, 0, 10, 0, 1, 7}});
    for (uint32_t n = rng.below(4) + 1; n; --n)
      bytes[rng.below(static_cast<uint32_t>(bytes.size()))] = static_cast<uint8_t>(rng.next());
    bytes.resize(rng.below(8) ? bytes.size() : rng.below(static_cast<uint32_t>(bytes.size())));
    Octets exact(bytes);
    exact.shrink_to_fit();
    on_datagram(scene.listener, scene.query, exact, scene.now, scene.actions);
    on_message(scene.listener, scene.stream, exact, scene.now, scene.actions);
    scene.stream = StreamState{};
    scene.actions.clear();
  }
}

TEST_CASE("truncation: by rule, its three bodies; TCP gets the real answer") {
  Scene scene("empty. truncate\nfull. truncate full answer A 192.0.2.1\n"
              "cut. truncate cut answer A 192.0.2.1\n");
  Reply empty = scene.udp({"empty."});
  CHECK((empty.tc() && empty.counts[1] == 0));
  CHECK(scene.tcp({"empty."}).counts[1] == 1);
  Reply full = scene.udp({"full."});
  CHECK((full.tc() && full.counts[1] == 1));
  CHECK(full.u32(full.all.size() - 4) == 0xc0000201);
  Reply cut = scene.udp({"cut."});
  CHECK((cut.tc() && cut.counts[1] == 1 && cut.all.size() < 12 + 9 + 16));
  CHECK(cut.all.size() > 12 + 9);
  CHECK_FALSE(scene.tcp({"cut."}).tc());
}

TEST_CASE("truncation: a reply larger than the query's size; exact sizes") {
  Scene scene("* answer TXT size 1500");
  for (int edns : {-1, 512, 1232, 1499}) {
    Reply reply = scene.udp({.type = 16, .edns_size = edns});
    CHECK((reply.tc() && reply.counts[1] == 0 && reply.all.size() < 512));
  }
  Reply whole = scene.udp({.type = 16, .edns_size = 1500});
  CHECK((!whole.tc() && whole.all.size() == 1500));
  CHECK(scene.tcp({.type = 16}).all.size() == 1500);
  CHECK(Scene("* oversize answer TXT size 1500").udp({.type = 16}).all.size() == 1500);
  CHECK(Scene("* oversize drop-above 1499 answer TXT size 1500").udp_silent({.type = 16}));
  CHECK_FALSE(Scene("* drop-above 1500 oversize answer TXT size 1500").udp_silent({.type = 16}));
  for (size_t size : {600u, 4000u, 65535u})
    CHECK(Scene(join("* answer TXT size ", std::to_string(size)))
              .tcp({.type = 16}).all.size() == size);
}

TEST_CASE("identity faults") {
  CHECK(with("wrong-id").id != 0x1234);
  CHECK_FALSE(with("not-a-reply").qr());
  CHECK((with("wrong-opcode").flags >> 11 & 15) == 2);
  Reply name = with("wrong-name");
  CHECK((name.all[13] != 'w' && name.all[14] == 'w'));
  CHECK(with("wrong-type").u16(22) != 1);
  CHECK(with("wrong-class").u16(24) != 1);
  CHECK(with("no-question").counts[0] == 0);
  CHECK(with("two-questions").counts[0] == 2);
  Reply flipped = with("flip-case", {"wWw.1est."});
  CHECK(std::string(flipped.all.begin() + 13, flipped.all.begin() + 16) == "WwW");
  Reply bare = with("header-only", {.edns_size = 1232}, "rcode FORMERR");
  CHECK((bare.all.size() == 12 && bare.rcode() == 1 && bare.counts[0] == 0));
  CHECK((with("tc").tc() && with("tc").counts[1] == 1));
  CHECK((with("no-aa no-ra").flags & 0x0480) == 0);
  CHECK((with("ad").flags & 0x0030) == 0x0020);
  CHECK((with("cd").flags & 0x0030) == 0x0010);
}

TEST_CASE("where a reply seems to come from") {
  auto source = [](View word) {
    return Scene(join("* ", word, " answer")).udp_all({})[0].source;
  };
  CHECK(source("wrong-port") == Source::other_port);
  CHECK(source("wrong-address") == Source::other_address);
  CHECK(source("opt") == Source::own);
}

TEST_CASE("rcodes with and without OPT") {
  Ask edns{.edns_size = 1232};
  CHECK((with("", edns, "rcode FORMERR").counts[3] == 1));
  CHECK((with("no-opt", edns, "rcode FORMERR").counts[3] == 0));
  Reply badvers = with("", edns, "rcode BADVERS");
  CHECK((badvers.rcode() == 0 && badvers.all[badvers.all.size() - 6] == 1));
  Reply soa = with("", {}, "rcode NXDOMAIN ; authority test. SOA ns. h. 1 2 3 4 5");
  CHECK((soa.rcode() == 3 && soa.counts[1] == 0 && soa.counts[2] == 1));
}

TEST_CASE("malformed names") {
  auto owner = [](View kind) { return with(join("bad-owner ", kind)); };
  constexpr uint16_t here = 0xc000 | records_at;
  CHECK(owner("self").u16(records_at) == here);
  CHECK((owner("loop").all[records_at] == 1 && owner("loop").u16(records_at + 2) == here));
  CHECK(owner("forward").u16(records_at + 2) == here + 4);
  CHECK(owner("past-end").u16(records_at) == 0xffff);
  CHECK(owner("long-label").all[records_at] == 64);
  CHECK(owner("long-name").all.size() == records_at + 321 + 14);
  Reply rdata = with("bad-rdata self", {.type = 5}, "answer CNAME x.");
  CHECK(rdata.u16(rdata.all.size() - 2) == (0xc000 | (rdata.all.size() - 2)));
}

TEST_CASE("malformed messages") {
  Reply counts = with("huge-counts");
  CHECK((counts.counts[0] == 1 && counts.counts[1] == 0xffff && counts.counts[3] == 0xffff));
  CHECK(with("rdlength-past-end").u16(records_at + 10) > 1000);
  CHECK(with("ttl 2147483649").u32(records_at + 6) == 0x80000001);
  CHECK(with("trailing 9").all.size() == with("").all.size() + 9);
  CHECK(with("cut 3").all.size() == with("").all.size() - 3);
  CHECK(with("as-is", {}, "answer TYPE65280 \\# 2 abcd").u16(records_at + 2) == 65280);
  for (int size : {0, 1, 11}) {
    auto sent = Scene(join("* runt ", std::to_string(size), " answer")).udp_all({});
    CHECK((sent.size() == 1 && sent[0].bytes.size() == static_cast<size_t>(size)));
  }
}

TEST_CASE("several replies: copies, forgeries in front, the full one behind") {
  auto copies = Scene("* copies 3 every 5ms answer").udp_all({});
  REQUIRE(copies.size() == 3);
  CHECK(copies[2].bytes == copies[0].bytes);
  CHECK((copies[1].delay == 5ms && copies[2].delay == 10ms));

  auto spoofed = Scene("* spoof 20 answer").udp_all({});
  REQUIRE(spoofed.size() == 21);
  for (int i = 0; i < 20; ++i) CHECK(Reply(spoofed[i].bytes).id != 0x1234);
  CHECK(Reply(spoofed[20].bytes).id == 0x1234);

  auto kinds = Scene("* spoof 1 by-port spoof 2 by-address spoof 1 by-name spoof 1 by-type "
                     "delay 3ms answer A 192.0.2.1").udp_all({});
  REQUIRE(kinds.size() == 6);
  for (int i = 0; i < 5; ++i) {
    CHECK((Reply(kinds[i].bytes).id == 0x1234 && kinds[i].delay == 3ms));
    CHECK(kinds[i].bytes.back() == 66);
  }
  CHECK((kinds[0].source == Source::other_port && kinds[1].source == Source::other_address &&
         kinds[2].source == Source::other_address && kinds[3].source == Source::own));
  CHECK((kinds[5].source == Source::own && kinds[5].bytes.back() == 1));
  // The same but for a letter of the question, or its type.
  CHECK(kinds[3].bytes.size() == kinds[5].bytes.size());
  CHECK(kinds[3].bytes[13] != kinds[5].bytes[13]);
  CHECK(kinds[4].bytes[13] == kinds[5].bytes[13]);

  auto late = Scene("* late-full 50ms truncate answer A 192.0.2.1").udp_all({});
  REQUIRE(late.size() == 2);
  CHECK((Reply(late[0].bytes).tc() && !Reply(late[1].bytes).tc() && late[1].delay == 50ms));
}

TEST_CASE("delays") {
  CHECK(Scene("* delay 1500ms answer").udp_all({})[0].delay == 1500ms);
  Scene scene("* delay 10ms to 20ms answer");
  Duration least = 1s, most{};
  for (int i = 0; i < 200; ++i) {
    Duration delay = scene.udp_all({})[0].delay;
    least = std::min(least, delay), most = std::max(most, delay);
  }
  CHECK((least >= 10ms && least < 11ms && most > 19ms && most <= 20ms));
}

TEST_CASE("over UDP a transfer is FORMERR, and a connection's end is silence") {
  CHECK(Scene("* transfer 5").udp({.type = 252}).rcode() == 1);
  CHECK(Scene("* close").udp_silent());
  CHECK(Scene("* reset").udp_silent());
}
