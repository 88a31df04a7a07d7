#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "io_sockets.hpp"
#include "io_uring_streams.hpp"

namespace ringdns {

namespace {

constexpr uint16_t buffer_group = 1;
constexpr uint32_t buffer_size = 16384;
constexpr uint32_t most_buffers = 256;

// Octets that arrived and nobody wants would turn our FIN into a reset.
void discard_received(int fd) {
  for (int i = 0; i < 16; ++i)
    if (recv(fd, nullptr, size_t{1} << 20, MSG_DONTWAIT | MSG_TRUNC) <= 0) return;
}

// The kernel tells a reset to one call only. Where that was a write, which had some octets to
// tell instead, the end of the stream looks like a FIN; but a FIN leaves our side open.
bool was_reset(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_state == TCP_CLOSE;
}

}  // namespace

bool RingStreams::open(uint32_t concurrency) {
  uint32_t count = features_.receive_buffers;
  if (count == 0) count = std::bit_ceil(std::clamp(concurrency / 16, 16u, most_buffers));
  if (!buffers_.open(count, buffer_size)) return false;
  if (features_.multishot) features_.multishot = buffers_.register_with(ring_, buffer_group);
  return true;
}

// ---- From the start to the first octet

Io::OpenedConnection RingStreams::connect(const ConnectOptions& options, Token token) {
  TcpSocket opened = open_tcp_socket(options, 0);
  if (!opened.fd.valid()) return {{}, opened.error};
  uint32_t index = acquire();
  Stream& stream = streams_[index];
  stream.fd = std::move(opened.fd);
  stream.state = State::connecting;
  stream.token = token;
  stream.to = options.to;
  io_uring_sqe* entry = ring_.entry();
  io_uring_prep_connect(entry, stream.fd.get(), stream.to.data(), stream.to.size());
  hand_over(entry, Op::connect, index);
  return {{index}, 0};
}

void RingStreams::on_connect(uint32_t index, int32_t result) {
  Stream& stream = streams_[index];
  if (stream.state == State::closing) return close_if_quiet(index);
  // Under way: the outcome is the socket's error once it is writable.
  if (result == -EINTR || result == -EINPROGRESS || result == -EALREADY)
    return poll(Op::connect_poll, index, POLLOUT);
  if (result > 0) result = -take_socket_error(stream.fd.get());
  if (result == -EISCONN) result = 0;
  tell(Event::connected, stream.token, result);
  if (result < 0) return;
  stream.state = State::connected;
  to_receive_.push_back(reference(index));
}

// ---- Receiving

void RingStreams::prepare() {
  buffers_.recycle();
  if (ending_) return;
  visited_.swap(to_receive_);
  for (Reference connection : visited_)
    if (current(connection)) start_receiving(connection.index);
  visited_.clear();
  visited_.swap(wanting_buffers_);
  for (Reference connection : visited_)
    if (current(connection)) receive_once(connection.index);
  visited_.clear();
  visited_.swap(to_close_);
  for (Reference connection : visited_)
    if (current(connection)) close_if_quiet(connection.index);
  visited_.clear();
}

void RingStreams::start_receiving(uint32_t index) {
  Stream& stream = streams_[index];
  if (!may_receive(stream)) return;
  // Without multishot a connection has a buffer only while it has something to put there.
  if (!features_.multishot) return poll(Op::receive_poll, index, POLLIN);
  io_uring_sqe* entry = ring_.entry();
  io_uring_prep_recv_multishot(entry, stream.fd.get(), nullptr, 0, 0);
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = buffer_group;
  hand_over(entry, Op::receive, index);
}

void RingStreams::receive_once(uint32_t index) {
  Stream& stream = streams_[index];
  if (!may_receive(stream)) return;
  if (!buffers_.take(stream.buffer)) return wanting_buffers_.push_back(reference(index));
  io_uring_sqe* entry = ring_.entry();
  io_uring_prep_recv(entry, stream.fd.get(), buffers_.at(stream.buffer), buffer_size,
                     MSG_DONTWAIT);
  hand_over(entry, Op::receive_single, index);
}

void RingStreams::on_receive(uint32_t index, const Finished& finished) {
  Stream& stream = streams_[index];
  bool once = finished.op() == Op::receive_single;
  uint16_t buffer = once ? stream.buffer : finished.buffer();
  if (once || finished.has_buffer()) buffers_.lend(buffer);
  if (stream.state == State::closing) return close_if_quiet(index);
  if (finished.op() == Op::receive_poll && finished.result >= 0)
    return stream.paused ? void() : receive_once(index);
  int32_t result = finished.result;
  // Cancelled: it was paused, and may go on by now.
  bool passing = result == -ENOBUFS || result == -EAGAIN || result == -EINTR ||
                 result == -ECANCELED;
  if (!finished.more() && (result > 0 || passing)) to_receive_.push_back(reference(index));
  if (passing || stream.deaf) return;
  if (result == 0 && was_reset(stream.fd.get())) result = -ECONNRESET;
  stream.deaf = result <= 0;
  Bytes bytes;
  if (result > 0) bytes = {buffers_.at(buffer), static_cast<size_t>(result)};
  tell(Event::received, stream.token, result, bytes);
}

void RingStreams::set_receiving(StreamId id, bool on) {
  Stream& stream = streams_[id.v];
  stream.paused = !on;
  if (on)
    to_receive_.push_back(reference(id.v));
  else if (stream.receiving != Op::none)
    ring_.cancel(stream.receiving, id.v, stream.generation);
}

// ---- The end

void RingStreams::close_connection(StreamId id, CloseKind kind) {
  Stream& stream = streams_[id.v];
  ensure(stream.state == State::connecting || stream.state == State::connected,
         "a connection is closed once");
  stream.state = State::closing;
  stream.close_kind = kind;
  cancel_operations(id.v);
  to_close_.push_back(reference(id.v));
}

// The kernel has nothing of it any more: the descriptor goes, then the word.
void RingStreams::close_if_quiet(uint32_t index) {
  Stream& stream = streams_[index];
  if (stream.receiving != Op::none || stream.sending != Op::none) return;
  if (stream.writing) end_write(stream, -ECANCELED);
  if (stream.close_kind == CloseKind::reset)
    set_close_resets(stream.fd.get());
  else
    discard_received(stream.fd.get());
  Token token = stream.token;
  release(index);
  tell(Event::closed, token, 0);
}

}  // namespace ringdns
