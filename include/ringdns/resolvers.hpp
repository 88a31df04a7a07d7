// Level 4: the resolvers that the user named.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ringdns/address.hpp"
#include "ringdns/base.hpp"
#include "ringdns/resolver_facts.hpp"
#include "ringdns/rng.hpp"

namespace ringdns {

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

// The resolvers of a run, by index, and what was learned of each.
class Resolvers {
 public:
  explicit Resolvers(std::vector<Address> addresses);  // not empty

  uint32_t size() const { return static_cast<uint32_t>(addresses_.size()); }
  const Address& address(uint32_t index) const { return addresses_[index]; }

  // A random one that is not among `avoid` (the latest first) while there are others.
  uint32_t choose(Rng& rng, std::span<const uint32_t> avoid) const;

  // It answered EDNS with FORMERR, NOTIMP or BADVERS lately: ask plainly (tcp.md 10). Forgotten
  // after a while, since servers and the boxes before them are mended.
  bool plain(uint32_t index, Instant now) const { return now < plain_until_[index]; }
  void remember_plain(uint32_t index, Instant now);

  ResolverCounts& counts(uint32_t index) { return counts_[index]; }
  ResolverFacts facts(uint32_t index) const;

 private:
  std::vector<Address> addresses_;
  std::vector<Instant> plain_until_;
  std::vector<ResolverCounts> counts_;
};

}  // namespace ringdns
