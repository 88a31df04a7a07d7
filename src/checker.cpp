#include "ringdns/checker.hpp"

#include <algorithm>

namespace ringdns {
namespace {

bool is_letter(uint8_t octet) {
  octet |= 0x20;
  return octet >= 'a' && octet <= 'z';
}

// Random case, the first letter's being upper: a server that folds to lower is seen at once.
void mix_case(WireName& name, Rng& rng) {
  bool first = true;
  for (size_t at = 0; name.octets[at] != 0; at += name.octets[at] + size_t{1})
    for (size_t i = at + 1; i <= at + name.octets[at]; ++i) {
      uint8_t& octet = name.octets[i];
      if (!is_letter(octet)) continue;
      octet = static_cast<uint8_t>(first || rng.below(2) ? octet & ~0x20 : octet | 0x20);
      first = false;
    }
}

WireName random_child(const WireName& zone, Rng& rng) {
  constexpr uint8_t label = 16;
  WireName name;
  name.octets[0] = label;
  for (size_t i = 1; i <= label; ++i) name.octets[i] = static_cast<uint8_t>('a' + rng.below(26));
  std::copy_n(zone.octets.data(), zone.length, name.octets.data() + label + 1);
  name.length = static_cast<uint8_t>(zone.length + label + 1);
  return name;
}

// Of the addresses in the answer, in whatever order; 0 when there are none.
uint64_t content_of(const Message& message) {
  uint64_t content = 0;
  for (const Record& record : message.records()) {
    if (record.section != Section::answer || record.type != type::a || record.rdata_length != 4)
      continue;
    uint64_t mixed = load_u32(message.packet().data() + record.rdata) + 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    content += mixed ^ mixed >> 31;
  }
  return content;
}

}  // namespace

Checker::Checker(const Options& options, Io& io, Rng& rng, Lookups& lookups, Udp& udp,
                 const std::vector<Address>& resolvers, const CheckQuestions& questions)
    : options_(options), io_(io), rng_(rng), lookups_(lookups), udp_(udp), resolvers_(resolvers),
      questions_(questions), replies_(resolvers.size()), tasks_(lookups.size()) {}

uint32_t Checker::question_count() const {
  return static_cast<uint32_t>(questions_.names.size() + questions_.zones.size() + 1);
}

CheckedReply& Checker::reply_of(const Task& task) {
  CheckedReplies& replies = replies_[task.resolver];
  size_t names = questions_.names.size();
  if (is_edns(task.question)) return replies.edns;
  return task.question < names ? replies.names[task.question]
                               : replies.zones[task.question - names];
}

WireName Checker::name_of(uint32_t question) {
  size_t names = questions_.names.size();
  WireName name = is_edns(question)  ? questions_.names.front()
                  : question < names ? questions_.names[question]
                                     : random_child(questions_.zones[question - names], rng_);
  mix_case(name, rng_);
  return name;
}

void Checker::begin(Task task) {
  uint32_t slot = lookups_.start(name_of(task.question), type::a, task.resolver);
  tasks_[slot] = task;
  udp_.acquire(slot, lookups_[slot]);
}

void Checker::send() {
  while (next_ < resolvers_.size() && lookups_.has_free())
    begin({static_cast<uint32_t>(next_++), 0});
  while (lookups_.any_ready() && udp_.room() > 0) ask(lookups_.front_ready());
  udp_.flush();
}

void Checker::ask(uint32_t slot) {
  const Lookup& lookup = lookups_.at(slot);
  Query query;
  query.id = lookup.id;
  query.name = lookups_.name(slot).bytes();
  query.type = lookup.type;
  query.edns.present = is_edns(tasks_[slot].question);
  query.edns.udp_size = options_.edns_size;
  udp_.add(slot, lookup, resolvers_[tasks_[slot].resolver], query);
  lookups_.to_udp_wait(slot, now_ + options_.interval);
}

// The slot's question is done with: on to the resolver's next. One that was silent from the start
// is not asked for more.
void Checker::go_on(uint32_t slot) {
  Task task = tasks_[slot];
  bool dead = task.question == 0 && !reply_of(task).came;
  udp_.release(lookups_.at(slot));
  lookups_.finish(slot);
  if (!dead && ++task.question < question_count()) begin(task);
}

void Checker::advance(const Turn& turn) {
  now_ = turn.now;
  for (const Completion& completion : turn.done)
    if (completion.event == Event::datagram) on_datagram(completion);
  lookups_.expire(now_, [this](uint32_t slot) { on_silence(slot); });
}

void Checker::on_datagram(const Completion& completion) {
  Udp::Match match = udp_.match(completion);
  if (match.verdict != Verdict::match && match.verdict != Verdict::header_only) return;
  const Lookup& lookup = lookups_.at(match.slot);
  const Task& task = tasks_[match.slot];
  if (!completion.from || !(*completion.from == resolvers_[task.resolver])) return;
  if (lookup.state != LookupState::udp_wait) return;  // it will be asked again in this turn
  message_.index(completion.bytes);
  CheckedReply& reply = reply_of(task);
  reply.came = true;
  reply.rcode = message_.rcode();
  reply.recursion = message_.header().ra();
  reply.question = match.verdict == Verdict::match;
  reply.spelt = std::ranges::equal(message_.question_name(), lookups_.name(match.slot).bytes());
  reply.opt = message_.has_opt();
  reply.content = content_of(message_);
  go_on(match.slot);
}

void Checker::on_silence(uint32_t slot) {
  if (++lookups_[slot].tries < tries) return lookups_.to_ready(slot);
  go_on(slot);
}

}  // namespace ringdns
