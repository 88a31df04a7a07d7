// Sending datagrams with sendmmsg and, where the kernel has it, GSO (UDP_SEGMENT).
#pragma once

#include <sys/socket.h>

#include <vector>

#include "ringdns/io.hpp"

namespace ringdns {

struct EpollSocket {
  Fd fd;
  Token token;
  bool gso = false;  // until the socket's path turns out not to bear it
};

// Everything leaves, or is reported, before send() returns. Memory is allocated once.
class DatagramSender {
 public:
  DatagramSender();

  // Appends a send_failed for each datagram that did not leave.
  void send(std::span<const Datagram> batch, std::span<EpollSocket> sockets,
            std::vector<Completion>& failed);

 private:
  static constexpr uint32_t batch_limit = 1024;  // UIO_MAXIOV: as many as sendmmsg takes
  static constexpr uint32_t table_size = 2 * batch_limit;
  static constexpr uint16_t none = UINT16_MAX;

  // Datagrams of one socket, destination and length: a chain through next_.
  struct Group {
    SocketId socket;
    uint16_t first, last;
    uint16_t count;
    bool sent;
  };
  // One send: datagrams order_[first, first + count), segments of one GSO send if count > 1.
  struct Message {
    uint16_t first, count;
  };

  void send_chunk(std::span<EpollSocket> sockets);
  void group(std::span<const EpollSocket> sockets);
  uint16_t& find_group(const Datagram& datagram);
  void add_messages(const Group& group);
  void flush(EpollSocket& socket);
  void send_singly(EpollSocket& socket, const Message& message);
  void fail(const Message& message, int error);
  void fail(const Datagram& datagram, int error);

  std::span<const Datagram> chunk_;
  std::vector<Completion>* failed_ = nullptr;
  std::vector<uint16_t> table_;  // open addressing: indices into groups_
  std::vector<Group> groups_;
  std::vector<uint16_t> next_;   // by index in the chunk
  std::vector<uint16_t> order_;  // indices in the chunk, as they leave
  std::vector<Message> messages_;
  std::vector<mmsghdr> headers_;
  std::vector<iovec> vectors_;
  struct SegmentControl {
    alignas(cmsghdr) uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
  };
  std::vector<SegmentControl> controls_;
};

}  // namespace ringdns
