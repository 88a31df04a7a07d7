// The world around the simulated host: name servers that do what tests/responder's pure function
// decides, and a network between that does what the seed's rates of faults say.
#pragma once

#include <functional>
#include <unordered_map>
#include <unordered_set>

#include "kernel.hpp"
#include "respond.hpp"
#include "ringdns/options.hpp"
#include "scenario.hpp"

namespace sim {

class Servers final : public World {
 public:
  // live: whether the lookup that a query's token names is still the one it was sent for.
  using Live = std::function<bool(Token)>;
  Servers(const Scenario& scenario, const Options& options, Trace& trace, Live live);
  void attach(SimIo& io) { io_ = &io; }

  // From now on the network is good, and so are the servers; connections that are not stay so.
  void calm();
  bool is_calm() const { return calm_; }

  int32_t on_datagram(uint32_t socket, const Datagram& datagram) override;
  Reception on_connect(uint32_t connection, const ConnectOptions& options) override;
  void on_connected(uint32_t connection) override;
  Reception on_write(uint32_t connection, Bytes bytes) override;
  void on_bytes(uint32_t connection, Bytes bytes) override;
  void on_close(uint32_t connection, CloseKind kind) override;
  void on_timer(uint32_t cookie) override;
  Duration slack() override;
  Duration farewell() override { return dice_.time(0us, latency()); }

  // Names whose replies had bits flipped under way: no checksum is simulated, so what their
  // answers say is anybody's guess.
  bool tainted(uint32_t name) const { return tainted_.contains(name); }
  // The ordinal in "w17.s.test", as wire or text; UINT32_MAX: it is no such name.
  static uint32_t ordinal_of(std::string_view first_label);

 private:
  struct Server {
    Address address;
    responder::ListenerState listener;
    uint32_t up = 0;     // connections
    uint32_t vain = 0;   // connects since then, with none up
    Instant vain_since{};
  };
  struct Peer {
    uint32_t server = 0, generation = 0;
    responder::StreamState state;
    Octets partial;
    Instant last_arrival{};
    bool up = false, deaf = false, finished = false;
    size_t unread = 0;
    std::vector<uint16_t> owed;  // ids of queries without a reply
  };
  struct Pending {
    uint32_t connection, generation;
    responder::Action action;
    Octets octets;
  };

  Server* server_at(const Address& address);
  void check_query(Bytes message);
  void check_id(uint32_t socket, const Datagram& datagram);
  void answer(uint32_t socket, const Datagram& datagram, Server& server);
  void reply(uint32_t socket, const Datagram& datagram, const responder::Action& action);
  void forge(uint32_t socket, const Address& from, Instant at);
  void refuse(uint32_t socket, const Datagram& datagram);
  bool may_be_believed(Bytes query) const;
  static void mark(MutableBytes message);
  void check_patience(Server& server);
  void take_message(uint32_t connection, Bytes message);
  void perform(uint32_t connection);
  void postpone(uint32_t connection, const responder::Action& action);
  void put(uint32_t connection, const responder::Action& action, Bytes bytes);
  void note_replies(Peer& peer, MutableBytes frames);
  void put_bytes(uint32_t connection, Bytes bytes, const responder::Pace& pace);
  void put_end(uint32_t connection, int32_t result);
  Instant arrival(Peer& peer);
  Duration latency() { return dice_.time(scenario_.latency / 2, scenario_.latency * 3 / 2); }

  const Scenario& scenario_;
  const Options& options_;
  Trace& trace_;
  Live live_;
  SimIo* io_ = nullptr;
  Dice dice_;
  Faults faults_;
  bool calm_ = false;
  responder::ParsedPlan plan_, calm_plan_;  // which the listeners' plans point into
  std::vector<Server> servers_;
  std::vector<Peer> peers_;
  std::vector<Pending> pending_;
  std::vector<uint32_t> free_pending_;
  responder::Actions actions_;
  responder::Query query_;
  Octets message_;   // the reply at hand
  Octets forgery_;
  struct Hash {
    size_t operator()(const Address& address) const { return address.hash(); }
  };
  std::unordered_map<Address, uint32_t, Hash> by_address_;
  std::unordered_map<uint64_t, Token> owners_;  // of (socket, id)
  std::unordered_set<uint32_t> tainted_;
};

}  // namespace sim
