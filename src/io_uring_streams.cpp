#include "io_uring_streams.hpp"

#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace ringdns {

namespace {

constexpr size_t most_at_once = size_t{1} << 30;  // an entry's length has 32 bits
constexpr uint64_t current_position = ~uint64_t{0};

}  // namespace

RingStreams::RingStreams(Ring& ring, RingFeatures& features, std::vector<Completion>& done)
    : ring_(ring), features_(features), done_(done) {}

// ---- The table

uint32_t RingStreams::acquire() {
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(streams_.size()));
    streams_.emplace_back();
  }
  uint32_t index = free_.back();
  free_.pop_back();
  uint32_t generation = streams_[index].generation;
  streams_[index] = Stream{};
  streams_[index].generation = generation;
  return index;
}

void RingStreams::release(uint32_t index) {
  Stream& stream = streams_[index];
  stream.fd.reset();
  stream.state = State::free;
  stream.generation = (stream.generation + 1) & 0xffffff;
  free_.push_back(index);
}

bool RingStreams::current(Reference reference) const {
  const Stream& stream = streams_[reference.index];
  return stream.generation == reference.generation && stream.state != State::free;
}

void RingStreams::hand_over(io_uring_sqe* entry, Op op, uint32_t index) {
  Stream& stream = streams_[index];
  (op >= Op::write ? stream.sending : stream.receiving) = op;
  ring_.hand_over(entry, op, index, stream.generation);
}

// A terminal blocks the caller for as long as it is stopped, whatever it is told (6.18).
void RingStreams::leave_to_worker(io_uring_sqe* entry, const Stream& stream) {
  if (stream.terminal) entry->flags |= IOSQE_ASYNC;
}

void RingStreams::poll(Op op, uint32_t index, uint32_t events) {
  io_uring_sqe* entry = ring_.entry();
  io_uring_prep_poll_add(entry, streams_[index].fd.get(), events);
  hand_over(entry, op, index);
}

void RingStreams::tell(Event event, Token token, int32_t result, Bytes bytes) {
  if (ending_) return;
  Completion completion{};
  completion.event = event;
  completion.result = result;
  completion.token = token;
  completion.bytes = bytes;
  done_.push_back(completion);
}

// ---- What comes back

void RingStreams::on_finished(const Finished& finished) {
  Reference reference{finished.mark.index, finished.mark.generation};
  uint32_t index = reference.index;
  if (!current(reference)) {
    if (finished.has_buffer()) buffers_.lend(finished.buffer());
    return;
  }
  Stream& stream = streams_[index];
  Op op = finished.op();
  if (op == Op::cancel_stream) {
    // Being executed: what it waits for is made to end.
    if (finished.result == -EALREADY && stream.state == State::closing)
      shutdown(stream.fd.get(), SHUT_RDWR);
    return;
  }
  if (!finished.more()) (op >= Op::write ? stream.sending : stream.receiving) = Op::none;
  if (ending_) return;
  switch (op) {
    case Op::read: return on_read(index, finished.result);
    case Op::read_poll: return go_on_reading(index);
    case Op::write: return on_write(index, finished.result);
    case Op::write_poll:
      return stream.state == State::closing ? on_write(index, -ECANCELED) : go_on_writing(index);
    case Op::connect:
    case Op::connect_poll: return on_connect(index, finished.result);
    case Op::receive:
    case Op::receive_single:
    case Op::receive_poll: return on_receive(index, finished);
    case Op::none:
    case Op::probe:
    case Op::cancel_datagram:
    case Op::cancel_stream:
    case Op::datagram_receive:
    case Op::datagram_slot:
    case Op::datagram_send: break;
  }
  ensure(false, "a completion of a stream is one that streams ask for");
}

void RingStreams::cancel() {
  ending_ = true;
  for (uint32_t index = 0; index < streams_.size(); ++index)
    if (streams_[index].state != State::free) cancel_operations(index);
}

void RingStreams::cancel_operations(uint32_t index) {
  const Stream& stream = streams_[index];
  for (Op op : {stream.receiving, stream.sending})
    if (op != Op::none) ring_.cancel(op, index, stream.generation);
}

// ---- Streams

