#include <doctest/doctest.h>

#include "ringdns/codes.hpp"
#include "ringdns/vetting.hpp"

using namespace ringdns;

namespace {

CheckedReplies honest() {
  CheckedReplies replies;
  replies.names[0] = {42, rcode::noerror, true, true, true, true, false};
  replies.zones[0] = {0, rcode::nxdomain, true, true, true, true, false};
  replies.edns = {42, rcode::noerror, true, true, true, true, true};
  return replies;
}

Finding find(const CheckedReplies& replies, const Expectation& expected, Check check) {
  return judge(replies, expected)[static_cast<size_t>(check)];
}

}  // namespace

TEST_CASE("an honest resolver is fit, whether or not anything is known to compare it with") {
  std::vector<CheckedReplies> trusted{honest()};
  CHECK(first_fault(judge(honest(), expect_of_trusted(trusted))) == check_count);
  CHECK(first_fault(judge(honest(), {})) == check_count);
  CHECK(find(honest(), {}, Check::honest) == Finding::unknown);
  CHECK(find(honest(), {}, Check::unaltered) == Finding::unknown);
}

TEST_CASE("each fault is found, and a dead resolver has no other one") {
  std::vector<CheckedReplies> trusted{honest()};
  Expectation expected = expect_of_trusted(trusted);
  const auto fault_after = [&](auto damage) {
    CheckedReplies replies = honest();
    damage(replies);
    return static_cast<Check>(first_fault(judge(replies, expected)));
  };
  CHECK(fault_after([](auto& r) { r = {}; }) == Check::alive);
  CHECK(fault_after([](auto& r) { r.names[0].rcode = rcode::refused; }) == Check::recursive);
  CHECK(fault_after([](auto& r) { r.names[0].recursion = false; }) == Check::recursive);
  CHECK(fault_after([](auto& r) { r.zones[0].rcode = rcode::noerror; }) == Check::honest);
  CHECK(fault_after([](auto& r) { r.names[0].content = 7; }) == Check::unaltered);
  CHECK(fault_after([](auto& r) { r.zones[0].spelt = false; }) == Check::case_kept);
  CHECK(fault_after([](auto& r) { r.edns.opt = false; }) == Check::edns);
  CHECK(fault_after([](auto& r) { r.edns = {}; }) == Check::edns);
  CHECK(find({}, expected, Check::edns) == Finding::unknown);
}

TEST_CASE("a majority is three and more than half") {
  CheckedReplies liar = honest();
  liar.names[0].content = 7;
  liar.zones[0].rcode = rcode::noerror;
  std::vector<CheckedReplies> list{honest(), honest(), liar};
  CHECK(expect_of_majority(list).names[0].empty());
  CHECK_FALSE(expect_of_majority(list).denied[0]);
  list.push_back(honest());
  CHECK(expect_of_majority(list).names[0] == std::vector<uint64_t>{42});
  CHECK(expect_of_majority(list).denied[0]);
  list.insert(list.end(), 2, liar);
  CHECK(expect_of_majority(list).names[0].empty());
  CHECK_FALSE(expect_of_majority(list).denied[0]);
}

TEST_CASE("trusted resolvers that differ tell nothing of a zone, and allow either content") {
  CheckedReplies other = honest();
  other.names[0].content = 7;
  other.zones[0].rcode = rcode::noerror;
  std::vector<CheckedReplies> trusted{honest(), other};
  Expectation expected = expect_of_trusted(trusted);
  CHECK(first_fault(judge(honest(), expected)) == check_count);
  CHECK(first_fault(judge(other, expected)) == check_count);
}
