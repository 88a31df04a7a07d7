// The list of resolvers. Input: the file, which is also read as what -r may have in its place.
#include "fuzz.hpp"

#include <algorithm>
#include <set>

#include "ringdns/resolvers.hpp"

using namespace ringdns;
using fuzz::require;

namespace {

void check(const ResolverList& list, std::string_view text, char separator) {
  const size_t lines = static_cast<size_t>(std::count(text.begin(), text.end(), separator)) + 1;
  std::set<std::string> seen;
  for (const Address& address : list.addresses) {
    require(address.port() != 0, "a resolver has a port");
    require(seen.insert(address.text()).second, "resolvers are distinct");
    require(Address::parse(address.text(), 0) == address ||
                text.find('%') != text.npos,  // a scope is shown by its number
            "a resolver parses back");
  }
  require(list.problems.size() <= 20 && list.problems.size() <= list.problem_count,
          "problems are counted, and the first are kept");
  size_t last = 0;
  for (const ResolverListProblem& problem : list.problems) {
    require(problem.line > last && problem.line <= lines, "problems have their lines");
    last = problem.line;
    for (unsigned char c : problem.text) require(c >= 0x20 && c != 0x7f, "problems can be shown");
    require(!problem.text.empty() && problem.text.size() <= 80, "problems have a bounded text");
  }
  require(list.addresses.size() + list.problem_count <= lines, "an outcome a line at most");
}

// Each line by itself gives what all of them give together.
void check_by_line(const ResolverList& list, std::string_view text) {
  size_t number = 0, problems = 0;
  std::vector<Address> addresses;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    ++number;
    const ResolverList one = parse_resolver_list(line);
    require(one.addresses.size() + one.problem_count <= 1, "a line is one resolver or problem");
    if (one.problem_count && problems++ < list.problems.size())
      require(list.problems[problems - 1].line == number, "a problem is at its line");
    for (const Address& address : one.addresses)
      if (std::find(addresses.begin(), addresses.end(), address) == addresses.end())
        addresses.push_back(address);
  }
  require(addresses == list.addresses && problems == list.problem_count,
          "lines do not depend on each other");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::text_of({data, size});
  const ResolverList list = parse_resolver_list(text);
  check(list, text, '\n');
  check_by_line(list, text);
  check(parse_resolver_commas(text), text, ',');
  return 0;
}
