#include "ringdns/resolvers.hpp"

#include <algorithm>

#include "ringdns/input.hpp"

namespace ringdns {
namespace {

constexpr uint16_t dns_port = 53;
constexpr size_t max_problems = 20;
constexpr size_t max_problem_text = 80;
constexpr Duration least_patience = std::chrono::seconds(1);
constexpr Duration plain_memory = std::chrono::seconds(300);

// Which addresses are in the list already: an open-addressing table of indices into it, at most
// half full, so that a list of millions costs no allocation a line.
class Seen {
 public:
  explicit Seen(const std::vector<Address>& list) : list_(list), table_(1024, empty) {}

  // True, and from then on known, when the address is not in the list yet. The caller appends it.
  bool add(const Address& address) {
    if (list_.size() * 2 >= table_.size()) grow();
    size_t at = address.hash() & (table_.size() - 1);
    for (; table_[at] != empty; at = (at + 1) & (table_.size() - 1))
      if (list_[table_[at]] == address) return false;
    table_[at] = static_cast<uint32_t>(list_.size());
    return true;
  }

 private:
  static constexpr uint32_t empty = UINT32_MAX;

  void grow() {
    table_.assign(table_.size() * 2, empty);
    for (uint32_t i = 0; i < list_.size(); ++i) {
      size_t at = list_[i].hash() & (table_.size() - 1);
      while (table_[at] != empty) at = (at + 1) & (table_.size() - 1);
      table_[at] = i;
    }
  }

  const std::vector<Address>& list_;
  std::vector<uint32_t> table_;
};

// Fit to be shown on one line, whatever the file held.
std::string shown(std::string_view text) {
  std::string out(text.substr(0, max_problem_text));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return out;
}

class ListParser {
 public:
  // One line, or one item of a comma list.
  void add(std::string_view text) {
    ++number_;
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    const std::string_view word = split(text).first;
    if (word.empty() || word.front() == '#') return;
    const auto address = Address::parse(word, dns_port);
    if (!address || address->port() == 0) {
      if (list_.problem_count++ < max_problems) list_.problems.push_back({number_, shown(word)});
      return;
    }
    if (seen_.add(*address)) list_.addresses.push_back(*address);
  }

  ResolverList take() { return std::move(list_); }

