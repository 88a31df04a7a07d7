// Level 4: what is known of each server's TCP: who waits for it, and what was learned of it
// (tcp.md "Connections" 13 to 18, 22, and "Skipping UDP").
#pragma once

#include <unordered_map>
#include <vector>

#include "ringdns/address.hpp"
#include "ringdns/base.hpp"
#include "ringdns/rng.hpp"

namespace ringdns {

inline constexpr uint32_t no_slot = UINT32_MAX;
inline constexpr uint16_t no_connection = UINT16_MAX;

struct TcpServer {
  Address address;
  // The lookups that wait for room on a connection, in the order they are served.
  uint32_t first = no_slot, last = no_slot;
  uint32_t waiting = 0;
  // Its connections, linked through the connection table.
  uint16_t first_connection = no_connection;
  uint16_t connections = 0;
  bool due = false;      // on the list of servers to look at this turn
  bool wanting = false;  // in the queue for a connection slot
  bool known = false;    // in the table; false: the record is free

  // Learned.
  uint16_t depth = 2;          // queries in flight that it has shown to bear
  uint16_t answer_limit = 0;   // it closes after so many answers; 0: not known to
  uint16_t last_death = 0;     // answers of the latest connection that died with queries out
  uint8_t timeouts = 0;        // connections that met silence only, in a row
  uint8_t barren = 0;          // connections that died without any answer, in a row
  uint8_t cooldowns = 0;       // in a row; doubles the next one
  Instant cooling_until{};
  Instant limit_until{};
  Duration round_trip{};       // smoothed, of its answers; 0: none yet
  Instant answered{};          // the latest
};

class TcpServers {
 public:
  // bound: records kept at most; those that nobody waits for or is connected to are given up
  // for new ones.
  TcpServers(Rng& rng, uint32_t bound) : rng_(rng), bound_(bound) {}

  TcpServer& operator[](uint32_t index) { return records_[index]; }
  const TcpServer& operator[](uint32_t index) const { return records_[index]; }
  uint32_t size() const { return static_cast<uint32_t>(records_.size()); }
  uint32_t find_or_add(const Address& address);
  uint32_t find(const Address& address) const;  // no_slot: nothing is known of it

  bool cooling(uint32_t server, Instant now) const {
    return server != no_slot && now < records_[server].cooling_until;
  }

  // A crowd waits for it, and it has not shown that it answers, or not for a while: whoever can
  // ask elsewhere does, so that one bad server holds up only the first few who came to it.
  static constexpr uint32_t crowd = 64;
  bool crowded(uint32_t server, Instant now) const;

  // An answer came: it is well. Depth doubles when a clean window went by (the caller counts).
  void note_answer(TcpServer& server, Duration round_trip, Instant now);
  // REQ 15: refused: true where the server's host said so, which is definite; a connection that
  // met silence only, to its SYN or its queries, has a second chance.
  void note_connect_failure(TcpServer& server, bool refused, Instant now);
  // A connection died, with queries out, after so many answers (progress rule).
  void note_death(TcpServer& server, uint32_t answers, Instant now);

  // How many connections it may have, and answers each may give: tcp.md 14 and 22.
  uint32_t connections_allowed(const TcpServer& server, uint32_t configured, Instant now) const;
  uint32_t answer_limit(const TcpServer& server, Instant now) const;

 private:
  struct Hash {
    size_t operator()(const Address& address) const { return address.hash(); }
  };
  uint32_t free_record();
  void cool(TcpServer& server, Instant now);

  Rng& rng_;
  uint32_t bound_;
  std::vector<TcpServer> records_;
  std::unordered_map<Address, uint32_t, Hash> by_address_;
  uint32_t hand_ = 0;  // of the clock that looks for a record to give up
};

// The share of truncated UDP answers by (server, type): tcp.md 6. A fixed table; a pair that
// collides takes the place of the older one.
class TruncationMemory {
 public:
  TruncationMemory() : entries_(size) {}

  void sample(const Address& server, uint16_t type, bool truncated, Instant now);
  enum class Advice : uint8_t {
    udp,
    tcp_when_open,  // where a connection with room is at hand
    tcp,
  };
  Advice advice(const Address& server, uint16_t type, Instant now) const;

 private:
  static constexpr size_t size = 4096;
  struct Entry {
    uint64_t key = 0;
    float share = 0;
    uint16_t samples = 0;
    Instant updated{};
  };
  static uint64_t key_of(const Address& server, uint16_t type) {
    return (server.hash() ^ type * 0x9e3779b97f4a7c15u) | 1;
  }

  std::vector<Entry> entries_;
};

}  // namespace ringdns
