#include "ringdns/vetting.hpp"

#include <algorithm>

#include "ringdns/codes.hpp"

namespace ringdns {
namespace {

struct CheckWords {
  Check check;
  std::string_view name, fault;
};
constexpr CheckWords words[] = {
    {Check::alive, "alive", "does not answer"},
    {Check::recursive, "recursive", "does not resolve names"},
    {Check::honest, "nxdomain", "invents answers for names that do not exist"},
    {Check::unaltered, "known_names", "gives other answers for known names"},
    {Check::case_kept, "case", "does not keep the case of the question"},
    {Check::edns, "edns", "does not answer EDNS"},
};
static_assert(std::size(words) == check_count);

bool tells(const CheckedReply& reply) {
  return reply.came && (reply.rcode == rcode::noerror || reply.rcode == rcode::nxdomain);
}

bool resolved(const CheckedReply& reply) {
  return reply.came && reply.rcode == rcode::noerror && reply.content != 0;
}

// Bad outweighs good, and both outweigh unknown.
void add(Finding& finding, Finding next) { finding = std::max(finding, next); }

Finding judge_name(const CheckedReply& reply, const std::vector<uint64_t>& accepted) {
  if (accepted.empty() || !tells(reply)) return Finding::unknown;
  return std::find(accepted.begin(), accepted.end(), reply.content) != accepted.end()
             ? Finding::good
             : Finding::bad;
}

Finding judge_zone(const CheckedReply& reply, bool denied) {
  if (!denied || !tells(reply)) return Finding::unknown;
  return reply.rcode == rcode::nxdomain ? Finding::good : Finding::bad;
}

Finding judge_case(const CheckedReply& reply) {
  if (!reply.came || !reply.question) return Finding::unknown;
  return reply.spelt ? Finding::good : Finding::bad;
}

// The content that more than half of those who resolved the name agree on; 0: there is none.
uint64_t agreed_content(std::span<const CheckedReplies> list, size_t name) {
  std::vector<uint64_t> contents;
  for (const CheckedReplies& replies : list)
    if (resolved(replies.names[name])) contents.push_back(replies.names[name].content);
  if (contents.size() < least_agreeing) return 0;
  auto middle = contents.begin() + static_cast<std::ptrdiff_t>(contents.size() / 2);
  std::nth_element(contents.begin(), middle, contents.end());  // a majority holds the middle
  auto agreeing = static_cast<size_t>(std::count(contents.begin(), contents.end(), *middle));
  return agreeing >= least_agreeing && agreeing * 2 > contents.size() ? *middle : 0;
}

}  // namespace

Expectation expect_of_trusted(std::span<const CheckedReplies> trusted) {
  Expectation expected;
  for (size_t name = 0; name < max_check_names; ++name)
    for (const CheckedReplies& replies : trusted)
      if (resolved(replies.names[name]))
        expected.names[name].push_back(replies.names[name].content);
  for (size_t zone = 0; zone < max_check_zones; ++zone) {
    bool denied = false, disputed = false;
    for (const CheckedReplies& replies : trusted) {
      if (!tells(replies.zones[zone])) continue;
      (replies.zones[zone].rcode == rcode::nxdomain ? denied : disputed) = true;
    }
    expected.denied[zone] = denied && !disputed;
  }
  return expected;
}

Expectation expect_of_majority(std::span<const CheckedReplies> list) {
  Expectation expected;
  for (size_t name = 0; name < max_check_names; ++name)
    if (uint64_t content = agreed_content(list, name)) expected.names[name] = {content};
  for (size_t zone = 0; zone < max_check_zones; ++zone) {
    size_t telling = 0, denying = 0;
    for (const CheckedReplies& replies : list) {
      telling += tells(replies.zones[zone]);
      denying += tells(replies.zones[zone]) && replies.zones[zone].rcode == rcode::nxdomain;
    }
    expected.denied[zone] = denying >= least_agreeing && denying * 2 > telling;
  }
  return expected;
}

std::string_view name_of(Check check) { return words[static_cast<size_t>(check)].name; }
std::string_view fault_of(Check check) { return words[static_cast<size_t>(check)].fault; }

std::string_view describe(Finding finding) {
  constexpr std::string_view texts[] = {"unknown", "good", "bad"};
  return texts[static_cast<size_t>(finding)];
}

Findings judge(const CheckedReplies& replies, const Expectation& expected) {
  Findings found{};
  const auto at = [&](Check check) -> Finding& { return found[static_cast<size_t>(check)]; };
  bool alive = replies.edns.came, recursive = false;
  for (size_t i = 0; i < max_check_names; ++i) {
    const CheckedReply& reply = replies.names[i];
    alive |= reply.came;
    recursive |= resolved(reply) && reply.recursion;
    add(at(Check::unaltered), judge_name(reply, expected.names[i]));
    add(at(Check::case_kept), judge_case(reply));
  }
  for (size_t i = 0; i < max_check_zones; ++i) {
    alive |= replies.zones[i].came;
    add(at(Check::honest), judge_zone(replies.zones[i], expected.denied[i]));
    add(at(Check::case_kept), judge_case(replies.zones[i]));
  }
  at(Check::alive) = alive ? Finding::good : Finding::bad;
  if (!alive) return found;
  at(Check::recursive) = recursive ? Finding::good : Finding::bad;
  at(Check::edns) = replies.edns.came && replies.edns.opt ? Finding::good : Finding::bad;
  return found;
}

size_t first_fault(const Findings& findings) {
  return static_cast<size_t>(std::find(findings.begin(), findings.end(), Finding::bad) -
                             findings.begin());
}

}  // namespace ringdns
