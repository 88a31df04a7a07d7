// Level 5: lookups over TCP (RFC 7766): a bounded table of reused, pipelined connections. What
// each event does to a connection is tcp_machine.hpp's table; what is learned of a server is
// tcp_servers.hpp's. Requirement numbers are tcp.md's.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "ringdns/buffer.hpp"
#include "ringdns/framing.hpp"
#include "ringdns/io.hpp"
#include "ringdns/lookups.hpp"
#include "ringdns/options.hpp"
#include "ringdns/rng.hpp"
#include "ringdns/tcp_machine.hpp"
#include "ringdns/tcp_servers.hpp"
#include "ringdns/wire.hpp"

namespace ringdns {

// The queries in flight on one connection. An id's low bits are its place here, so matching is
// one look and no id is in flight twice; a place given up keeps its id until the reply comes.
class Window {
 public:
  static constexpr uint32_t vacant = UINT32_MAX, tombstone = UINT32_MAX - 1;

  void resize(uint32_t places);  // a power of two
  bool full() const { return used_ == entries_.size(); }
  uint32_t used() const { return used_; }
  uint32_t tombstones() const { return tombstones_; }
  uint32_t answerable() const { return used() - tombstones_; }

  uint16_t acquire(Rng& rng, uint32_t slot);  // not full()
  uint32_t holder(uint16_t id) const {
    const Entry& entry = entries_[id & (entries_.size() - 1)];
    return entry.slot != vacant && entry.id == id ? entry.slot : vacant;
  }
  void release(uint16_t id);  // held, tombstone or not
  // It was held, and its place was not given to another since.
  bool answered(uint16_t id) const {
    const Entry& entry = entries_[id & (entries_.size() - 1)];
    return entry.slot == vacant && entry.used && entry.id == id;
  }
  void bury(uint16_t id);     // its lookup leaves; the reply may still come
  // Empties it, handing over each slot that is still waited for.
  template <class F>
  void clear(F&& hand_over) {
    for (Entry& entry : entries_)
      if (entry.slot < tombstone) hand_over(entry.slot);
    resize(static_cast<uint32_t>(entries_.size()));
  }

 private:
  struct Entry {
    uint32_t slot = vacant;
    uint16_t id = 0;
    bool used = false;
  };
  std::vector<Entry> entries_;
  // Vacant places, the longest vacant first, so that a late duplicate still finds its own.
  std::vector<uint16_t> free_;
  uint32_t first_free_ = 0;
  uint32_t used_ = 0;
  uint32_t tombstones_ = 0;
};

enum class TcpFailure : uint8_t {
  refused,     // connect failed
  timeout,     // connect or answer did not come
  closed,      // the connection ended without having answered anything
  crowded,     // no failure: too many wait for a server that has yet to answer; ask elsewhere
};

class Tcp {
 public:
  // Who the lookups belong to: the engine.
  class User {
   public:
    virtual ~User() = default;
    // Writes the lookup's query message; returns its length. first: of its connection.
    virtual size_t write_tcp_query(uint32_t slot, uint16_t id, bool first, MutableBytes out) = 0;
    // A reply whose id and question are the lookup's. The lookup has left Tcp, unless it is a
    // transfer: then it stays until complete(slot).
    virtual void on_tcp_reply(uint32_t slot, Bytes message) = 0;
    // The lookup has left Tcp: this try failed.
    virtual void on_tcp_failure(uint32_t slot, TcpFailure why) = 0;
  };

  // A query may wait this long for others to leave with.
  static constexpr Duration hold_time = std::chrono::milliseconds(1);
  static constexpr uint32_t most_queries = 60000;  // of one connection
  static constexpr uint8_t most_strays = 3;        // likewise
  static constexpr uint8_t most_silences = 2;      // in a row
  // Shorter silences are none.
  static constexpr Duration least_stall = std::chrono::milliseconds(500);

  // token_kind: of the connections' completions.
  Tcp(Io& io, Rng& rng, Lookups& lookups, const Options& options, TcpStats& stats,
      uint8_t token_kind);

  // A turn: begin, its completions, and at its end advance: what failed is told, what waits is
  // written, what is due is done.
  void begin(Instant now) { now_ = now; }
  void on_completion(const Completion& completion, User& user);
  void advance(User& user);
  Instant next_deadline() const;

  // The lookup (on no list of Tcp's) waits for its turn at this server: state tcp_queued. Its
  // query is written as soon as depth allows: state tcp_wait.
  void enqueue(uint32_t slot, const Address& server);
  // Its answer is complete.
  void complete(uint32_t slot);
  // It leaves without an answer: its deadline came, or nobody wants it any more.
  void withdraw(uint32_t slot);

