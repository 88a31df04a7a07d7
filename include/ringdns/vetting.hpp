// Level 4: what a resolver's replies to the check's questions say of it. Pure: the machine that
// asks is checker.hpp. A finding is unknown where nothing could be learned, and unknown condemns
// nobody.
#pragma once

#include <string_view>
#include <vector>

#include "ringdns/base.hpp"

namespace ringdns {

inline constexpr size_t max_check_names = 8, max_check_zones = 8;

// A reply, as far as the check cares.
struct CheckedReply {
  uint64_t content = 0;   // of the address records in its answer; 0: it had none
  uint16_t rcode = 0;
  bool came = false;
  bool recursion = false; // RA
  bool question = false;  // it had a question section
  bool spelt = false;     // which had our upper and lower case
  bool opt = false;
};

struct CheckedReplies {
  std::array<CheckedReply, max_check_names> names;  // known names, asked without EDNS
  std::array<CheckedReply, max_check_zones> zones;  // a random name in each
  CheckedReply edns;                                // the first known name with an OPT
};

// What an honest resolver says; from trusted ones, or else from what most of the list agree on.
struct Expectation {
  std::array<std::vector<uint64_t>, max_check_names> names;  // any of these; empty: unknown
  std::array<bool, max_check_zones> denied{};  // random names there do not exist; else unknown
};
inline constexpr uint32_t least_agreeing = 3;
Expectation expect_of_trusted(std::span<const CheckedReplies> trusted);
Expectation expect_of_majority(std::span<const CheckedReplies> list);

enum class Check : uint8_t { alive, recursive, honest, unaltered, case_kept, edns };
inline constexpr size_t check_count = 6;
enum class Finding : uint8_t { unknown, good, bad };
using Findings = std::array<Finding, check_count>;

std::string_view name_of(Check check);     // "nxdomain", for JSON
std::string_view fault_of(Check check);    // "invents answers for names that do not exist"
std::string_view describe(Finding finding);

Findings judge(const CheckedReplies& replies, const Expectation& expected);
// The first check that condemns, in the order of the table; check_count: none does.
size_t first_fault(const Findings& findings);

}  // namespace ringdns
