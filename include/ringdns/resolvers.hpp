// Level 2: the resolvers that the user named.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ringdns/address.hpp"
#include "ringdns/base.hpp"

namespace ringdns {

using ResolverId = Id<struct ResolverTag>;

struct ResolverListProblem {
  size_t line;  // 1 for the first
  std::string text;
};

struct ResolverList {
  std::vector<Address> addresses;  // distinct, in the order given
  std::vector<ResolverListProblem> problems;  // lines that are no address; at most 20 are kept
  size_t problem_count = 0;
};

// One resolver a line: an address (Address::parse) first, whatever follows blanks ignored; `#`
// comments and blank lines skipped. port: default 53.
ResolverList parse_resolver_list(std::string_view text);

// "192.0.2.1,192.0.2.2:5353"
ResolverList parse_resolver_commas(std::string_view text);

}  // namespace ringdns
