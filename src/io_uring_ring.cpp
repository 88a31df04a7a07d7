#include "io_uring_ring.hpp"

#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace ringdns {

namespace {

constexpr uint32_t least_entries = 32;
constexpr uint32_t completions_per_entry = 4;

// All that is ever asked of the ring.
constexpr uint8_t operations[] = {IORING_OP_NOP,     IORING_OP_SENDMSG, IORING_OP_RECVMSG,
                                  IORING_OP_SEND,    IORING_OP_RECV,    IORING_OP_READ,
                                  IORING_OP_WRITE,   IORING_OP_CONNECT, IORING_OP_POLL_ADD,
                                  IORING_OP_ASYNC_CANCEL};
constexpr uint8_t entry_flags = IOSQE_FIXED_FILE | IOSQE_ASYNC | IOSQE_BUFFER_SELECT |
                                IOSQE_CQE_SKIP_SUCCESS;
constexpr uint8_t registrations[] = {IORING_REGISTER_FILES,      IORING_REGISTER_FILES_UPDATE,
                                     IORING_UNREGISTER_FILES,    IORING_REGISTER_RING_FDS,
                                     IORING_UNREGISTER_RING_FDS, IORING_REGISTER_PBUF_RING,
                                     IORING_UNREGISTER_PBUF_RING};

std::string set_up_failure(int error) {
  switch (error) {
    case ENOSYS: return "the kernel has no io_uring";
    case EPERM:
    case EACCES: return "io_uring is forbidden (kernel.io_uring_disabled or a seccomp filter)";
    case ENOMEM: return "no memory for io_uring (ulimit -l)";
    default: return std::string("io_uring cannot be set up: ") + std::strerror(error);
  }
}

// liburing 2.3 declares functions for these two and does not export them. Returns an errno.
int register_with(const io_uring& ring, unsigned what, const void* from, size_t count) {
  return syscall(SYS_io_uring_register, ring.ring_fd, what, from, count) < 0 ? errno : 0;
}

}  // namespace

// ---- Set-up

Ring::~Ring() {
  if (open_) io_uring_queue_exit(&ring_);
}

std::string Ring::open(uint32_t entries, RingFeatures& features) {
  std::string why = set_up(entries, features);
  if (why.empty()) why = probe(features);
  if (!why.empty() && open_) {
    io_uring_queue_exit(&ring_);
    open_ = false;
  }
  return why;
}

std::string Ring::set_up(uint32_t entries, const RingFeatures& features) {
  constexpr uint32_t always = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED;
  constexpr uint32_t ways[] = {
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
      IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL, 0};
  int error = EINVAL;
  for (uint32_t way : ways) {
    if (way & IORING_SETUP_DEFER_TASKRUN && !features.deferred_task_work) continue;
    // The memory of the queues counts as locked: a small allowance gets small queues.
    for (uint32_t size = entries; size >= least_entries; size /= 2) {
      io_uring_params parameters{};
      parameters.flags = way | always;
      parameters.cq_entries = size * completions_per_entry;
      error = -io_uring_queue_init_params(size, &ring_, &parameters);
      if (error != ENOMEM) break;
    }
    open_ = error == 0;
    if (open_) return {};
    if (error != EINVAL) break;  // EINVAL: a flag that this kernel does not know
  }
  return set_up_failure(error);
}

std::string Ring::probe(RingFeatures& features) {
  constexpr uint32_t needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_RW_CUR_POS;
  io_uring_probe* probe = io_uring_get_probe_ring(&ring_);
  if (!probe) return "io_uring_register is forbidden (a seccomp filter?)";
  auto has = [&](int op) { return io_uring_opcode_supported(probe, op) != 0; };
  bool enough = (ring_.features & needed) == needed && std::ranges::all_of(operations, has);
  // Neither has a bit of its own; each came with the operation that stands for it here.
  features.multishot &= has(IORING_OP_SEND_ZC);
  features.send_to &= has(IORING_OP_SENDMSG_ZC);
  io_uring_free_probe(probe);
  if (!enough) return "the kernel's io_uring is too old (5.15 or later is needed)";
  features.skip_success &= (ring_.features & IORING_FEAT_CQE_SKIP) != 0;
  restrict();
  if (int error = register_with(ring_, IORING_REGISTER_ENABLE_RINGS, nullptr, 0))
    return set_up_failure(error);
  io_uring_register_ring_fd(&ring_);  // 5.18: saves a look-up per call; does without

  // A filter may allow the set-up and forbid the use.
  io_uring_sqe* nothing = entry();
  io_uring_prep_nop(nothing);
  hand_over(nothing, Op::probe, 0, 0);
  int result = io_uring_submit_and_wait(&ring_, 1);
  if (result < 0) return set_up_failure(-result);
  collect();
  Finished finished;
  while (take(finished)) continue;
  return {};
}

// A ring's operations pass by any seccomp filter, opening files and sockets among them. So it is
// made to refuse, for good, what is none of ours.
void Ring::restrict() {
  std::vector<io_uring_restriction> allowed;
  auto allow = [&](uint16_t what) -> io_uring_restriction& {
    io_uring_restriction& next = allowed.emplace_back();
    next.opcode = what;
    return next;
  };
  for (uint8_t operation : operations) allow(IORING_RESTRICTION_SQE_OP).sqe_op = operation;
  allow(IORING_RESTRICTION_SQE_FLAGS_ALLOWED).sqe_flags = entry_flags;
  // A kernel refuses the whole list for a registration that it does not know (EINVAL).
  for (uint8_t registration : registrations)
    allow(IORING_RESTRICTION_REGISTER_OP).register_op = registration;
  size_t least = std::size(operations) + 1;
  for (size_t count = allowed.size(); count >= least; --count)
    if (register_with(ring_, IORING_REGISTER_RESTRICTIONS, allowed.data(), count) != EINVAL) return;
}

