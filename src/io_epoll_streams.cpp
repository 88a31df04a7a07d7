#include "io_epoll_streams.hpp"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "io_sockets.hpp"

namespace ringdns {

namespace {

constexpr size_t most_per_call = size_t{1} << 30;  // results are 32 bits wide
constexpr size_t most_received = 256 * 1024;       // by one connection in one turn

bool poll_now(int fd, short events) {
  pollfd looked{fd, events, 0};
  return poll(&looked, 1, 0) > 0;
}

ssize_t result_of(ssize_t returned) { return returned < 0 ? -errno : returned; }

// The terminal opened anew: an open file that nobody shares, and O_NONBLOCK on it is ours to set.
// Without the right to (after su) a terminal that the user has stopped may make a write wait.
Fd reopen(int fd) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return Fd();
  return Fd(::open(path, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

// close() answers input that nobody read with RST instead of FIN (RFC 2525 2.17).
void discard_input(int fd) {
  constexpr size_t step = size_t{1} << 20;
  for (int turn = 0; turn < 16; ++turn)
    if (recv(fd, nullptr, step, MSG_TRUNC | MSG_DONTWAIT) <= 0) return;
}

}  // namespace

// ---- What is handed over

uint32_t EpollStreams::allocate() {
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(streams_.size()));
    streams_.emplace_back();
  }
  uint32_t index = free_.back();
  free_.pop_back();
  streams_[index] = Stream();
  return index;
}

void EpollStreams::release(uint32_t index) {
  Stream& stream = streams_[index];
  disarm(stream);
  stream.fd.reset();
  stream.state = State::free;
  free_.push_back(index);
}

StreamId EpollStreams::open(Fd fd) {
  uint32_t index = allocate();
  Stream& stream = streams_[index];
  stream.state = State::stream;
  struct stat facts {};
  bool known = fstat(fd.get(), &facts) == 0;
  if (known && (S_ISREG(facts.st_mode) || S_ISBLK(facts.st_mode) || S_ISDIR(facts.st_mode)))
    stream.access = Access::direct;
  else if (known && S_ISSOCK(facts.st_mode))
    stream.access = Access::socket;
  else
    stream.access = features_.nowait ? Access::nowait : Access::readiness;
  if (known && S_ISCHR(facts.st_mode) && isatty(fd.get())) {
    if (Fd own = reopen(fd.get()); own.valid()) {
      fd = std::move(own);
      stream.access = Access::own;
    }
  }
  stream.fd = std::move(fd);
  return {index};
}

void EpollStreams::read(StreamId id, MutableBytes into, Token token) {
  Stream& stream = streams_[id.v];
  ensure(stream.state == State::stream && !stream.reading.active, "one read at a time");
  ensure(!into.empty(), "a read has room");
  stream.reading = {into.data(), std::min(into.size(), most_per_call), 0, token, true};
  submit(id.v);
}

void EpollStreams::write(StreamId id, Bytes bytes, Token token) {
  Stream& stream = streams_[id.v];
  ensure(stream.state == State::stream || stream.state == State::receiving ||
             stream.state == State::ended,
         "a write is to an open stream or a connected connection");
  ensure(!stream.writing.active, "one write at a time");
  ensure(bytes.size() <= most_per_call, "a write's result fits");
  stream.writing = {const_cast<uint8_t*>(bytes.data()), bytes.size(), 0, token, true};
  submit(id.v);
}

void EpollStreams::close(StreamId id) {
  Stream& stream = streams_[id.v];
  ensure(stream.state == State::stream && !stream.reading.active && !stream.writing.active,
         "a stream is closed with nothing in flight");
  release(id.v);
}

Io::OpenedConnection EpollStreams::connect(const ConnectOptions& options, Token token) {
  TcpSocket socket = open_tcp_socket(options, SOCK_NONBLOCK);
  if (!socket.fd.valid()) return {{}, socket.error};
  uint32_t index = allocate();
  Stream& stream = streams_[index];
  stream.state = State::connecting;
  stream.access = Access::socket;
  stream.token = token;
  stream.error = ::connect(socket.fd.get(), options.to.data(), options.to.size()) == 0 ? 0 : errno;
  stream.fd = std::move(socket.fd);
  submit(index);
  return {{index}, 0};
}

void EpollStreams::set_receiving(StreamId id, bool on) {
  streams_[id.v].paused = !on;
  submit(id.v);
}

void EpollStreams::close_connection(StreamId id, CloseKind kind) {
  Stream& stream = streams_[id.v];
  ensure(stream.state == State::connecting || stream.state == State::receiving ||
             stream.state == State::ended,
         "a connection is closed once");
  stream.state = State::closing;
  stream.close_kind = kind;
  closing_.push_back(id.v);
}

void EpollStreams::submit(uint32_t index) {
  if (std::exchange(streams_[index].submitted, true)) return;
  submitted_.push_back(index);
}

// ---- What becomes of it

void EpollStreams::run_submitted() {
  // Nothing is submitted in here: only the caller of the Io does that.
  for (uint32_t index : submitted_) {
    streams_[index].submitted = false;
    start(index);
  }
  submitted_.clear();
  for (uint32_t index : closing_) finish_closing(index);
  closing_.clear();
}

void EpollStreams::start(uint32_t index) {
  Stream& stream = streams_[index];
  switch (stream.state) {
    case State::free:
    case State::closing: return;
    case State::connecting:
      if (stream.error != EINPROGRESS) finish_connect(stream, stream.error);
      break;
    case State::stream:
    case State::receiving:
    case State::ended:
      if (stream.reading.active) try_read(stream);
      if (stream.writing.active) try_write(stream);
      break;
  }
  arm(index);
}

void EpollStreams::on_event(uint32_t index, uint32_t events, TurnShare share) {
  Stream& stream = streams_[index];
  bool failed = events & (EPOLLERR | EPOLLHUP);
  switch (stream.state) {
    case State::free:
    case State::closing: return;
    case State::stream: stream.armed = 0; break;  // EPOLLONESHOT
    case State::connecting:
      finish_connect(stream, take_socket_error(stream.fd.get()));
      break;
    case State::receiving:
      if (!stream.paused && (failed || events & EPOLLIN)) try_receive(stream, share);
      break;
    case State::ended: break;
  }
  if (stream.reading.active) try_read(stream);
  if (stream.writing.active && (failed || events & EPOLLOUT)) try_write(stream);
  arm(index);
}

void EpollStreams::finish_closing(uint32_t index) {
  Stream& stream = streams_[index];
  if (stream.close_kind == CloseKind::reset) {
    set_close_resets(stream.fd.get());
  } else {
    shutdown(stream.fd.get(), SHUT_WR);
    discard_input(stream.fd.get());
  }
  if (stream.writing.active) tell_written(stream, -ECANCELED);
  results_.done.push_back({Event::closed, false, 0, stream.token, {}, nullptr});
  release(index);
}

void EpollStreams::finish_connect(Stream& stream, int error) {
  stream.state = error ? State::ended : State::receiving;
  stream.error = error;
  results_.done.push_back({Event::connected, false, -error, stream.token, {}, nullptr});
}

void EpollStreams::try_read(Stream& stream) {
  ssize_t got = read_some(stream, {stream.reading.data, stream.reading.size});
  if (got != -EAGAIN) tell_read(stream, static_cast<int32_t>(got));
}

void EpollStreams::try_write(Stream& stream) {
  Transfer& writing = stream.writing;
  while (writing.done < writing.size) {
    ssize_t put = write_some(stream, {writing.data + writing.done, writing.size - writing.done});
    if (put == -EAGAIN) return;
    if (put == 0) put = -EIO;  // no device should; without end otherwise
    if (put < 0) {
      stream.error = static_cast<int>(-put);
      return tell_written(stream, static_cast<int32_t>(put));
    }
    writing.done += static_cast<size_t>(put);
  }
  tell_written(stream, static_cast<int32_t>(writing.size));
}

void EpollStreams::try_receive(Stream& stream, TurnShare share) {
  MutableBytes space = results_.free_bytes();
  space = space.first(std::min({space.size(), share.bytes, most_received}));
  if (space.empty()) return;
  ssize_t got = read_some(stream, space);
  if (got == -EAGAIN) return;
  if (got > 0) {
    results_.done.push_back({Event::received, false, static_cast<int32_t>(got), stream.token,
                             results_.keep_bytes(static_cast<size_t>(got)), nullptr});
    return;
  }
  // A reset is told once: if a write got the error, the end here is not the peer's FIN.
  end_input(stream, static_cast<int32_t>(got == 0 ? -stream.error : got));
}

void EpollStreams::end_input(Stream& stream, int32_t result) {
  stream.state = State::ended;
  results_.done.push_back({Event::received, false, result, stream.token, {}, nullptr});
}

void EpollStreams::tell_read(Stream& stream, int32_t result) {
  stream.reading.active = false;
  results_.done.push_back({Event::read, false, result, stream.reading.token, {}, nullptr});
}

void EpollStreams::tell_written(Stream& stream, int32_t result) {
  stream.writing.active = false;
  results_.done.push_back({Event::written, false, result, stream.writing.token, {}, nullptr});
}

// ---- Reading and writing without waiting

ssize_t EpollStreams::read_some(Stream& stream, MutableBytes into) {
  for (;;) {
    ssize_t got = -EAGAIN;
    switch (stream.access) {
      case Access::direct:
      case Access::own:
        got = result_of(::read(stream.fd.get(), into.data(), into.size()));
        break;
      case Access::socket:
        got = result_of(recv(stream.fd.get(), into.data(), into.size(), MSG_DONTWAIT));
        break;
      case Access::nowait: {
        iovec vector{into.data(), into.size()};
        got = result_of(preadv2(stream.fd.get(), &vector, 1, -1, RWF_NOWAIT));
        break;
      }
      case Access::readiness:
        if (poll_now(stream.fd.get(), POLLIN))
          got = result_of(::read(stream.fd.get(), into.data(), into.size()));
        break;
    }
    bool unknown = got == -EOPNOTSUPP || got == -ENOSYS || got == -EPERM;
    if (stream.access == Access::nowait && unknown)
      stream.access = Access::readiness;
    else if (got != -EINTR)
      return got;
  }
}

ssize_t EpollStreams::write_some(Stream& stream, Bytes bytes) {
  for (;;) {
    ssize_t put = -EAGAIN;
    switch (stream.access) {
      case Access::direct:
      case Access::own:
        put = result_of(::write(stream.fd.get(), bytes.data(), bytes.size()));
        break;
      case Access::socket:
        put = result_of(
            send(stream.fd.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
        // Fast open without a cookie: the handshake has begun, without our data.
        if (put == -EINPROGRESS || put == -EALREADY) put = -EAGAIN;
        break;
      case Access::nowait: {
        iovec vector{const_cast<uint8_t*>(bytes.data()), bytes.size()};
        put = result_of(pwritev2(stream.fd.get(), &vector, 1, -1, RWF_NOWAIT));
        break;
      }
      case Access::readiness:
        if (poll_now(stream.fd.get(), POLLOUT))
          put = result_of(
              ::write(stream.fd.get(), bytes.data(), std::min<size_t>(bytes.size(), PIPE_BUF)));
        break;
    }
    bool unknown = put == -EOPNOTSUPP || put == -ENOSYS || put == -EPERM;
    if (stream.access == Access::nowait && unknown)
      stream.access = Access::readiness;
    else if (put != -EINTR)
      return put;
  }
}

// ---- Waiting for epoll

uint32_t EpollStreams::wanted(const Stream& stream) const {
  uint32_t write = stream.writing.active ? EPOLLOUT : 0u;
  switch (stream.state) {
    case State::free:
    case State::closing: return 0;
    case State::stream: {
      uint32_t events = (stream.reading.active ? EPOLLIN : 0u) | write;
      return events ? events | EPOLLONESHOT : 0;
    }
    case State::connecting: return EPOLLOUT;
    // A shot for a paused one: a hang-up would come again and again.
    case State::receiving:
      return stream.paused ? (write ? write | EPOLLONESHOT : 0u) : EPOLLIN | write;
    case State::ended: return write;
  }
  return 0;
}

void EpollStreams::arm(uint32_t index) {
  Stream& stream = streams_[index];
  uint32_t events = wanted(stream);
  if (events == stream.armed) return;
  // Errors and hang-ups come unasked for, so that an idle connection must not stay registered;
  // an idle stream is silent, its one shot having been fired.
  if (events == 0) {
    if (stream.state != State::stream) disarm(stream);
    return;
  }
  epoll_event event{events, {.u64 = index}};
  int operation = stream.registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (epoll_ctl(epoll_, operation, stream.fd.get(), &event) != 0) return cannot_wait(index, errno);
  stream.registered = true;
  stream.armed = events;
}

void EpollStreams::disarm(Stream& stream) {
  // Not left to close(): another process may hold the same open file, and with it the registration.
  if (stream.registered) epoll_ctl(epoll_, EPOLL_CTL_DEL, stream.fd.get(), nullptr);
  stream.registered = false;
  stream.armed = 0;
}

void EpollStreams::cannot_wait(uint32_t index, int error) {
  Stream& stream = streams_[index];
  if (error == EPERM && stream.access != Access::direct) {  // a device that is always ready
    stream.access = Access::direct;
    return start(index);
  }
  if (stream.state == State::connecting) finish_connect(stream, error);
  if (stream.state == State::receiving) end_input(stream, -error);
  if (stream.reading.active) tell_read(stream, -error);
  if (stream.writing.active) tell_written(stream, -error);
}

}  // namespace ringdns
