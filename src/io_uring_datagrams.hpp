// Datagram sockets on a ring: receiving, coalesced sending, ICMP errors.
#pragma once

#include <array>
#include <deque>
#include <vector>

#include "io_uring_ring.hpp"

namespace ringdns {

class RingDatagrams {
 public:
  RingDatagrams(Ring& ring, RingFeatures& features, std::vector<Completion>& done);
  bool open(uint32_t concurrency);  // false: no memory

  Io::OpenedSocket open_socket(const SocketOptions& options, Token token);
  void send(std::span<const Datagram> batch);

  // Before each wait: what was received may be overwritten, every socket receives again.
  void prepare();
  void on_receive(const Finished& finished);
  void on_slot(const Finished& finished);
  void on_send(const Finished& finished);
  // Hands over once more what failed for no fault of its own; false: there is nothing.
  bool send_again();
  // The borrowed datagrams are the caller's again.
  void end_turn();

  uint64_t received() const { return received_; }  // datagrams, ever

  // Tear-down: nothing is armed again, everything in flight comes back.
  void cancel();

 private:
  struct Socket {
    Fd fd;
    Token token;
    bool registered = false;
    bool armed = false;
    bool segmentation = false;  // sends to one destination may leave as one
    bool errors_left = false;   // in the error queue
  };
  // A single receive, for kernels without multishot.
  struct Slot {
    uint32_t socket;
    bool armed;
    uint8_t* bytes;
    Address from;
    iovec vector;
    msghdr header;
    alignas(cmsghdr) std::array<uint8_t, 64> control;
  };
  // Datagrams of this turn that are one send: one of them, or a run cut by the kernel.
  struct Sent {
    uint32_t first;  // in datagrams_
    uint16_t count;
    uint8_t again = 0;
    bool of_run = false;  // of one that could not be sent as such
  };
  // What SENDMSG reads until it is submitted.
  struct Frame {
    msghdr header;
    alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(sizeof(uint16_t))> control;
  };
  struct QueuedErrorBytes {
    Address to;
    std::array<uint8_t, 576> payload;
  };

  void set_target(io_uring_sqe* entry, const Socket& socket, uint32_t index) const;
  void arm(uint32_t index);
  void arm_slot(uint32_t index);
  bool open_slots(uint32_t index);
  bool multishot_works();
  void deliver(const Socket& socket, Bytes payload, const Address* from, size_t segment, bool cut);
  void drain_errors(uint32_t index);

  void group(std::span<Datagram> batch);
  uint16_t run_length(std::span<const Datagram> rest) const;
  void hand_over(uint32_t sent);
  void hand_over_message(io_uring_sqe* entry, const Sent& sent);
  void fail(const Sent& sent, int error);

  Ring& ring_;
  RingFeatures& features_;
  std::vector<Completion>& done_;
  bool ending_ = false;
  uint64_t received_ = 0;

  std::deque<Socket> sockets_;
  BufferPool buffers_;
  std::vector<Address> from_;  // of each buffer's datagram
  msghdr receive_header_{};
  std::deque<Slot> slots_;
  std::vector<Mapping> slot_memory_;
  std::vector<uint32_t> to_arm_;  // sockets, or slots without multishot
  std::array<QueuedErrorBytes, 64> errors_;
  size_t errors_used_ = 0;

  uint32_t turn_ = 0;
  std::vector<Datagram> datagrams_;
  std::vector<Sent> sent_;
  std::vector<uint32_t> to_send_again_;
  std::vector<Frame> frames_;
  std::vector<iovec> vectors_;
  size_t frames_used_ = 0, vectors_used_ = 0;
  struct Key {
    uint64_t key;
    uint32_t index;
  };
  std::vector<Key> keys_;
  std::vector<Datagram> ordered_;
};

}  // namespace ringdns