 private:
  ResolverList list_;
  Seen seen_{list_.addresses};
  size_t number_ = 0;
};

ResolverList parse_separated(std::string_view text, char separator) {
  ListParser parser;
  while (!text.empty()) {
    const size_t end = text.find(separator);
    parser.add(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return parser.take();
}

}  // namespace

ResolverList parse_resolver_list(std::string_view text) { return parse_separated(text, '\n'); }
ResolverList parse_resolver_commas(std::string_view text) { return parse_separated(text, ','); }

Resolvers::Resolvers(std::vector<Address> addresses, const Limits& limits)
    : addresses_(std::move(addresses)), plain_until_(size()), counts_(size()), paces_(size()),
      place_(size(), none), lists_(size(), TimerWheel::buckets), timers_(lists_, 0, size()),
      limits_(limits), working_(size()) {
  limits_.patience = std::max(limits_.patience, least_patience);
  ensure(!addresses_.empty(), "a run has resolvers");
  available_.reserve(size());
}

void Resolvers::advance(Instant now) {
  now_ = now;
  timers_.expire(now, [this](uint32_t index) {
    Pace& pace = paces_[index];
    if (pace.state() == ResolverState::resting && pace.rests_until() <= now_) pace.try_again();
    place(index);
  });
  if (!started_) {
    started_ = true;
    heard_ = idle_since_ = now;
    working_bits_ = size() >= 64 ? ~uint64_t{0} : (uint64_t{1} << size()) - 1;
    for (uint32_t index = 0; index < size(); ++index) {
      paces_[index].start(limits_.rate, limits_.window, now);
      place(index);
    }
  }
  if (!hopeless_ && out_ > 0 && now - heard_ >= limits_.patience) {
    hopeless_ = true;
    for (uint32_t index = 0; index < size(); ++index) {
      paces_[index].forget_rate();
      place(index);
    }
  }
}

Resolvers::Choice Resolvers::choose(Rng& rng, uint64_t avoid) const {
  constexpr uint32_t most_looks = 32;
  if (available_.empty()) return {};
  uint32_t count = static_cast<uint32_t>(available_.size());
  uint32_t start = rng.below(count);
  for (uint32_t look = 0; look < std::min(most_looks, count); ++look) {
    uint32_t index = available_[(start + look) % count];
    if (!(avoid >> index % 64 & 1)) return {index, false};
  }
  bool another_will = size() <= 64 && (working_bits_ & ~avoid) != 0;
  return {another_will ? none : available_[start], another_will};
}

void Resolvers::sent(uint32_t index, Instant now) {
  if (out_++ == 0) heard_ = now - std::max(idle_since_ - heard_, Duration(0));
  paces_[index].sent(now);
  ++counts_[index].sent;
  place(index);
}

void Resolvers::sent_over_tcp(uint32_t index, Instant now) {
  paces_[index].bucket().take(now);
  ++counts_[index].sent;
  place(index);
}

void Resolvers::returned(uint32_t index, TryOutcome outcome, Instant sent, Instant now, Rng& rng) {
  Pace& pace = paces_[index];
  ResolverState before = pace.state();
  if (--out_ == 0) idle_since_ = now;
  bool useless = pace.returned(outcome, sent, now);
  if (outcome != TryOutcome::silent && outcome != TryOutcome::unknown) note_heard(now);
  // A rest makes sense while others work.
  bool others = working_ > (before == ResolverState::working ? 1u : 0u);
  if (useless && others) {
    pace.rest(now, rng.below(1024) / 1024.0);
    ++counts_[index].rested;
  } else if (useless && before == ResolverState::working && size() > 1) {
    pace.try_again();
  }
  note_state(index, before);
  place(index);
}

void Resolvers::note_state(uint32_t index, ResolverState before) {
  ResolverState after = paces_[index].state();
  bool worked = before == ResolverState::working, works = after == ResolverState::working;
  if (worked == works) return;
  if (index < 64) working_bits_ ^= uint64_t{1} << index;
  working_ += works ? 1 : -1;
  if (working_ == 0) nobody_works();
}

void Resolvers::nobody_works() {
  for (uint32_t index = 0; index < size(); ++index) {
    if (paces_[index].state() == ResolverState::resting) paces_[index].try_again();
    place(index);
  }
}

void Resolvers::heard(uint32_t index, Instant now) {
  paces_[index].heard(now);
  note_heard(now);
}

void Resolvers::note_heard(Instant now) {
  heard_ = now;
  if (!hopeless_) return;
  hopeless_ = false;
  for (uint32_t index = 0; index < size(); ++index) place(index);
}

void Resolvers::sample_rtt(uint32_t index, uint32_t us) {
  paces_[index].sample_rtt(us);
  counts_[index].rtt.add(us);
}

uint32_t Resolvers::window_of(const Pace& pace) const {
  if (hopeless_) return limits_.window;
  if (pace.state() != ResolverState::on_trial) return pace.window();
  return working_ > 0 ? 1 : Pace::trial_window;
}

void Resolvers::place(uint32_t index) {
  const Pace& pace = paces_[index];
  if (lists_.listed(index)) timers_.disarm(index);
  bool resting = pace.state() == ResolverState::resting;
  Instant at = resting ? pace.rests_until() : pace.bucket().next();
  bool full = !resting && pace.in_flight() >= window_of(pace);
  if (!full && !resting && at <= now_) return list(index);
  unlist(index);
  if (!full) timers_.arm(index, at);
}

void Resolvers::list(uint32_t index) {
  if (place_[index] != none) return;
  place_[index] = static_cast<uint32_t>(available_.size());
  available_.push_back(index);
}

void Resolvers::unlist(uint32_t index) {
  if (place_[index] == none) return;
  uint32_t last = available_.back();
  available_[place_[index]] = last;
  place_[last] = place_[index];
  available_.pop_back();
  place_[index] = none;
}

ResolverFacts Resolvers::facts(uint32_t index) const {
  const Pace& pace = paces_[index];
  return {addresses_[index], pace.state(), pace.window(), pace.bucket().rate(), pace.srtt_us(),
          counts_[index]};
}

std::vector<ResolverFacts> Resolvers::facts() const {
  std::vector<ResolverFacts> all;
  all.reserve(size());
  for (uint32_t index = 0; index < size(); ++index) all.push_back(facts(index));
  return all;
}

void Resolvers::remember_plain(uint32_t index, Instant now) {
  plain_until_[index] = now + plain_memory;
}

}  // namespace ringdns
