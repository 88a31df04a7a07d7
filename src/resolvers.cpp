#include "ringdns/resolvers.hpp"

#include <algorithm>

#include "ringdns/input.hpp"

namespace ringdns {
namespace {

constexpr uint16_t dns_port = 53;
constexpr size_t max_problems = 20;
constexpr size_t max_problem_text = 80;
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

Resolvers::Resolvers(std::vector<Address> addresses)
    : addresses_(std::move(addresses)), plain_until_(addresses_.size()),
      counts_(addresses_.size()) {
  ensure(!addresses_.empty(), "a run has resolvers");
}

uint32_t Resolvers::choose(Rng& rng, std::span<const uint32_t> avoid) const {
  // With few resolvers only the latest of those to avoid can be avoided.
  avoid = avoid.first(std::min<size_t>(avoid.size(), size() - 1));
  uint32_t index = rng.below(size());
  while (std::find(avoid.begin(), avoid.end(), index) != avoid.end()) index = (index + 1) % size();
  return index;
}

ResolverFacts Resolvers::facts(uint32_t index) const {
  ResolverFacts facts;
  facts.address = addresses_[index];
  facts.counts = counts_[index];
  return facts;
}

void Resolvers::remember_plain(uint32_t index, Instant now) {
  plain_until_[index] = now + plain_memory;
}

}  // namespace ringdns
