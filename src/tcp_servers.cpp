#include "ringdns/tcp_servers.hpp"

#include <algorithm>

#include "ringdns/rng.hpp"

namespace ringdns {

namespace {
constexpr Duration first_cooldown = std::chrono::seconds(2);
constexpr Duration longest_cooldown = std::chrono::seconds(300);
constexpr Duration limit_memory = std::chrono::seconds(300);
constexpr uint8_t timeouts_that_cool = 2;
// So that a few queries that make a server hang up (and do so alone, at depth 1) cost the others
// nothing, and one that hangs up on everybody is not asked for ever.
constexpr uint8_t barren_that_cool = 8;
constexpr uint16_t one_shot_connections = 4;
constexpr Duration silence_that_warns = std::chrono::milliseconds(500);
// Two deaths at the same count are taken for a rule of the server's.
constexpr uint32_t longest_limit = 1024;

constexpr Duration truncation_memory = std::chrono::seconds(600);
constexpr uint16_t samples_needed = 8;
constexpr float skip_when_open = 0.25f, skip_when_cold = 0.6f;
}  // namespace

uint32_t TcpServers::find(const Address& address) const {
  auto found = by_address_.find(address);
  return found == by_address_.end() ? no_slot : found->second;
}

uint32_t TcpServers::find_or_add(const Address& address) {
  auto [place, added] = by_address_.try_emplace(address, no_slot);
  if (!added) return place->second;
  uint32_t index = free_record();
  records_[index] = TcpServer{};
  records_[index].address = address;
  records_[index].known = true;
  return place->second = index;
}

uint32_t TcpServers::free_record() {
  if (records_.size() < bound_) {
    records_.emplace_back();
    return static_cast<uint32_t>(records_.size() - 1);
  }
  for (size_t steps = 0; steps < records_.size(); ++steps) {
    hand_ = (hand_ + 1) % static_cast<uint32_t>(records_.size());
    TcpServer& record = records_[hand_];
    if (record.waiting || record.connections || record.due || record.wanting) continue;
    if (record.known) by_address_.erase(record.address);
    return hand_;
  }
  ensure(false, "more servers are busy than lookups and connections exist");
  return no_slot;
}

bool TcpServers::crowded(uint32_t server, Instant now) const {
  if (server == no_slot || records_[server].waiting < crowd) return false;
  return now - records_[server].answered > silence_that_warns;
}

void TcpServers::note_answer(TcpServer& server, Duration round_trip, Instant now) {
  server.timeouts = server.barren = server.cooldowns = 0;
  server.answered = now;
  server.round_trip = server.round_trip == Duration{} ? round_trip
                                                      : (7 * server.round_trip + round_trip) / 8;
}

void TcpServers::note_connect_failure(TcpServer& server, bool refused, Instant now) {
  if (refused || ++server.timeouts >= timeouts_that_cool) cool(server, now);
}

void TcpServers::note_death(TcpServer& server, uint32_t answers, Instant now) {
  server.depth = 1;
  if (answers == 0) {
    if (++server.barren >= barren_that_cool) cool(server, now);
    return;
  }
  if (answers == server.last_death && answers <= longest_limit) {
    server.answer_limit = static_cast<uint16_t>(answers);
    server.limit_until = now + limit_memory;
  }
  server.last_death = static_cast<uint16_t>(std::min<uint32_t>(answers, UINT16_MAX));
}

void TcpServers::cool(TcpServer& server, Instant now) {
  Duration time = std::min(first_cooldown * (int64_t{1} << std::min<int>(server.cooldowns, 8)),
                           longest_cooldown);
  // A quarter of jitter, so that servers that failed together are not asked again together.
  time -= time / 1024 * rng_.below(256);
  server.cooling_until = now + time;
  server.timeouts = server.barren = 0;
  if (server.cooldowns < 8) ++server.cooldowns;
}

uint32_t TcpServers::answer_limit(const TcpServer& server, Instant now) const {
  return server.answer_limit && now < server.limit_until ? server.answer_limit : UINT32_MAX;
}

uint32_t TcpServers::connections_allowed(const TcpServer& server, uint32_t configured,
                                         Instant now) const {
  return answer_limit(server, now) == 1 ? std::max<uint32_t>(configured, one_shot_connections)
                                        : configured;
}

void TruncationMemory::sample(const Address& server, uint16_t type, bool truncated, Instant now) {
  uint64_t key = key_of(server, type);
  Entry& entry = entries_[key >> 32 & (size - 1)];
  bool known = entry.key == key && now - entry.updated < truncation_memory;
  if (!known) {
    if (!truncated) return;  // only pairs that truncate take up room
    entry = {key, 1.0f, 0, now};
  }
  entry.share += ((truncated ? 1.0f : 0.0f) - entry.share) / 8;
  entry.samples = static_cast<uint16_t>(std::min<int>(entry.samples + 1, UINT16_MAX));
  entry.updated = now;
}

TruncationMemory::Advice TruncationMemory::advice(const Address& server, uint16_t type,
                                                  Instant now) const {
  uint64_t key = key_of(server, type);
  const Entry& entry = entries_[key >> 32 & (size - 1)];
  bool known = entry.key == key && entry.samples >= samples_needed &&
               now - entry.updated < truncation_memory;
  if (!known || entry.share < skip_when_open) return Advice::udp;
  return entry.share < skip_when_cold ? Advice::tcp_when_open : Advice::tcp;
}

}  // namespace ringdns