  bool cooling(const Address& server) const { return servers_.cooling(servers_.find(server), now_); }
  bool crowded(const Address& server) const { return servers_.crowded(servers_.find(server), now_); }
  // A connection with room for another query is open.
  bool has_room(const Address& server) const;
  // Could a connection to one more server be had without a queue?
  bool roomy() const {
    return wanting_.empty() && !full() && in_use_ * 2 <= connections_.size();
  }
  // edns-tcp-keepalive of the reply just told (RFC 7828), in units of 100 ms.
  void obey_keepalive(uint16_t timeout);
  // Transfers stop receiving while nobody takes what they bring, or go on.
  void hold_transfers(bool on);
  bool transfers_held() const { return transfers_held_; }
  // Closes what is open: the run is over.
  void close_all();
  // What must hold between turns, in time proportional to the tables: for tests, as Lookups::check().
  void check() const;

 private:
  struct Connection {
    ConnectionState state = ConnectionState::free;
    bool writing = false;    // out is with the Io
    bool connected = false;  // was; for the balance of the counters
    bool transfer = false;   // one is under way: nothing else goes out
    bool refused = false;    // why it failed to connect
    bool unwritable = false; // a write failed: the end is about to be told
    bool thinned = false;    // its server's crowd was sent elsewhere
    uint8_t strays = 0;
    uint8_t silences = 0;    // queries in a row that timed out with no octet heard since
    uint16_t next_of_server = no_connection;
    uint32_t generation = 0;
    uint32_t server = 0;
    StreamId stream;
    uint32_t queries = 0, answers = 0;
    uint32_t clean = 0;      // answers since the depth last changed
    Duration idle_time{};
    Instant opened{}, heard{};  // heard: the latest octets, or the write that made it owe some
    Instant idle_until{};
    Instant held_since{};    // a query waits for company since then; Instant{}: none does
    Window window;
    Framing framing;
    Buffer out;
  };
  // Where a lookup stands in here, by its slot.
  enum class Place : uint8_t {
    none,
    queued,  // in its server's queue
    out,     // its query is in a connection's window
    lost,    // in losses_
  };
  struct Ticket {
    uint32_t next, previous;  // queued
    uint32_t server;
    uint16_t connection, id;  // out
    Place place;
  };
  struct Loss {
    uint32_t slot;
    TcpFailure why;
  };

  // Connections: tcp.cpp
  void handle(uint32_t index, ConnectionEvent event);
  void open_connection(uint32_t server);
  bool connect(uint32_t index, uint32_t server);
  void note_shortage(uint32_t open);
  bool full() const {
    return free_connections_.empty() || (now_ < shortage_until_ && in_use_ >= shortage_limit_);
  }
  void postpone(uint32_t index);
  void rest(uint32_t index);
  void requeue(uint32_t index);
  void charge_waiters(uint32_t index);
  void fail_server(uint32_t server, TcpFailure why, bool unreachable);
  void thin_out(Connection& connection);
  void end_spent(uint32_t index);
  void close(uint32_t index, CloseKind kind);
  void release(uint32_t index);
  void on_received(uint32_t index, const Completion& completion, User& user);
  bool on_message(uint32_t index, Bytes message, User& user);
  bool stray(Connection& connection);
  void count_answer(Connection& connection, uint32_t slot);
  void settle(uint32_t index);
  uint32_t room(const Connection& connection) const;
  // Full of queries that it never answered, and whose lookups have left.
  bool spent(const Connection& connection) const {
    return connection.window.answerable() == 0 && room(connection) == 0;
  }

  // Time: tcp_timers.cpp
  void on_timer(uint32_t index);
  void arm(uint32_t index);
  Instant thinning_due(const Connection& connection) const;
  Instant state_due(const Connection& connection) const;

  // Queues: tcp_queue.cpp
  Duration patience(const Lookup& lookup, Duration usual) const;
  void tell_losses(User& user);
  void serve(uint32_t server, User& user);
  bool hold(Connection& connection, const TcpServer& server);
  void transmit(uint32_t index, User& user);
  void push(uint32_t server, uint32_t slot, bool front);
  void unlink(uint32_t slot);
  void lose(uint32_t slot, TcpFailure why);
  void lose_waiters(uint32_t server, TcpFailure why);
  void mark_due(uint32_t server);
  void want(uint32_t server);
  void forget_idle_wants();
  void serve_next_wanting();

  Io& io_;
  Rng& rng_;
  Lookups& lookups_;
  const Options& options_;
  TcpStats& stats_;
  uint8_t token_kind_;
  Instant now_{};

  TcpServers servers_;
  std::vector<Connection> connections_;
  SlotLists timer_lists_;
  TimerWheel timers_;
  SlotLists idle_;                         // the longest idle first
  std::unique_ptr<Ticket[]> tickets_;  // not touched before a lookup comes here
  std::vector<uint16_t> free_connections_;
  std::vector<uint32_t> due_servers_;      // to be served this turn
  std::deque<uint32_t> wanting_;           // servers that wait for a slot, first come first served
  std::vector<Loss> losses_;               // told to the user in advance(), never while parsing
  uint32_t in_use_ = 0;                    // connections that are not free
  uint32_t told_ = no_connection;          // whose reply is being told
  bool transfers_held_ = false;
  size_t held_memory_ = 0;                 // octets in all reassembly buffers
  uint32_t shortage_limit_ = 0;            // connections at most, until then
  Instant shortage_until_{};
};

}  // namespace ringdns