StreamId RingStreams::open_stream(Fd fd) {
  uint32_t index = acquire();
  struct stat facts {};
  streams_[index].file = fstat(fd.get(), &facts) == 0 && S_ISREG(facts.st_mode);
  streams_[index].terminal = isatty(fd.get());
  streams_[index].fd = std::move(fd);
  streams_[index].state = State::stream;
  return {index};
}

void RingStreams::close_stream(StreamId id) {
  const Stream& stream = streams_[id.v];
  ensure(stream.state == State::stream && stream.receiving == Op::none &&
             stream.sending == Op::none,
         "a stream is closed when nothing is in flight");
  release(id.v);
}

void RingStreams::read(StreamId id, MutableBytes into, Token token) {
  Stream& stream = streams_[id.v];
  ensure(stream.state == State::stream && stream.receiving == Op::none, "one read at a time");
  stream.in = {token, into.data(), into.size(), 0};
  go_on_reading(id.v);
}

void RingStreams::go_on_reading(uint32_t index) {
  const Stream& stream = streams_[index];
  io_uring_sqe* entry = ring_.entry();
  io_uring_prep_read(entry, stream.fd.get(), stream.in.bytes,
                     static_cast<unsigned>(std::min(stream.in.size, most_at_once)),
                     current_position);
  leave_to_worker(entry, stream);
  hand_over(entry, Op::read, index);
}

void RingStreams::on_read(uint32_t index, int32_t result) {
  // EAGAIN: a descriptor that was opened not to block, perhaps by who started us.
  if (result == -EAGAIN) return poll(Op::read_poll, index, POLLIN);
  if (result == -EINTR) return go_on_reading(index);
  tell(Event::read, streams_[index].in.token, result);
}

void RingStreams::write(StreamId id, Bytes bytes, Token token) {
  Stream& stream = streams_[id.v];
  bool usable = stream.state == State::stream || stream.state == State::connected;
  ensure(usable && !stream.writing, "one write at a time");
  stream.out = {token, const_cast<uint8_t*>(bytes.data()), bytes.size(), 0};
  stream.writing = true;
  go_on_writing(id.v);
}

void RingStreams::go_on_writing(uint32_t index) {
  Stream& stream = streams_[index];
  const uint8_t* start = stream.out.bytes + stream.out.done;
  size_t length = std::min(stream.out.size - stream.out.done, most_at_once);
  io_uring_sqe* entry = ring_.entry();
  if (stream.state == State::connected)
    io_uring_prep_send(entry, stream.fd.get(), start, length, MSG_WAITALL | MSG_NOSIGNAL);
  else
    io_uring_prep_write(entry, stream.fd.get(), start, static_cast<unsigned>(length),
                        current_position);
  if (stream.file) stream.position = lseek(stream.fd.get(), 0, SEEK_CUR);
  leave_to_worker(entry, stream);
  hand_over(entry, Op::write, index);
}

void RingStreams::on_write(uint32_t index, int32_t result) {
  Stream& stream = streams_[index];
  if (result > 0) stream.out.done += static_cast<size_t>(result);
  // A full disk or a limit cut the write short. The kernel (6.18) leaves the file's position where
  // it was then, and what follows would be written over what was.
  bool cut_short = result > 0 && stream.out.done < stream.out.size;
  if (stream.file && cut_short) lseek(stream.fd.get(), stream.position + result, SEEK_SET);
  bool whole = stream.out.done == stream.out.size && result >= 0;
  if (stream.state == State::closing) {
    if (!whole && (result >= 0 || result == -EINTR || result == -EAGAIN)) result = -ECANCELED;
    end_write(stream, whole ? static_cast<int32_t>(stream.out.size) : result);
    return close_if_quiet(index);
  }
  if (whole) return end_write(stream, static_cast<int32_t>(stream.out.size));
  if (result == -EAGAIN) return poll(Op::write_poll, index, POLLOUT);
  if (result > 0 || result == -EINTR) return go_on_writing(index);
  end_write(stream, result == 0 ? -EIO : result);
}

void RingStreams::end_write(Stream& stream, int32_t result) {
  stream.writing = false;
  tell(Event::written, stream.out.token, result);
}

}  // namespace ringdns
