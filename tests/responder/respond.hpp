// The responder as a pure function: what a plan does about a datagram, a connection, a message on
// it, or time gone by. It knows no socket and no clock, so that a simulated network and the
// real-socket server drive the same faults.
#pragma once

#include <unordered_map>

#include "reply.hpp"

namespace responder {

using ringdns::Instant;
using ringdns::Rng;

enum class Act : uint8_t {
  send,        // `bytes`
  close,       // FIN, once all before it is sent; what the client still sends is read and dropped
  half_close,  // FIN, but what the client sends is read on
  reset,       // RST, once all before it is sent
  deaf,        // read no more; stay open
  wake,        // call on_wake() after `delay`
};
enum class Source : uint8_t { own, other_port, other_address };

struct Action {
  Act act = Act::send;
  Source source = Source::own;  // UDP: where the datagram seems to come from
  uint32_t offset = 0, length = 0;  // of the octets in Actions::bytes
  Duration delay{};
  Pace pace{};                  // TCP
};

// What one call asked for, in order; several calls may add to one Actions.
struct Actions {
  std::vector<Action> list;
  Buffer bytes;
  Bytes of(const Action& action) const {
    return bytes.bytes().subspan(action.offset, action.length);
  }
  void clear() {
    list.clear();
    bytes.clear();
  }
};

// Which EDNS sizes queries advertise, 0 standing for none.
class SizeCounts {
 public:
  void add(uint16_t size) {
    for (Entry& entry : entries_)
      if (entry.size == size) return void(++entry.count);
    if (entries_.size() < most) entries_.push_back({size, 1});
  }
  struct Entry {
    uint16_t size;
    uint64_t count;
  };
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  static constexpr size_t most = 64;
  std::vector<Entry> entries_;
};

struct ListenerCounts {
  uint64_t udp_queries = 0, udp_replies = 0, tcp_queries = 0, tcp_replies = 0;
  uint64_t lost_in = 0, lost_out = 0;
  uint64_t bad_queries = 0;  // runts, replies, other opcodes, malformed ones
  uint64_t no_rule = 0;      // answered REFUSED
  SizeCounts edns_sizes;
};

// All that one listener remembers.
struct ListenerState {
  // `seed` decides shares of names alike on all listeners; `number` sets their chances apart.
  ListenerState(std::shared_ptr<const ListenerPlan> of, uint64_t seed, uint64_t number);

  struct RuleState {
    uint64_t hits = 0, seen = 0;
    double tokens = -1;  // over-rate's bucket; below 0 before its first query
    Instant refilled{};
  };
  std::shared_ptr<const ListenerPlan> plan;
  uint64_t seed;
  Rng rng;
  std::optional<Instant> first_query;
  std::vector<RuleState> rules;  // by Rule::id
  std::unordered_map<uint64_t, uint32_t> tries;
  uint64_t connections = 0;
  ListenerCounts counts;
};

// All that one connection remembers.
struct StreamState {
  TcpSettings settings;
  uint64_t ordinal = 0;  // on its listener, from 1
  uint64_t queries = 0, answers = 0;
  bool silent = false, ended = false;
  Instant busy_until{};   // when the last answer decided so far is sent
  Instant active_at{};
  Instant idle_until{};   // what the last wake for settings.idle was for
  Buffer held;            // frames of settings.hold
  std::vector<uint32_t> held_sizes;
  Instant held_until{};
};

// `query` is handed in so that its room is used again. Returns whether it now holds a question.
bool on_datagram(ListenerState& listener, Query& query, Bytes packet, Instant now, Actions& out);
void on_accept(ListenerState& listener, StreamState& stream, Instant now, Actions& out);
// One message of the stream, without its length prefix.
void on_message(ListenerState& listener, StreamState& stream, Bytes message, Instant now,
                Actions& out);
void on_wake(ListenerState& listener, StreamState& stream, Instant now, Actions& out);

// For who counts questions: name in lower case, type and class.
uint64_t question_hash(const Query& query);

}  // namespace responder
