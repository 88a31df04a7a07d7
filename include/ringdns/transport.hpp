// Level 5: how queries travel. UDP: source ports, query ids, batches, and the verification of
// what comes back.
#pragma once

#include <string>
#include <vector>

#include "ringdns/io.hpp"
#include "ringdns/lookups.hpp"
#include "ringdns/options.hpp"
#include "ringdns/rng.hpp"

namespace ringdns {

enum class Verdict : uint8_t {
  match,         // id, source port and question are those of the slot's query; the caller still
                 // compares the source address with the resolvers that the lookup asked
  header_only,   // the same, without a question section: fit for reporting an error, no more
  runt,          // shorter than a header
  not_a_reply,   // QR is 0, or the opcode is not QUERY
  unknown_id,    // no query with that id is out on that port
  wrong_question,
};

class Udp {
 public:
  // token.kind of the sockets' and of the datagrams' completions.
  Udp(Io& io, Rng& rng, const Lookups& lookups, uint8_t socket_kind, uint8_t query_kind);

  // Opens the source ports: each a socket per family in use, sharing one pool of ids. Empty, or
  // why it failed; a family that cannot be had is switched off while the other one works.
  struct Families {
    bool ipv4 = false, ipv6 = false;
  };
  std::string open(const Options& options, Families wanted);

  bool can_reach(const Address& to) const {
    return to.is_ipv4() ? families_.ipv4 : families_.ipv6;
  }
  size_t ports() const { return ports_.size(); }
  uint32_t receive_buffer() const { return granted_; }  // bytes of each socket

  // Gives the lookup a random free id on a source port, or takes it back.
  void acquire(uint32_t slot, Lookup& lookup);
  void release(const Lookup& lookup);

  // Queues the lookup's query for the next flush(). room() > 0.
  static constexpr uint32_t batch_limit = 1024;
  uint32_t room() const { return batch_limit - static_cast<uint32_t>(batch_.size()); }
  void add(uint32_t slot, const Lookup& lookup, const Address& to, const Query& query);
  // Once a turn: the Io borrows the batch until the next wait().
  uint32_t flush();

  struct Match {
    Verdict verdict;
    uint32_t slot = Lookups::none;
  };
  Match match(const Completion& completion) const;
  // The slot whose query an ICMP error quotes, if it is still the one that is out.
  uint32_t match_quoted(const Completion& completion) const;

 private:
  struct Port {
    SocketId ipv4, ipv6;
    IdPool ids;
  };
  Io::OpenedSocket open_socket(const Options& options, sa_family_t family, uint32_t port);
  const Port* port_of(const Completion& completion) const;

  Io& io_;
  Rng& rng_;
  const Lookups& lookups_;
  uint8_t socket_kind_, query_kind_;
  std::vector<Port> ports_;
  Families families_;
  uint32_t current_port_ = 0;   // a turn's new lookups leave from one port, so that their queries
                                // can leave together
  bool spread_ = false;         // each lookup takes another port, as the ports differ in address
  uint32_t granted_ = 0;
  uint32_t wanted_buffer_ = 0;
  std::vector<Datagram> batch_;
  std::vector<uint8_t> arena_;  // the batch's messages, one behind the other
  size_t arena_used_ = 0;
};

}  // namespace ringdns
