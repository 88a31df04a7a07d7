// UDP for all listeners: datagrams in batches, their answers in batches.
#pragma once

#include <sys/socket.h>

#include <memory>

#include "sockets.hpp"
#include "timers.hpp"

namespace responder {

// Datagrams to send, gathered; equal lengths to one client leave as one GSO send.
class UdpSender {
 public:
  explicit UdpSender(bool coalesce) : coalesce_(coalesce) {}
  // The octets are at `offset` of the buffer that flush() is given.
  void add(int fd, const Address& to, size_t offset, size_t length) {
    pending_.push_back({to, fd, static_cast<uint32_t>(offset), static_cast<uint32_t>(length)});
  }
  // Returns how many could not be sent.
  size_t flush(const Buffer& bytes);
  bool empty() const { return pending_.empty(); }

 private:
  struct Datagram {
    Address to;
    int fd;
    uint32_t offset, length;
  };
  struct Train {  // datagrams of one send
    size_t first, count;
  };
  size_t train_at(size_t first) const;
  size_t send_run(size_t first, size_t count, const Buffer& bytes);
  size_t send_trains(int fd, const Buffer& bytes);

  bool coalesce_;
  std::vector<Datagram> pending_;
  std::vector<Train> trains_;
};

class UdpServer {
 public:
  UdpServer(std::vector<Listener>& listeners, bool coalesce);

  void readable(Listener& listener, Instant now);
  void fire(Instant now);
  Instant next() const { return late_.next(); }

 private:
  struct Late {
    Listener* listener = nullptr;
    Source source = Source::own;
    Address client;
    uint64_t question = 0;  // key of outstanding_; 0: this send does not settle it
    Octets bytes;
  };
  struct Outstanding {
    uint32_t count = 0;
    uint16_t port = 0, id = 0;
  };
  size_t receive(int fd);
  void take(Listener& listener, size_t index, Instant now);
  void take_datagram(Listener& listener, Bytes packet, const Address& client, Instant now);
  void postpone(Listener& listener, const Action& action, const Address& client, Instant now,
                uint64_t question);
  void count_identical(Listener& listener, const Address& client, uint64_t key);
  void flush(Listener& listener);

  bool coalesce_;
  size_t batch_, room_;  // datagrams a system call takes, octets of each
  std::unique_ptr<uint8_t[]> octets_;
  std::vector<mmsghdr> headers_;
  std::vector<iovec> vectors_;
  std::vector<sockaddr_in6> clients_;
  std::vector<std::array<uint64_t, 4>> controls_;
  Query query_;
  Actions actions_;
  UdpSender sender_;
  Timers<Late> late_;
  std::unordered_map<uint64_t, Outstanding> outstanding_;
};

}  // namespace responder
