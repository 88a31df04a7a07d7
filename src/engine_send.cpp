// What the engine sends: new lookups from the feed, which resolver, which transport, which query.
#include <algorithm>

#include "ringdns/engine.hpp"

namespace ringdns {

void Engine::take_input() {
  input_waits_ = true;
  while (may_take()) {
    const Question* question = feed_.next();
    if (!question) {
      input_waits_ = false;
      return;
    }
    start(*question);
  }
}

// Be it in the midst of a line, which has what was asked.
void Engine::stop_input() {
  feed_.stop();
  if (lines_) lines_->end();
}

bool Engine::may_take() const {
  return lookups_.has_free() && !output_.full() && !held_up() &&
         outstanding_ < uint64_t{lines_per_slot} * lookups_.size() &&
         (!ledger_ || ledger_->has_room()) && (!unresolved_ || !unresolved_->full()) &&
         (!lines_ || lines_->roomy());
}

void Engine::start(const Question& question) {
  if (!lines_) {
    look_up(question);
    return;
  }
  if (!lines_->reading()) lines_->begin(question.spelling);
  if (question.problem.empty())
    lines_->wait_for(look_up(question), now_);
  else
    write_rejection(question);
  if (question.last) lines_->end();
}

// The lookup that asks it, perhaps for others already.
uint32_t Engine::look_up(const Question& question) {
  uint64_t number = next_number_++;
  ++stats_.lookups;
  ++outstanding_;
  take_dedicated(question.resolvers);
  bool transfer = question.type == type::axfr || question.type == type::ixfr;
  size_t salt = dedicated_count_ ? dedicated_[0].hash() : 0;
  auto same = [this](uint32_t slot) { return same_dedicated(slot); };
  uint32_t twin = transfer ? Lookups::none
                           : lookups_.find(question.name, question.type, salt, same);
  if (twin != Lookups::none) {
    ++stats_.duplicates;
    ++stats_.tries[lookups_[twin].tries];
    ++lookups_[twin].copies;
    note_line(twin, question);
    return twin;
  }
  uint32_t slot = lookups_.start(question.name, question.type, number, salt);
  Lookup& lookup = lookups_[slot];
  lookup.transfer = transfer;
  lookup.use_tcp = needs_tcp(lookup);
  ++stats_.tries[0];
  lookup.dedicated_count = dedicated_count_;
  if (dedicated_count_)
    std::copy_n(dedicated_.begin(), dedicated_count_, lookups_.dedicated(slot).begin());
  note_line(slot, question);
  return slot;
}

void Engine::note_line(uint32_t slot, const Question& question) {
  if (ledger_)
    ledger_->open(slot, question.place, question.offset, question.text, question.several);
}

// The usable resolvers among the words behind a name.
void Engine::take_dedicated(std::string_view words) {
  dedicated_count_ = 0;
  for (Fields fields = split(words); !fields.first.empty(); fields = split(fields.rest)) {
    auto address = Address::parse(fields.first, 53);
    if (address && udp_.can_reach(*address) && dedicated_count_ < max_dedicated)
      dedicated_[dedicated_count_++] = *address;
    else
      ++stats_.unusable_dedicated;
  }
}

bool Engine::same_dedicated(uint32_t slot) const {
  if (lookups_.at(slot).dedicated_count != dedicated_count_) return false;
  return dedicated_count_ == 0 ||
         std::equal(dedicated_.begin(), dedicated_.begin() + dedicated_count_,
                    lookups_.dedicated(slot).begin());
}

void Engine::send() {
  constexpr uint32_t pause_us = 4000;
  blocked_until_ = congested_until_;
  if (now_ < congested_until_) return;
  while (lookups_.any_ready() && udp_.room() > 0) {
    if (!rate_.ready(now_)) {
      blocked_until_ = rate_.next();
      break;
    }
    uint32_t slot = lookups_.front_ready();
    Choice choice = choose(slot);
    if (choice == Choice::nobody) {
      blocked_until_ = resolvers_.next();
      break;
    }
    if (choice == Choice::later) {
      lookups_.to_resting(slot, now_ + std::chrono::microseconds(pause_us / 2 + rng_.below(pause_us)));
      continue;
    }
    const Address& to = asked_address(slot);
    if (!wants_tcp(slot, to)) {
      note_sent(slot, Transport::udp);
      send_udp(slot, to);
    } else if (options_.tcp == Options::Tcp::disabled ||  // a transfer, which needs it
               !choose_for_tcp(slot)) {
      give_up(slot, lookups_[slot].truncated ? FailureReason::truncated
                                             : FailureReason::unreachable);
    } else {
      Lookup& lookup = lookups_[slot];
      stats_.tcp.entries += !lookup.on_tcp;
      lookup.use_tcp = lookup.on_tcp = true;
      lookup.optional = !needs_tcp(lookup);
      note_sent(slot, Transport::tcp);
      tcp_.enqueue(slot, asked_address(slot));
    }
  }
  stats_.sent += udp_.flush();
}

bool Engine::wants_tcp(uint32_t slot, const Address& to) {
  Lookup& lookup = lookups_[slot];
  if (needs_tcp(lookup)) return true;
  if (lookup.use_tcp && !tcp_.cooling(to)) return true;
  bool failed_there = lookup.on_tcp;  // where loss, or what was learned, had brought it
  stats_.tcp.back_to_udp += failed_there;
  lookup.on_tcp = false;
  lookup.use_tcp = lookup.lost = false;
  if (options_.tcp == Options::Tcp::disabled) return false;
  if (options_.extended_input && asked_by_another(slot, to)) return !tcp_.cooling(to);
  return !failed_there && skips_udp(to, lookup.type);
}

// tcp.md 6: one in 32 still goes by UDP, to notice a change.
bool Engine::skips_udp(const Address& to, uint16_t type) {
  constexpr uint32_t udp_share = 32;
  switch (truncation_.advice(to, type, now_)) {
    case TruncationMemory::Advice::udp: return false;
    case TruncationMemory::Advice::tcp_when_open:
      if (!tcp_.has_room(to)) return false;
      break;
    case TruncationMemory::Advice::tcp: break;
  }
  if (tcp_.cooling(to) || rng_.below(udp_share) == 0) return false;
  ++stats_.tcp.skipped_udp;
  return true;
}

// tcp.md 25: a second question like one that is out invites guesses at either. Lines with
// resolvers of their own can bring that about; other duplicates are one lookup.
bool Engine::asked_by_another(uint32_t slot, const Address& to) const {
  auto out_to_same = [&](uint32_t other) {
    return other != slot && lookups_.at(other).state == LookupState::udp_wait &&
           asked_address(other) == to;
  };
  const WireName& name = lookups_.name(slot);
  uint16_t type = lookups_.at(slot).type;
  return lookups_.find(name, type, 0, out_to_same) != Lookups::none ||
         lookups_.find(name, type, to.hash(), out_to_same) != Lookups::none;
}

void Engine::send_udp(uint32_t slot, const Address& to) {
  Lookup& lookup = lookups_[slot];
  if (!lookup.has_port) udp_.acquire(slot, lookup);
  lookup.has_port = true;
  Query query = query_for(slot);
  query.id = lookup.id;
  lookup.advertised = query.edns.present ? query.edns.udp_size : 0;
  udp_.add(slot, lookup, to, query);
  AskedResolver asked = lookup.asked[0];
  Duration wait = asked.dedicated
                      ? options_.interval
                      : resolvers_.timeout(asked.index, lookup.timeouts, options_.interval);
  lookups_.to_udp_wait(slot, now_ + wait);
}

Query Engine::query_for(uint32_t slot) {
  const Lookup& lookup = lookups_[slot];
  Query query;
  query.recursion_desired = !options_.norecurse;
  query.name = lookups_.name(slot).bytes();
  query.type = lookup.type;
  query.edns = edns_for(lookup);
  return query;
}

size_t Engine::write_tcp_query(uint32_t slot, uint16_t id, bool first, MutableBytes out) {
  Lookup& lookup = lookups_[slot];
  Query query = query_for(slot);
  query.id = id;
  if (lookup.type == type::ixfr) query.serial = options_.ixfr_serial;
  // tcp.md 11: some servers cap their replies over TCP by this size, too.
  query.edns.udp_size = UINT16_MAX;
  if (first && lookup.edns == EdnsLevel::full) query.edns.options = first_options_;
  lookup.advertised = query.edns.present ? query.edns.udp_size : 0;
  return encode_query(query, out);
}

// TCP has windows of its own.
void Engine::note_sent(uint32_t slot, Transport transport) {
  Lookup& lookup = lookups_[slot];
  lookup.choose = false;
  lookup.sent_us = to_us(now_);
  rate_.take(now_);
  if (lookup.asked[0].dedicated) return;
  lookup.out = transport == Transport::udp;
  if (lookup.out) resolvers_.sent(lookup.asked[0].index, now_);
  else resolvers_.sent_over_tcp(lookup.asked[0].index, now_);
}

// The next resolver to ask, as asked[0].
Engine::Choice Engine::choose(uint32_t slot) {
  Lookup& lookup = lookups_[slot];
  bool keep = !lookup.choose || (options_.sticky && lookup.asked_count > 0);
  AskedResolver next = lookup.asked[0];
  if (!keep) {
    if (lookup.dedicated_used < lookup.dedicated_count) {
      next.dedicated = 1;
      next.index = lookup.dedicated_used++ & 0x7fffffff;
    } else if (options_.predictable) {
      next.dedicated = 0;
      next.index = (lookup.number + lookup.tries) % resolvers_.size() & 0x7fffffff;
    } else {
      return choose_any(slot);
    }
  }
  if (!next.dedicated && !resolvers_.ready(next.index, now_)) return Choice::later;
  if (!keep) set_asked(slot, next);
  return Choice::made;
}

Engine::Choice Engine::choose_any(uint32_t slot) {
  uint64_t avoid = lookups_.at(slot).tries > 0 ? lookups_.asked_bits(slot) : 0;
  Resolvers::Choice choice = resolvers_.choose(rng_, avoid);
  if (choice.index == Resolvers::none) return choice.wait ? Choice::later : Choice::nobody;
  set_asked(slot, {choice.index & 0x7fffffff, 0});
  return Choice::made;
}

// asked[0] is a resolver whose TCP is not known to be down, and preferably not crowded: it itself,
// or another. False: there is none. The search is bounded: where most of a long list is down, a
// lookup ends rather than costs more than a query.
bool Engine::choose_for_tcp(uint32_t slot) {
  constexpr uint32_t most_looks = 64;
  Lookup& lookup = lookups_[slot];
  bool down = tcp_.cooling(asked_address(slot));
  bool keep = options_.sticky || lookup.asked[0].dedicated;
  if (!down && (keep || !tcp_.crowded(asked_address(slot)))) return true;
  if (options_.sticky) return false;
  uint32_t start = rng_.below(resolvers_.size());
  uint32_t crowded = Lookups::none;
  for (uint32_t look = 0; look < std::min(most_looks, resolvers_.size()); ++look) {
    uint32_t index = (start + look) % resolvers_.size();
    if (tcp_.cooling(resolvers_.address(index))) continue;
    if (tcp_.crowded(resolvers_.address(index))) {
      crowded = index;
      continue;
    }
    set_asked(slot, {index & 0x7fffffff, 0});
    return true;
  }
  if (down && crowded != Lookups::none) set_asked(slot, {crowded & 0x7fffffff, 0});
  return !down || crowded != Lookups::none;
}

// Asked again after all, it stays one entry, now the latest.
void Engine::set_asked(uint32_t slot, AskedResolver next) {
  Lookup& lookup = lookups_[slot];
  auto end = lookup.asked.begin() + lookup.asked_count;
  auto place = std::find(lookup.asked.begin(), end, next);
  if (place == end && lookup.asked_count < lookup.asked.size()) ++lookup.asked_count;
  if (place == lookup.asked.end()) --place;
  std::copy_backward(lookup.asked.begin(), place, place + 1);
  lookup.asked[0] = next;
  // Lookups with resolvers of their own are found by the one they ask.
  if (lookup.dedicated_count) lookups_.salt(slot, address_of(slot, next).hash());
}

EdnsOptions Engine::edns_for(const Lookup& lookup) const {
  EdnsOptions edns;
  AskedResolver asked = lookup.asked[0];
  bool plain = !options_.edns || lookup.edns == EdnsLevel::plain ||
               (!asked.dedicated && resolvers_.plain(asked.index, now_));
  if (plain) return edns;
  edns.present = true;
  edns.dnssec_ok = options_.dnssec_ok;
  edns.udp_size = lookup.small ? std::min(small_size, options_.edns_size) : options_.edns_size;
  if (lookup.edns == EdnsLevel::full) edns.options = edns_options_;
  return edns;
}

}  // namespace ringdns
