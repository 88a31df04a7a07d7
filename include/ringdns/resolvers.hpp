// Level 5: the resolvers that the user named.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ringdns/address.hpp"
#include "ringdns/base.hpp"
#include "ringdns/pace.hpp"
#include "ringdns/rng.hpp"
#include "ringdns/timers.hpp"

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

// The resolvers of a run, by index: whom to ask next, and what was learned of each.
class Resolvers {
 public:
  struct Limits {
    double rate = 0;               // queries a second to each; 0: any
    uint32_t window = UINT32_MAX;  // the most that is ever out to one
    Duration patience = std::chrono::seconds(25);  // nobody answers for so long: hopeless
  };
  static constexpr uint32_t none = UINT32_MAX;

  Resolvers(std::vector<Address> addresses, const Limits& limits);  // not empty

  uint32_t size() const { return static_cast<uint32_t>(addresses_.size()); }
  const Address& address(uint32_t index) const { return addresses_[index]; }

  // Once a turn, before all else.
  void advance(Instant now);

  // A random one of those that may be asked now and `avoid` does not hold: bit i % 64 stands for
  // resolver i. None: they have all that they may have. Where all that may be asked are to be
  // avoided and no other will do, one of them; `wait` where another may soon.
  struct Choice {
    uint32_t index = none;
    bool wait = false;
  };
  Choice choose(Rng& rng, uint64_t avoid) const;
  // One's own choice was this one: may it be sent to, as rates go? Windows do not bind those.
  bool ready(uint32_t index, Instant now) const { return paces_[index].bucket().ready(now); }
  // When choose() may succeed, if nothing comes back before.
  Instant next() const { return timers_.next(); }

  // A query left for it. Over UDP it is out until it returned().
  void sent(uint32_t index, Instant now);
  void sent_over_tcp(uint32_t index, Instant now);
  void returned(uint32_t index, TryOutcome outcome, Instant sent, Instant now, Rng& rng);
  // A late reply.
  void heard(uint32_t index, Instant now);
  void sample_rtt(uint32_t index, uint32_t us);
  Duration timeout(uint32_t index, uint32_t losses, Duration most) const {
    return paces_[index].timeout(losses, most);
  }

  // Nobody has answered anything for as long as one name may take. Then each name is worth a try.
  bool hopeless() const { return hopeless_; }

  // It answered EDNS with FORMERR, NOTIMP or BADVERS lately: ask plainly (tcp.md 10). Forgotten
  // after a while, since servers and the boxes before them are mended.
  bool plain(uint32_t index, Instant now) const { return now < plain_until_[index]; }
  void remember_plain(uint32_t index, Instant now);

  ResolverCounts& counts(uint32_t index) { return counts_[index]; }
  ResolverFacts facts(uint32_t index) const;
  std::vector<ResolverFacts> facts() const;  // of all
  uint32_t working() const { return working_; }

 private:
  uint32_t window_of(const Pace& pace) const;
  // On the list of those that may be asked, or on the timers, or neither: a query of its is out.
  void place(uint32_t index);
  void list(uint32_t index);
  void unlist(uint32_t index);
  void note_state(uint32_t index, ResolverState before);
  void nobody_works();
  void note_heard(Instant now);

  std::vector<Address> addresses_;
  std::vector<Instant> plain_until_;
  std::vector<ResolverCounts> counts_;
  std::vector<Pace> paces_;
  std::vector<uint32_t> available_;  // indices, in no order
  std::vector<uint32_t> place_;      // of each in there, or none
  SlotLists lists_;
  TimerWheel timers_;
  Limits limits_;
  Instant now_{};
  Instant heard_{};    // when a reply came last; time with nothing out does not count
  Instant idle_since_{};  // when out_ came to 0
  uint32_t out_ = 0;   // queries over UDP, to all
  uint64_t working_bits_ = 0;  // of the first 64
  uint32_t working_;
  bool started_ = false, hopeless_ = false;
};

}  // namespace ringdns
