#include "scene.hpp"

using namespace responder;
using namespace std::chrono_literals;

TEST_CASE("words: blanks, quotes, comments") {
  CHECK(*split_words("a  \tb # c") == std::vector<std::string>{"a", "b"});
  CHECK(*split_words("\"a b\" c#d \\# 0\r") == std::vector<std::string>{"a b", "c#d", "\\#", "0"});
  CHECK(split_words("# all").value().empty());
  CHECK_FALSE(split_words("\"open"));
}

TEST_CASE("numbers, ranges, times and shares") {
  CHECK(parse_range("5") == Range{5, 5});
  CHECK(parse_range("5..8") == Range{5, 8});
  CHECK(parse_range("..8") == Range{0, 8});
  CHECK(parse_range("5..") == Range{5, UINT64_MAX});
  for (View bad : {"", "..", "8..5", "x", "5..x"}) CHECK_FALSE(parse_range(bad));
  CHECK(parse_duration("1.5s") == Duration(1500ms));
  CHECK(parse_duration("200us") == Duration(200us));
  for (View bad : {"", "5", "ms", "-1ms", "1e3", "inf", "5m", "999999999999s"})
    CHECK_FALSE(parse_duration(bad));
  CHECK(parse_percent("50%") == always / 2);
  CHECK(parse_percent("100%") == always);
  for (View bad : {"50", "101%", "-1%", "nan%", "%"}) CHECK_FALSE(parse_percent(bad));
}

TEST_CASE("names") {
  CHECK(parse_name(".") == Octets{0});
  CHECK(parse_name("a.B.") == Octets{1, 'a', 1, 'B', 0});
  CHECK(parse_name("\\.\\065.") == Octets{2, '.', 'A', 0});
  std::string label(63, 'x');
  CHECK(parse_name(label + "."));
  CHECK(parse_name(label + "." + label + "." + label + "." + std::string(61, 'x') + "."));
  CHECK_FALSE(parse_name(label + "." + label + "." + label + "." + std::string(62, 'x') + "."));
  for (const std::string& bad : {std::string(""), std::string("a"), std::string("a.."),
                                 std::string(".a."), join("x", label, "."), std::string("\\"),
                                 std::string("\\25."), std::string("\\256.")})
    CHECK_FALSE_MESSAGE(parse_name(bad), bad);
}

TEST_CASE("rdata") {
  using W = std::vector<std::string>;
  CHECK(parse_rdata(1, W{"192.0.2.1"}) == Octets{192, 0, 2, 1});
  CHECK(parse_rdata(15, W{"10", "m."}) == Octets{0, 10, 1, 'm', 0});
  CHECK(parse_rdata(16, W{"a b", ""}) == Octets{3, 'a', ' ', 'b', 0});
  CHECK(parse_rdata(257, W{"0", "issue", "x"}) == Octets{0, 5, 'i', 's', 's', 'u', 'e', 'x'});
  CHECK(parse_rdata(43, W{"1", "8", "2", "AB", "cd"}) == Octets{0, 1, 8, 2, 0xab, 0xcd});
  CHECK(parse_rdata(65280, W{"\\#", "2", "c00c"}) == Octets{0xc0, 0x0c});
  CHECK(parse_rdata(1, W{"\\#", "0"}) == Octets{});
  for (const auto& [type, words] : std::vector<std::pair<uint16_t, W>>{
           {1, {"192.0.2"}}, {1, {}}, {1, {"1.2.3.4", "x"}}, {15, {"70000", "m."}},
           {15, {"1", "m"}},
           {16, {}}, {16, {std::string(256, 'x')}}, {43, {"1", "8", "2", "abc"}},
           {65280, {"x"}}, {46, {"x"}}, {1, {"\\#", "3", "c00c"}}, {1, {"\\#"}}})
    CHECK_FALSE_MESSAGE(parse_rdata(type, words), type);
}

