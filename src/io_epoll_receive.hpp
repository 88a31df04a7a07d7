// Receiving datagrams with recvmmsg and, where the kernel has it, GRO (UDP_GRO); ICMP errors.
#pragma once

#include <sys/socket.h>

#include <vector>

#include "io_epoll.hpp"
#include "io_epoll_send.hpp"

namespace ringdns {

class DatagramReceiver {
 public:
  explicit DatagramReceiver(TurnResults& results);

  // Takes what is there, up to the share.
  void receive(EpollSocket& socket, TurnShare share);
  // Empties the queue of errors up to the share, so that epoll falls silent about it.
  void take_errors(EpollSocket& socket, TurnShare share);

 private:
  static constexpr uint32_t batch_limit = 64;

  int receive_batch(int fd, uint32_t count);
  void deliver(const EpollSocket& socket, uint32_t slot);

  TurnResults& results_;
  // Datagrams land here, each with room for the longest, and are packed into the turn's memory.
  std::unique_ptr<uint8_t[]> landing_;
  struct Control {
    alignas(cmsghdr) uint8_t bytes[CMSG_SPACE(sizeof(int))];
  };
  std::vector<mmsghdr> headers_;
  std::vector<iovec> vectors_;
  std::vector<Address> addresses_;
  std::vector<Control> controls_;
};

}  // namespace ringdns
