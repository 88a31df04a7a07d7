#include "decide.hpp"

#include <algorithm>

namespace responder {
namespace {

uint64_t mix(uint64_t x) {  // SplitMix64's finisher
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

// How often this question came, this time included. The table is bounded: names beyond it are new
// each time.
uint32_t count_try(ListenerState& listener, const Asked& asked) {
  constexpr size_t most = 4'000'000;
  uint64_t key = mix(question_hash(asked.query) + static_cast<uint64_t>(asked.over));
  auto found = listener.tries.find(key);
  if (found != listener.tries.end()) return ++found->second;
  if (listener.tries.size() < most) listener.tries.emplace(key, 1);
  return 1;
}

bool is_over_rate(ListenerState::RuleState& state, uint64_t rate, Instant now) {
  double full = static_cast<double>(rate);
  if (state.tokens < 0) {
    state.tokens = full;
  } else {
    std::chrono::duration<double> passed = now - state.refilled;
    state.tokens = std::min(full, state.tokens + full * passed.count());
  }
  state.refilled = now;
  if (state.tokens < 1) return true;
  state.tokens -= 1;
  return false;
}

bool holds_for_query(const Conditions& when, const Query& query) {
  using Edns = Conditions::Edns;
  if (!when.types.empty() &&
      std::find(when.types.begin(), when.types.end(), query.type) == when.types.end())
    return false;
  if (when.rr_class && when.rr_class != query.rr_class) return false;
  if (when.edns != Edns::any && (when.edns == Edns::with) != query.edns) return false;
  if (when.option && !query.has_option(*when.option)) return false;
  return !when.edns_size || when.edns_size->holds(query.edns_size);
}

bool holds_here(ListenerState& listener, const Conditions& when, const Asked& asked,
                uint32_t tries) {
  if (when.over && when.over != asked.over) return false;
  if (when.connection && !when.connection->holds(asked.connection)) return false;
  if (when.position && !when.position->holds(asked.position)) return false;
  if (when.tries && !when.tries->holds(tries)) return false;
  if (when.elapsed &&
      !when.elapsed->holds(static_cast<uint64_t>((asked.now - *listener.first_query).count())))
    return false;
  if (when.share != always &&
      (mix(name_hash(asked.query) ^ mix(listener.seed)) >> 32) >= when.share)
    return false;
  return draw(listener.rng, when.chance);
}

// The conditions that count the queries which meet all the others.
bool holds_by_count(ListenerState::RuleState& state, const Conditions& when, Instant now) {
  uint64_t number = ++state.seen;
  if (number > when.first || number <= when.after || number % when.every != 0) return false;
  return when.over_rate == 0 || is_over_rate(state, when.over_rate, now);
}

}  // namespace

uint64_t question_hash(const Query& query) {
  uint64_t hash = 0xcbf29ce484222325;
  for (uint8_t octet : query.name()) hash = (hash ^ octet) * 0x100000001b3;
  return mix(hash ^ (uint64_t{query.type} << 16 | query.rr_class));
}

const Rule* find_rule(ListenerState& listener, const Asked& asked) {
  const ListenerPlan& plan = *listener.plan;
  if (!listener.first_query) listener.first_query = asked.now;
  uint32_t tries = plan.counts_tries ? count_try(listener, asked) : 0;
  for (const Rule* rule : plan.tree.candidates(asked.query.name(), asked.query.label_offsets())) {
    auto& state = listener.rules[rule->id];
    const Conditions& when = rule->when;
    if (!holds_for_query(when, asked.query)) continue;
    if (!rule->unconditional &&
        (!holds_here(listener, when, asked, tries) || !holds_by_count(state, when, asked.now)))
      continue;
    ++state.hits;
    return rule;
  }
  return nullptr;
}

Duration draw_delay(Rng& rng, const Rule& rule) {
  Duration spread = rule.delay_most - rule.delay_least;
  if (spread <= Duration{}) return rule.delay_least;
  uint64_t share = rng.next();
  return rule.delay_least +
         Duration(static_cast<int64_t>(static_cast<double>(spread.count()) *
                                       static_cast<double>(share) / 4294967296.0));
}

}  // namespace responder
