// The two queues of io_uring, and memory that the kernel receives into.
#pragma once

#include <liburing.h>

#include <string>
#include <vector>

#include "io_uring.hpp"

namespace ringdns {

// Which operation of ours an entry is; back with its completion.
enum class Op : uint8_t {
  none,
  probe,
  cancel_datagram,
  cancel_stream,     // index and generation: of the stream
  datagram_receive,  // index: socket; multishot
  datagram_slot,     // index: receive slot; single
  datagram_send,     // index: what was sent in this turn; generation: the turn
  read,              // index and generation from here on: stream
  read_poll,         // the descriptor does not block: wait until it is readable
  connect,
  connect_poll,
  receive,           // multishot
  receive_single,
  receive_poll,
  write,             // from here on the sending side
  write_poll,
};

struct Mark {
  uint32_t index = 0;
  uint32_t generation : 24 = 0;
  uint32_t op : 8 = 0;
};
static_assert(sizeof(Mark) == sizeof(uint64_t));

struct Finished {
  Mark mark;
  int32_t result;
  uint32_t flags;
  Op op() const { return static_cast<Op>(mark.op); }
  bool more() const { return flags & IORING_CQE_F_MORE; }
  bool has_buffer() const { return flags & IORING_CQE_F_BUFFER; }
  uint16_t buffer() const { return static_cast<uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT); }
};

class Ring {
 public:
  Ring() = default;
  Ring(const Ring&) = delete;
  ~Ring();

  // Empty, or why not. Keeps of `features` what the kernel has.
  std::string open(uint32_t entries, RingFeatures& features);

  // The next free entry: the caller fills it, then calls hand_over() with it.
  io_uring_sqe* entry();
  void hand_over(io_uring_sqe* entry, Op op, uint32_t index, uint32_t generation);
  void cancel(Op op, uint32_t index, uint32_t generation);

  // Everything handed over is with the kernel afterwards.
  void submit();
  // submit(), then takes in what has completed, without waiting or when there are `count`
  // completions or the time is over.
  void look();
  void wait(uint32_t count, Duration time);
  bool take(Finished& finished);
  bool any_finished() const { return taken_ < finished_.size(); }

  // Operations that the kernel has and that will complete; successful sends do not.
  uint32_t in_flight() const { return in_flight_; }

  bool is_open() const { return open_; }
  io_uring* get() { return &ring_; }

 private:
  std::string set_up(uint32_t entries, const RingFeatures& features);
  std::string probe(RingFeatures& features);
  void restrict();
  void collect();

  io_uring ring_{};
  bool open_ = false;
  uint32_t in_flight_ = 0;
  std::vector<Finished> finished_;
  size_t taken_ = 0;
};

// Pages that take up memory only once they are written to.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Mapping();
  bool open(size_t size);
  uint8_t* data() const { return data_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// Buffers of one size that the kernel picks from (registered), or we do (not registered).
class BufferPool {
 public:
  bool open(uint32_t count, uint32_t size);
  // The kernel picks from now on; false where it cannot.
  bool register_with(Ring& ring, uint16_t group);

  uint8_t* at(uint16_t id) const { return memory_.data() + size_t{id} * size_; }
  uint32_t size() const { return size_; }
  uint32_t count() const { return count_; }
  // Not registered: one that nobody has; false when there is none.
  bool take(uint16_t& id);
  // Its bytes are the caller's until the next recycle().
  void lend(uint16_t id) { lent_.push_back(id); }
  void give_back(uint16_t id);
  void recycle();

 private:
  void offer(uint16_t id, int offset);

  Mapping memory_, ring_memory_;
  io_uring_buf_ring* ring_ = nullptr;
  uint32_t count_ = 0, size_ = 0;
  std::vector<uint16_t> lent_, free_;
};

}  // namespace ringdns
