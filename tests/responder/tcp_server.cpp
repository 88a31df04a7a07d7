#include "tcp_server.hpp"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

#include <cerrno>

namespace responder {
namespace {

constexpr size_t read_size = 256 * 1024;
constexpr int accepts_a_turn = 1024;
constexpr size_t prefix_size = 2;
// How long a client may take to close after our FIN.
constexpr Duration linger = std::chrono::seconds(2);

Fd open_spare() { return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

}  // namespace

TcpServer::TcpServer(std::vector<Listener>& listeners, int epoll, uint64_t tag)
    : epoll_(epoll), tag_(tag), spare_(open_spare()),
      octets_(std::make_unique_for_overwrite<uint8_t[]>(read_size)) {
  slots_.reserve(listeners.size());
}

void TcpServer::acceptable(Listener& listener, Instant now) {
  for (int i = 0; i < accepts_a_turn; ++i) {
    Fd fd(accept4(listener.tcp.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      open(listener, std::move(fd), now);
      continue;
    }
    if (errno == EMFILE || errno == ENFILE) shed(listener);
    return;
  }
}

// Out of descriptors: the connection is taken and closed, or its event would come for ever.
void TcpServer::shed(Listener& listener) {
  spare_.reset();
  Fd(accept4(listener.tcp.get(), nullptr, nullptr, SOCK_CLOEXEC)).reset();
  spare_ = open_spare();
}

void TcpServer::open(Listener& listener, Fd fd, Instant now) {
  int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  uint32_t number = static_cast<uint32_t>(slots_.size());
  if (free_.empty()) {
    slots_.emplace_back();
  } else {
    number = free_.back();
    free_.pop_back();
  }
  slots_[number].connection = std::make_unique<Connection>();
  Connection& connection = *slots_[number].connection;
  connection.fd = std::move(fd);
  connection.listener = &listener;
  TcpCounts& counts = listener.tcp_counts;
  ++counts.accepts;
  counts.open_most = std::max(counts.open_most, ++counts.open_now);
  open_most_ = std::max(open_most_, ++open_now_);

  watch(number, EPOLL_CTL_ADD);
  on_accept(listener.state, connection.state, now, actions_);
  perform(number, now);
}

void TcpServer::ready(uint64_t key, uint32_t events, Instant now) {
  uint32_t number = static_cast<uint32_t>(key);
  Connection* connection = find(number);
  if (!connection || key_of(number) != key) return;  // it ended earlier in this turn
  bool reading = connection->phase != Phase::deaf && !connection->client_ended;
  if (!reading && (events & (EPOLLERR | EPOLLHUP)))
    return end(number, connection->half_closed ? &TcpCounts::fin_by_server
                                               : &TcpCounts::rst_by_client);
  if (reading && (events & (EPOLLIN | EPOLLERR | EPOLLHUP))) read(number, now);
  if (find(number) && (events & EPOLLOUT)) write(number, now);
}

void TcpServer::read(uint32_t number, Instant now) {
  Connection& connection = *find(number);
  ssize_t got = recv(connection.fd.get(), octets_.get(), read_size, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0)
    return end(number, connection.half_closed ? &TcpCounts::fin_by_server
                                              : &TcpCounts::rst_by_client);
  if (got == 0) return on_client_end(number);
  if (connection.phase == Phase::closing) return;
  take_messages(connection, {octets_.get(), static_cast<size_t>(got)}, now);
  perform(number, now);
}

void TcpServer::take_messages(Connection& connection, Bytes bytes, Instant now) {
  bool whole = connection.partial.empty();
  if (!whole) connection.partial.insert(connection.partial.end(), bytes.begin(), bytes.end());
  Bytes rest = whole ? bytes : Bytes(connection.partial);
  uint64_t pipelined = connection.late + connection.state.held_sizes.size();
  while (rest.size() >= prefix_size) {
    size_t length = ringdns::load_u16(rest.data());
    if (rest.size() < prefix_size + length) break;
    ++pipelined;
    on_message(connection.listener->state, connection.state, rest.subspan(prefix_size, length), now,
               actions_);
    rest = rest.subspan(prefix_size + length);
  }
  Octets left(rest.begin(), rest.end());
  connection.partial = std::move(left);
  TcpCounts& counts = connection.listener->tcp_counts;
  counts.pipelined_most = std::max(counts.pipelined_most, pipelined);
}

// The client sends no more. What it is still owed goes out first: a half-close is no close.
void TcpServer::on_client_end(uint32_t number) {
  Connection& connection = *find(number);
  if (connection.half_closed) return end(number, &TcpCounts::fin_by_server);
  connection.client_ended = true;
  if (drained(connection)) return end(number, &TcpCounts::fin_by_client);
  watch(number, EPOLL_CTL_MOD);
}

bool TcpServer::drained(const Connection& connection) const {
  return connection.written == connection.queued && connection.late == 0 &&
         connection.marks.empty() && connection.state.held_sizes.empty();
}

// Does what the pure function asked for this connection.
void TcpServer::perform(uint32_t number, Instant now) {
  Connection& connection = *find(number);
  for (const Action& action : actions_.list) {
    if (action.act == Act::wake) {
      schedule(number, Timer::What::wake, now + action.delay);
    } else if (action.delay > Duration{}) {
      schedule(number, Timer::What::act, now + action.delay, action);
      ++connection.late;
    } else {
      queue(connection, action, actions_.of(action));
    }
  }
  actions_.clear();
  write(number, now);
}

void TcpServer::schedule(uint32_t number, Timer::What what, Instant at, const Action& action) {
  Bytes bytes = actions_.of(action);
  timers_.add(at, {number, slots_[number].generation, what, action,
                   Octets(bytes.begin(), bytes.end())});
}

void TcpServer::queue(Connection& connection, const Action& action, Bytes bytes) {
  if (connection.half_closed) return;
  if (action.act != Act::send || !action.pace.plain())
    connection.marks.push_back({connection.queued, action.act, bytes.size(), action.pace});
  connection.out.append(bytes);
  connection.queued += bytes.size();
}

void TcpServer::write(uint32_t number, Instant now) {
  while (true) {
    Connection& connection = *find(number);
    if (!connection.marks.empty() && connection.marks.front().at <= connection.written) {
      if (!pass_mark(number, now)) break;
      continue;
    }
    uint64_t until = connection.marks.empty() ? connection.queued : connection.marks.front().at;
    if (until == connection.written) break;
    if (write_some(number, until - connection.written) != Wrote::all) break;
  }
  Connection* connection = find(number);
  if (connection && connection->client_ended && drained(*connection))
    end(number, &TcpCounts::fin_by_client);
}

TcpServer::Wrote TcpServer::write_some(uint32_t number, size_t most) {
  Connection& connection = *find(number);
  Bytes bytes = connection.out.bytes().subspan(connection.head, most);
  ssize_t sent = send(connection.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  bool full = sent < 0 && (errno == EAGAIN || errno == EINTR);
  if (sent < 0 && !full) {
    end(number, connection.half_closed ? &TcpCounts::fin_by_server : &TcpCounts::rst_by_client);
    return Wrote::dead;
  }
  size_t count = full ? 0 : static_cast<size_t>(sent);
  connection.written += count;
  connection.head += count;
  if (connection.head == connection.out.size()) {
    connection.out.clear();
    connection.head = 0;
  } else if (connection.head > connection.out.size() / 2 && connection.head > read_size) {
    connection.out.consume(connection.head);
    connection.head = 0;
  }
  bool blocked = count < most;
  if (blocked != connection.writing) {
    connection.writing = blocked;
    watch(number, EPOLL_CTL_MOD);
  }
  return blocked ? Wrote::some : Wrote::all;
}

// The stream is written up to a mark. False when there is nothing to write for now.
bool TcpServer::pass_mark(uint32_t number, Instant now) {
  Connection& connection = *find(number);
  if (connection.marks.front().act == Act::send) return write_piece(number, now);
  Act act = connection.marks.front().act;
  connection.marks.pop_front();
  switch (act) {
    case Act::send:
    case Act::wake: return true;
    case Act::reset: end(number, &TcpCounts::rst_by_server, true); return false;
    case Act::deaf:
      connection.phase = Phase::deaf;
      watch(number, EPOLL_CTL_MOD);
      return true;
    case Act::half_close:
    case Act::close:
      shutdown(connection.fd.get(), SHUT_WR);
      connection.half_closed = true;
      connection.marks.clear();
      connection.queued = connection.written;
      if (connection.client_ended) {
        end(number, &TcpCounts::fin_by_client);
      } else if (act == Act::close) {
        connection.phase = Phase::closing;
        schedule(number, Timer::What::give_up, now + linger);
      }
      return false;
  }
  return false;
}

bool TcpServer::write_piece(uint32_t number, Instant now) {
  Connection& connection = *find(number);
  Mark& mark = connection.marks.front();
  if (now < connection.not_before) {
    if (!connection.waiting) schedule(number, Timer::What::piece, connection.not_before);
    connection.waiting = true;
    return false;
  }
  const Pace& pace = mark.pace;
  uint64_t size = !mark.begun && pace.first ? pace.first : pace.piece ? pace.piece : mark.length;
  uint64_t before = connection.written;
  Wrote wrote = write_some(number, std::min(size, mark.length));
  if (wrote == Wrote::dead) return false;
  mark.begun = true;
  mark.length -= connection.written - before;
  bool last = mark.length == 0;
  // A drip goes on at its rate into the next message; a split is this message's own.
  if (!last || pace.piece) connection.not_before = now + pace.gap;
  if (last) connection.marks.pop_front();
  return wrote == Wrote::all;
}

void TcpServer::fire(Instant now) {
  Timer timer;
  while (timers_.take(now, timer))
    if (slots_[timer.connection].generation == timer.generation && find(timer.connection))
      on_timer(timer, now);
  for (uint32_t number : due_) {
    Connection* connection = find(number);
    if (!connection || !connection->due) continue;  // ended by another timer
    connection->due = false;
    write(number, now);
  }
  due_.clear();
}

void TcpServer::on_timer(const Timer& timer, Instant now) {
  Connection& connection = *find(timer.connection);
  switch (timer.what) {
    case Timer::What::act:
      --connection.late;
      queue(connection, timer.action, timer.bytes);
      if (!connection.due) due_.push_back(timer.connection);
      connection.due = true;
      return;
    case Timer::What::wake:
      on_wake(connection.listener->state, connection.state, now, actions_);
      return perform(timer.connection, now);
    case Timer::What::piece:
      connection.waiting = false;
      return write(timer.connection, now);
    case Timer::What::give_up: return end(timer.connection, &TcpCounts::fin_by_server);
  }
}

void TcpServer::watch(uint32_t number, int operation) {
  Connection& connection = *find(number);
  bool reading = connection.phase != Phase::deaf && !connection.client_ended;
  epoll_event event{};
  event.events = (reading ? EPOLLIN : 0u) | (connection.writing ? EPOLLOUT : 0u);
  event.data.u64 = key_of(number);
  epoll_ctl(epoll_, operation, connection.fd.get(), &event);
}

void TcpServer::end(uint32_t number, uint64_t TcpCounts::*how, bool with_reset) {
  Connection& connection = *find(number);
  if (with_reset) {
    struct linger abort {1, 0};
    setsockopt(connection.fd.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  }
  TcpCounts& counts = connection.listener->tcp_counts;
  --counts.open_now;
  --open_now_;
  ++(counts.*how);
  count_ended(counts, connection);
  slots_[number].connection.reset();
  ++slots_[number].generation;
  free_.push_back(number);
}

void TcpServer::count_ended(TcpCounts& counts, const Connection& connection) {
  uint64_t queries = connection.state.queries;
  ++counts.ended;
  counts.queries += queries;
  counts.queries_least = std::min(counts.queries_least, queries);
  counts.queries_most = std::max(counts.queries_most, queries);
}

TcpCounts TcpServer::counts_with_open(const Listener& listener) const {
  TcpCounts counts = listener.tcp_counts;
  for (const Slot& slot : slots_)
    if (slot.connection && slot.connection->listener == &listener)
      count_ended(counts, *slot.connection);
  return counts;
}

}  // namespace responder