TEST_CASE("a line that cannot be understood is named by its number") {
  auto error = [](View text) { return parse_plan(text).error; };
  CHECK(error("") == "");
  CHECK(error("# nothing\n\n* drop") == "");
  CHECK(error("* drop\n* dorp\n").starts_with("line 2: expected an action"));
  CHECK(error("test drop").starts_with("line 1: expected a name that ends in a dot"));
  CHECK(error("* answer A 1.2.3").starts_with("line 1: bad rdata of type A"));
  CHECK(error("* answer A hash hash").starts_with("line 1: bad rdata"));
  CHECK(error("* answer MX hash").starts_with("line 1: bad rdata"));
  CHECK(error("* drop twice").starts_with("line 1: \"twice\" after the end"));
  CHECK(error("* \"drop").starts_with("line 1: a quote"));
  for (View bad : {"* over sctp drop", "* first 0 drop", "* delay 5 drop",
                   "* delay 5ms to 1ms drop", "* share 5 drop", "* rcode NOPE", "* truncate half",
                   "* bad-owner odd drop", "* drip 1 answer", "* then", "*", "server", "server 0",
                   "server x", "fault", "fault loss-in", "fault rain 5%", "udp open", "tcp",
                   "tcp drip 0 every 1s", "tcp close", "tcp close 5", "tcp close at 0",
                   "tcp reversed 1", "tcp banner ftp", "tcp keepalive 65536", "tcp idle",
                   "* runt 65536 drop", "* length x drop", "* answer A hash ;", "* answer ;",
                   "* transfer x", "server 1 2", "* tries drop", "* during 1s 2s drop",
                   "* answer TXT size 65536", "* class XX drop", "* class CLASS65536 drop",
                   "* answer CLASS A 192.0.2.1"})
    CHECK_MESSAGE(error(bad) != "", bad);
}

TEST_CASE("patterns: a name alone, below a name, every name; case does not matter") {
  Scene scene("a.test. rcode YXDOMAIN\n*.Test. rcode NXDOMAIN\n* rcode NOTIMP\n");
  CHECK(scene.udp({"A.tesT."}).rcode() == 6);
  CHECK(scene.udp({"b.a.test."}).rcode() == 3);
  CHECK(scene.udp({"c.test."}).rcode() == 3);
  CHECK(scene.udp({"test."}).rcode() == 4);
  CHECK(scene.udp({"."}).rcode() == 4);
  CHECK(scene.udp({"atest."}).rcode() == 4);
  CHECK(scene.udp({"a\\.test."}).rcode() == 4);
}

TEST_CASE("the first rule that matches wins, however deep") {
  Scene scene("*.a.test. MX rcode NXDOMAIN\n*.test. rcode SERVFAIL\n*.a.test. rcode NOTIMP\n");
  CHECK(scene.udp({"x.a.test.", 15}).rcode() == 3);
  CHECK(scene.udp({"x.a.test.", 1}).rcode() == 2);
  CHECK(scene.udp({"x.other."}).rcode() == 5);  // no rule: REFUSED
  CHECK(scene.listener.counts.no_rule == 1);
}

TEST_CASE("a server's section comes before the general rules and touches no other server") {
  View text = "fault loss-in 5%\n*.test. rcode NXDOMAIN\n"
              "server 2-3\nwww.test. rcode NOTIMP\nfault loss-in 0%\nserver 3\ntcp refuse\n";
  CHECK(Scene(text, 1).plan_of(1)->settings.loss_in > 0);
  Scene second(text, 2);
  CHECK(second.udp().rcode() == 4);
  CHECK(second.udp({"a.test."}).rcode() == 3);
  CHECK(second.listener.plan->settings.tcp == Door::open);
  Scene third(text, 3);
  CHECK(third.udp().rcode() == 4);
  CHECK(third.listener.plan->settings.tcp == Door::refuse);
  CHECK(Scene(text, 4).plan_of(4)->settings.tcp == Door::open);
  // Equal plans are one, so that a thousand servers cost no thousand trees.
  auto plans = second.parsed.plan.for_listeners(5);
  CHECK(plans[0] == plans[3]);
  CHECK(plans[1] != plans[2]);
}

TEST_CASE("conditions on the query") {
  Scene scene("* A,AAAA over tcp rcode YXDOMAIN\n* MX rcode NXDOMAIN\n"
              "* edns-size 1233.. rcode NOTIMP\n* with-option 3 rcode NOTZONE\n"
              "* with-edns rcode SERVFAIL\n* class CH rcode NOTAUTH\n"
              "* without-edns rcode FORMERR\n");
  CHECK(scene.tcp({.type = 28}).rcode() == 6);
  CHECK(scene.udp({.type = 15}).rcode() == 3);
  CHECK(scene.udp({.edns_size = 1232}).rcode() == 2);
  CHECK(scene.udp({.edns_size = 4096}).rcode() == 4);
  CHECK(scene.udp({.edns_size = 512, .options = {0, 3, 0, 0}}).rcode() == 10);
  CHECK(scene.udp().rcode() == 1);
}

