#include "respond.hpp"

#include <algorithm>

#include "decide.hpp"

namespace responder {
namespace {

using ringdns::store_u16;

constexpr size_t most_datagram = 65507;  // over IPv4
constexpr uint16_t formerr = 1, notimp = 4, refused = 5, badvers = 16;

Rng::Seed expand(uint64_t seed, uint64_t number) {
  return {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32),
          static_cast<uint32_t>(number), static_cast<uint32_t>(number >> 32)};
}

// One datagram's way through a plan.
class Datagram {
 public:
  Datagram(ListenerState& listener, Query& query, Instant now, Actions& out)
      : listener_(listener), query_(query), now_(now), out_(out) {}

  void answer() {
    const Rule* rule = find_rule(listener_, {query_, Transport::udp, now_});
    if (!rule) {
      ++listener_.counts.no_rule;
      return fixed(append_rcode(out_.bytes, query_, refused));
    }
    if (rule->plain_hash_a) return fixed(append_hash_a(out_.bytes, *rule, query_));
    bool replies = rule->truncate || rule->verb == Verb::reply;
    if (replies) return reply(*rule);
    // A transfer needs TCP (RFC 5936 4.2); a connection's end means nothing here.
    if (rule->verb == Verb::transfer) fixed(append_rcode(out_.bytes, query_, formerr));
  }

  // The message just appended, as it is and at once.
  void fixed(size_t length) { emit({.length = static_cast<uint32_t>(length)}); }

 private:
  void reply(const Rule& rule) {
    const Shape& shape = rule.shape;
    ReplyOptions options;
    options.truncated = rule.truncate.has_value();
    options.body = rule.truncate.value_or(Body::empty);
    Action action{.source = source_of(shape.deform), .delay = draw_delay(listener_.rng, rule)};
    size_t start = out_.bytes.size();
    size_t length = append_reply(out_.bytes, rule, query_, options, listener_.rng);
    size_t limit = std::min<size_t>(query_.edns_size, most_datagram);
    if (!options.truncated && length > limit && !(shape.deform & oversize)) {
      out_.bytes.truncate(start);
      options.truncated = true;
      length = append_reply(out_.bytes, rule, query_, options, listener_.rng);
    }
    if (length > shape.drop_above) return out_.bytes.truncate(start);
    action.offset = static_cast<uint32_t>(start);
    action.length = static_cast<uint32_t>(length);
    for (const Spoof& spoof : shape.spoofs) forge(spoof, action.delay);
    for (uint32_t copy = 0; copy < shape.copies; ++copy) {
      emit_at(action);
      action.delay += shape.copies_gap;
    }
    if (shape.late_full) follow(rule, *shape.late_full);
  }

  // In front of the reply.
  void forge(const Spoof& spoof, Duration delay) {
    for (uint32_t i = 0; i < spoof.count; ++i) {
      size_t length = append_forgery(out_.bytes, spoof.deform, query_, listener_.rng);
      emit({.source = source_of(spoof.deform),
            .length = static_cast<uint32_t>(length),
            .delay = delay});
    }
  }

  void follow(const Rule& rule, Duration later) {
    size_t length = append_reply(out_.bytes, rule, query_, {}, listener_.rng);
    emit({.source = source_of(rule.shape.deform),
          .length = static_cast<uint32_t>(length),
          .delay = later});
  }

  static Source source_of(uint32_t deform) {
    if (deform & wrong_address) return Source::other_address;
    return deform & wrong_port ? Source::other_port : Source::own;
  }

  // The octets last appended.
  void emit(Action action) {
    action.offset = static_cast<uint32_t>(out_.bytes.size() - action.length);
    emit_at(action);
  }
  void emit_at(const Action& action) {
    if (listener_.plan->settings.loss_out && draw(listener_.rng, listener_.plan->settings.loss_out))
      return void(++listener_.counts.lost_out);
    ++listener_.counts.udp_replies;
    out_.list.push_back(action);
  }

  ListenerState& listener_;
  Query& query_;
  Instant now_;
  Actions& out_;
};

}  // namespace

ListenerState::ListenerState(std::shared_ptr<const ListenerPlan> of, uint64_t seed, uint64_t number)
    : plan(std::move(of)), seed(seed), rng(expand(seed, number)), rules(plan->rule_ids) {}

bool on_datagram(ListenerState& listener, Query& query, Bytes packet, Instant now, Actions& out) {
  const ListenerSettings& settings = listener.plan->settings;
  ++listener.counts.udp_queries;
  if (settings.loss_in && draw(listener.rng, settings.loss_in)) {
    ++listener.counts.lost_in;
    return false;
  }
  Datagram datagram(listener, query, now, out);
  QueryState state = query.parse(packet);
  if (state == QueryState::good) [[likely]] {
    listener.counts.edns_sizes.add(query.edns ? query.edns_size : 0);
    if (query.edns_version == 0) datagram.answer();
    else datagram.fixed(append_rcode(out.bytes, query, badvers));
    return true;
  }
  ++listener.counts.bad_queries;
  if (state == QueryState::runt || state == QueryState::not_a_query) return false;
  uint16_t rcode = state == QueryState::malformed ? formerr : notimp;
  datagram.fixed(append_header_only(out.bytes, query, rcode));
  return false;
}

}  // namespace responder