// ---- Submission

io_uring_sqe* Ring::entry() {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  while (!entry) {
    submit();
    entry = io_uring_get_sqe(&ring_);
  }
  return entry;
}

void Ring::hand_over(io_uring_sqe* entry, Op op, uint32_t index, uint32_t generation) {
  entry->user_data =
      std::bit_cast<uint64_t>(Mark{index, generation & 0xffffff, static_cast<uint8_t>(op)});
  if (op != Op::datagram_send) ++in_flight_;
}

void Ring::cancel(Op op, uint32_t index, uint32_t generation) {
  Mark target{index, generation & 0xffffff, static_cast<uint8_t>(op)};
  io_uring_sqe* cancelling = entry();
  io_uring_prep_cancel64(cancelling, std::bit_cast<uint64_t>(target), 0);
  hand_over(cancelling, op >= Op::read ? Op::cancel_stream : Op::cancel_datagram, index,
            generation);
}

void Ring::submit() {
  while (io_uring_sq_ready(&ring_) > 0) {
    int result = io_uring_submit(&ring_);
    if (result > 0 || result == -EINTR) continue;
    // Completions must be taken first, or the kernel is short of memory for the moment.
    ensure(result == 0 || result == -EBUSY || result == -EAGAIN || result == -ENOMEM,
           "io_uring takes what is handed over");
    io_uring_get_events(&ring_);
    collect();
    sched_yield();
  }
}

// ---- Completion

void Ring::look() {
  int result = io_uring_submit_and_get_events(&ring_);
  ensure(result != -EBADR, "io_uring drops no completion");
  collect();
  submit();  // what a call with an error left behind
}

void Ring::wait(uint32_t count, Duration time) {
  constexpr Duration longest = std::chrono::hours(1);  // no overflow in the kernel's sums
  time = std::clamp(time, Duration(0), longest);
  __kernel_timespec timeout{};
  timeout.tv_sec = time.count() / 1'000'000'000;
  timeout.tv_nsec = time.count() % 1'000'000'000;
  io_uring_cqe* first = nullptr;
  int result = io_uring_submit_and_wait_timeout(&ring_, &first, count, &timeout, nullptr);
  ensure(result != -EBADR, "io_uring drops no completion");
  collect();
  submit();
}

void Ring::collect() {
  for (;;) {
    unsigned head, count = 0;
    io_uring_cqe* completion;
    io_uring_for_each_cqe(&ring_, head, completion) {
      Finished finished{std::bit_cast<Mark>(completion->user_data), completion->res,
                        completion->flags};
      if (finished.op() != Op::datagram_send && !finished.more()) --in_flight_;
      finished_.push_back(finished);
      ++count;
    }
    io_uring_cq_advance(&ring_, count);
    // More than the queue holds waits in the kernel until there is room.
    if (!io_uring_cq_has_overflow(&ring_)) return;
    int result = io_uring_get_events(&ring_);
    if (result < 0 && result != -EINTR) return;
  }
}

bool Ring::take(Finished& finished) {
  if (!any_finished()) {
    finished_.clear();
    taken_ = 0;
    return false;
  }
  finished = finished_[taken_++];
  return true;
}

// ---- Memory

Mapping::~Mapping() {
  if (data_) munmap(data_, size_);
}

bool Mapping::open(size_t size) {
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) return false;
  madvise(data, size, MADV_NOHUGEPAGE);  // most of a buffer is never touched
  *this = Mapping();
  data_ = static_cast<uint8_t*>(data);
  size_ = size;
  return true;
}

bool BufferPool::open(uint32_t count, uint32_t size) {
  if (!memory_.open(size_t{count} * size)) return false;
  count_ = count;
  size_ = size;
  lent_.reserve(count);
  free_.reserve(count);
  for (uint32_t id = count; id-- > 0;) free_.push_back(static_cast<uint16_t>(id));
  return true;
}

bool BufferPool::register_with(Ring& ring, uint16_t group) {
  if (!ring_memory_.open(count_ * sizeof(io_uring_buf))) return false;
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(ring_memory_.data());
  registration.ring_entries = count_;
  registration.bgid = group;
  if (io_uring_register_buf_ring(ring.get(), &registration, 0) != 0) return false;
  ring_ = reinterpret_cast<io_uring_buf_ring*>(ring_memory_.data());
  io_uring_buf_ring_init(ring_);
  for (uint32_t id = 0; id < count_; ++id)
    offer(static_cast<uint16_t>(id), static_cast<int>(id));
  io_uring_buf_ring_advance(ring_, static_cast<int>(count_));
  free_.clear();
  return true;
}

void BufferPool::offer(uint16_t id, int offset) {
  io_uring_buf_ring_add(ring_, at(id), size_, id, io_uring_buf_ring_mask(count_), offset);
}

bool BufferPool::take(uint16_t& id) {
  if (free_.empty()) return false;
  id = free_.back();
  free_.pop_back();
  return true;
}

void BufferPool::give_back(uint16_t id) {
  if (!ring_) return free_.push_back(id);
  offer(id, 0);
  io_uring_buf_ring_advance(ring_, 1);
}

void BufferPool::recycle() {
  if (lent_.empty()) return;
  if (ring_) {
    for (size_t i = 0; i < lent_.size(); ++i) offer(lent_[i], static_cast<int>(i));
    io_uring_buf_ring_advance(ring_, static_cast<int>(lent_.size()));
  } else {
    free_.insert(free_.end(), lent_.begin(), lent_.end());
  }
  lent_.clear();
}

}  // namespace ringdns