TEST_CASE("conditions that count") {
  Scene scene("* first 2 rcode NXDOMAIN\n* every 2 rcode SERVFAIL\n* after 1 rcode NOTIMP\n");
  std::vector<int> rcodes;
  for (int i = 0; i < 7; ++i) rcodes.push_back(scene.udp().rcode());
  CHECK(rcodes == std::vector<int>{3, 3, 5, 2, 4, 2, 4});
}

TEST_CASE("tries are counted for each question on its own") {
  Scene scene("* tries 1 drop\n* tries 2..3 rcode SERVFAIL\n* rcode NXDOMAIN\n");
  CHECK(scene.udp_silent());
  CHECK(scene.udp_silent({"other.test."}));
  CHECK(scene.udp_silent({.type = 28}));
  CHECK(scene.udp({"WWW.test."}).rcode() == 2);
  CHECK(scene.udp().rcode() == 2);
  CHECK(scene.udp().rcode() == 3);
  CHECK(scene.tcp_all().empty());  // over TCP a question starts anew
}

TEST_CASE("a share is of the names: a retry sees the same; a chance is of the queries") {
  Scene scene("*.share.test. share 30% rcode NXDOMAIN\n*.chance.test. chance 30% rcode NXDOMAIN\n"
              "* rcode NOERROR\n");
  int of_names = 0, of_queries = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string name = join("n", std::to_string(i), ".share.test.");
    int first = scene.udp({name}).rcode();
    of_names += first == 3;
    CHECK(scene.udp({name}).rcode() == first);
    of_queries += scene.udp({"one.chance.test."}).rcode() == 3;
  }
  CHECK(of_names == doctest::Approx(300).epsilon(0.2));
  CHECK(of_queries == doctest::Approx(300).epsilon(0.2));
  // Alike on every server of a run, and another share with another seed.
  Scene other("*.share.test. share 30% rcode NXDOMAIN\n* rcode NOERROR\n", 2);
  Scene reseeded("*.share.test. share 30% rcode NXDOMAIN\n* rcode NOERROR\n", 1, 8);
  int differ = 0;
  for (int i = 0; i < 200; ++i) {
    std::string name = join("n", std::to_string(i), ".share.test.");
    CHECK(other.udp({name}).rcode() == scene.udp({name}).rcode());
    differ += reseeded.udp({name}).rcode() != scene.udp({name}).rcode();
  }
  CHECK(differ > 20);
}

TEST_CASE("a rate, and times since the first query") {
  Scene scene("* over-rate 10 rcode REFUSED\n* during 1s to 2s rcode SERVFAIL\n* rcode NOERROR\n");
  for (int i = 0; i < 10; ++i) CHECK(scene.udp().rcode() == 0);
  CHECK(scene.udp().rcode() == 5);
  scene.now += 100ms;
  CHECK(scene.udp().rcode() == 0);
  CHECK(scene.udp().rcode() == 5);
  scene.now += 1s;
  CHECK(scene.udp().rcode() == 2);
  scene.now += 1s;
  CHECK(scene.udp().rcode() == 0);
}

TEST_CASE("losses are drawn, and the same seed draws the same") {
  View text = "fault loss-in 20%\nfault loss-out 20%\n* rcode NOERROR\n";
  Scene first(text), second(text);
  int answered = 0;
  for (int i = 0; i < 2000; ++i) {
    bool silent = first.udp_silent();
    CHECK(silent == second.udp_silent());
    answered += !silent;
  }
  CHECK(answered == doctest::Approx(1280).epsilon(0.1));
  const ListenerCounts& counts = first.listener.counts;
  CHECK(counts.udp_queries == 2000);
  CHECK(counts.lost_in + counts.lost_out + counts.udp_replies == 2000);
}

TEST_CASE("rules count their hits") {
  Scene scene("*.a. rcode NXDOMAIN\n* drop\n");
  scene.udp({"x.a."});
  scene.udp_all({"x.b."});
  scene.udp_all({"y.b."});
  CHECK(scene.listener.rules[0].hits == 1);
  CHECK(scene.listener.rules[1].hits == 2);
}
