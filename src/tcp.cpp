#include "ringdns/tcp.hpp"

#include <algorithm>
#include <cerrno>

namespace ringdns {

namespace {
constexpr Duration shortage_pause = std::chrono::milliseconds(100);   // with none open
constexpr Duration shortage_memory = std::chrono::seconds(1);
constexpr uint8_t most_moves = 3;               // of a lookup, at no charge
constexpr size_t most_held_memory = 32 * 1024 * 1024;
constexpr uint32_t remembered_servers = 65536;  // beyond those that are busy

// Nothing is wrong with the server: this host has no descriptor, port or memory to spare. Without
// an address to reach it from, EADDRNOTAVAIL would come every time.
bool local(int error, const TcpServer& server) {
  if (error == EADDRNOTAVAIL) return server.answered != Instant{};
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
         error == EAGAIN;
}
}  // namespace

void Window::resize(uint32_t places) {
  entries_.assign(places, {});
  free_.resize(places);
  for (uint32_t place = 0; place < places; ++place) free_[place] = static_cast<uint16_t>(place);
  first_free_ = used_ = tombstones_ = 0;
}

uint16_t Window::acquire(Rng& rng, uint32_t slot) {
  uint32_t mask = static_cast<uint32_t>(entries_.size() - 1);
  uint16_t place = free_[first_free_];
  first_free_ = (first_free_ + 1) & mask;
  ++used_;
  uint16_t id = static_cast<uint16_t>((rng.next() & ~mask) | place);
  entries_[place] = {slot, id, true};
  return id;
}

void Window::release(uint16_t id) {
  uint16_t place = id & static_cast<uint16_t>(entries_.size() - 1);
  tombstones_ -= entries_[place].slot == tombstone;
  entries_[place].slot = vacant;
  --used_;
  free_[(first_free_ + entries_.size() - 1 - used_) & (entries_.size() - 1)] = place;
}

void Window::bury(uint16_t id) {
  entries_[id & (entries_.size() - 1)].slot = tombstone;
  ++tombstones_;
}

Tcp::Tcp(Io& io, Rng& rng, Lookups& lookups, const Options& options, TcpStats& stats,
         uint8_t token_kind)
    : io_(io), rng_(rng), lookups_(lookups), options_(options), stats_(stats),
      token_kind_(token_kind),
      servers_(rng, lookups.size() + options.tcp_connections + remembered_servers),
      connections_(options.tcp_connections),
      timer_lists_(options.tcp_connections, TimerWheel::buckets),
      timers_(timer_lists_, 0, options.tcp_connections),
      idle_(options.tcp_connections, 1),
      tickets_(std::make_unique_for_overwrite<Ticket[]>(lookups.size())) {
  for (uint32_t index = options.tcp_connections; index-- > 0;)
    free_connections_.push_back(static_cast<uint16_t>(index));
}

// ---- The table of tcp_machine.hpp, put into effect

void Tcp::handle(uint32_t index, ConnectionEvent event) {
  Connection& connection = connections_[index];
  ConnectionStep next = step(connection.state, event);
  connection.state = next.next;
  switch (next.action) {
    case ConnectionAction::none:
    case ConnectionAction::open: return;
    case ConnectionAction::flush:
      if (idle_.listed(index)) idle_.remove(index);
      return;
    case ConnectionAction::charge: return charge_waiters(index);
    case ConnectionAction::rest: return rest(index);
    case ConnectionAction::requeue_fin:
      stats_.died += connection.window.answerable() > 0;
      requeue(index);
      return close(index, CloseKind::fin);
    case ConnectionAction::requeue_reset:
      requeue(index);
      return close(index, CloseKind::reset);
    case ConnectionAction::finish: return close(index, CloseKind::fin);
    case ConnectionAction::release: return release(index);
  }
}

void Tcp::open_connection(uint32_t server) {
  if (full()) {
    if (!idle_.empty(0)) {
      ++stats_.evicted;
      handle(idle_.front(0), ConnectionEvent::evicted);
    }
    return want(server);  // until that descriptor is closed
  }
  uint16_t index = free_connections_.back();
  if (!connect(index, server)) return;
  free_connections_.pop_back();
  ++in_use_;
  ++stats_.opened;
  stats_.open_most = std::max<uint64_t>(stats_.open_most, in_use_);
}

bool Tcp::connect(uint32_t index, uint32_t server) {
  Connection& connection = connections_[index];
  TcpServer& record = servers_[server];
  ConnectOptions options;
  options.to = record.address;
  options.max_segment = options_.tcp_mss;
  options.fast_open = options_.tcp_fastopen;
  for (const Address& address : options_.bind)
    if (address.family() == options.to.family()) options.bind = address;
  // The port named with -b is UDP's: many connections cannot share one.
  if (options.bind.family() != AF_UNSPEC) options.bind.set_port(0);
  options.foreign = options.to.is_ipv6() && !options_.sources.empty();
  if (options.foreign) options.bind = draw_source(options_.sources, rng_);

  uint32_t generation = (connection.generation + 1) & 0xffffff;
  Io::OpenedConnection opened = io_.connect(options, {index, generation, token_kind_});
  if (!opened.id.valid()) {
    if (local(opened.error, record)) {
      note_shortage(in_use_);
      want(server);
    } else {
      servers_.note_connect_failure(record, true, now_);
      lose_waiters(server, TcpFailure::refused);
    }
    return false;
  }
  Window window = std::move(connection.window);
  Buffer out = std::move(connection.out);
  connection = Connection{};
  connection.window = std::move(window);
  connection.out = std::move(out);
  connection.window.resize(std::bit_ceil(options_.tcp_pipeline));
  connection.generation = generation;
  connection.server = server;
  connection.stream = opened.id;
  connection.opened = connection.heard = now_;
  connection.idle_time = options_.tcp_idle;
  // Behind the older ones, which have shown that they answer: serve() fills those first.
  uint16_t* link = &record.first_connection;
  while (*link != no_connection) link = &connections_[*link].next_of_server;
  *link = static_cast<uint16_t>(index);
  ++record.connections;
  handle(index, ConnectionEvent::acquired);
  arm(index);
  return true;
}

// This host gives no more connections than are open: they are all there are for a while.
void Tcp::note_shortage(uint32_t open) {
  ++stats_.local_errors;
  shortage_limit_ = open;
  shortage_until_ = now_ + (open == 0 ? shortage_pause : shortage_memory);
}

// The lookups go on waiting until this host has a port to spare.
void Tcp::postpone(uint32_t index) {
  Connection& connection = connections_[index];
  ++stats_.connect_failures;
  note_shortage(in_use_ - 1);
  want(connection.server);
  handle(index, ConnectionEvent::postponed);
}

void Tcp::rest(uint32_t index) {
  Connection& connection = connections_[index];
  connection.idle_until = now_ + connection.idle_time;
  idle_.push_back(0, index);
  arm(index);
  if (wanting_.empty()) return;
  ++stats_.evicted;
  handle(index, ConnectionEvent::evicted);
}

// The progress rule.
void Tcp::requeue(uint32_t index) {
  Connection& connection = connections_[index];
  TcpServer& server = servers_[connection.server];
  bool answered = connection.answers > 0;
  bool stalled = now_ - connection.heard >= least_stall;
  if (connection.window.answerable() > 0) {
    // One that takes queries and never answered any is as good as one that cannot be reached.
    bool unknown = server.answered == Instant{};
    if (stalled && !answered) fail_server(connection.server, TcpFailure::timeout, unknown);
    if (!stalled || answered || !unknown)
      servers_.note_death(server, connection.answers, now_);
  }
  connection.window.clear([&](uint32_t slot) {
    Lookup& lookup = lookups_[slot];
    tickets_[slot].place = Place::none;
    if (answered && lookup.moves < most_moves && !lookup.transferring) {
      ++lookup.moves;
      ++stats_.requeued;
      push(connection.server, slot, true);
    } else {
      ++stats_.charged;
      lose(slot, stalled ? TcpFailure::timeout : TcpFailure::closed);
    }
  });
}

void Tcp::charge_waiters(uint32_t index) {
  Connection& connection = connections_[index];
  ++stats_.connect_failures;
  fail_server(connection.server,
              connection.refused ? TcpFailure::refused : TcpFailure::timeout, true);
  close(index, CloseKind::fin);
}

// Lookups that wait for another connection of this server's go on waiting for it. Where none is up,
// the failure counts all the same: several that fail by turns would hide it for ever.
void Tcp::fail_server(uint32_t server, TcpFailure why, bool unreachable) {
  TcpServer& record = servers_[server];
  for (uint16_t index = record.first_connection; index != no_connection;
       index = connections_[index].next_of_server) {
    ConnectionState state = connections_[index].state;
    if (state != ConnectionState::connecting && state != ConnectionState::closing) return;
  }
  if (unreachable) servers_.note_connect_failure(record, why == TcpFailure::refused, now_);
  if (record.connections == 1) lose_waiters(server, why);
}

// Its crowd came before it could show that it answers, which by now it should have: others may.
void Tcp::thin_out(Connection& connection) {
  connection.thinned = true;
  while (servers_[connection.server].waiting > TcpServers::crowd) {
    uint32_t slot = servers_[connection.server].last;
    unlink(slot);
    lose(slot, TcpFailure::crowded);
  }
}

void Tcp::close(uint32_t index, CloseKind kind) {
  Connection& connection = connections_[index];
  TcpServer& server = servers_[connection.server];
  uint16_t* link = &server.first_connection;
  while (*link != index) link = &connections_[*link].next_of_server;
  *link = connection.next_of_server;
  --server.connections;
  if (server.waiting) mark_due(connection.server);

  if (idle_.listed(index)) idle_.remove(index);
  if (timer_lists_.listed(index)) timers_.disarm(index);
  held_memory_ -= connection.framing.memory();
  connection.framing.reset();
  if (connection.connected) {
    ++stats_.ended;
    stats_.age.add(static_cast<uint64_t>((now_ - connection.opened) / std::chrono::milliseconds(1)));
    stats_.queries_per_connection.add(connection.answers);
  }
  io_.close_connection(connection.stream, kind);
}

void Tcp::release(uint32_t index) {
  free_connections_.push_back(static_cast<uint16_t>(index));
  --in_use_;
  serve_next_wanting();
}

// ---- What the Io tells

void Tcp::on_completion(const Completion& completion, User& user) {
  uint32_t index = completion.token.slot;
  Connection& connection = connections_[index];
  ensure(completion.token.generation == connection.generation, "a connection's events end with it");
  switch (completion.event) {
    case Event::connected:
      if (connection.state != ConnectionState::connecting) return;
      if (local(-completion.result, servers_[connection.server])) return postpone(index);
      connection.connected = completion.result == 0;
      connection.refused = completion.result != 0 && completion.result != -ETIMEDOUT;
      handle(index, connection.connected ? ConnectionEvent::connected : ConnectionEvent::failed);
      return connection.connected ? settle(index) : void();
    case Event::received:
      if (completion.result > 0) return on_received(index, completion, user);
      return handle(index, ConnectionEvent::died);
    case Event::written:
      connection.writing = false;
      if (completion.result >= 0) return settle(index);
      // REQ 22: replies that came before the end are told before the end is.
      connection.unwritable = true;
      connection.heard = now_;
      return arm(index);
    case Event::closed: return handle(index, ConnectionEvent::closed);
    default: ensure(false, "an event that no connection has");
  }
}

void Tcp::on_received(uint32_t index, const Completion& completion, User& user) {
  Connection& connection = connections_[index];
  if (connection.state == ConnectionState::closing) return;
  connection.heard = now_;
  held_memory_ -= connection.framing.memory();
  Framing::Outcome outcome = connection.framing.take(
      completion.bytes, [&](Bytes message) { return on_message(index, message, user); });
  held_memory_ += connection.framing.memory();
  bool misbehaved = outcome == Framing::Outcome::bad_length || connection.strays >= most_strays ||
                    (held_memory_ > most_held_memory && connection.framing.memory() > 0);
  if (!misbehaved) return settle(index);
  ++stats_.misbehaved;
  handle(index, ConnectionEvent::misbehaved);
}

bool Tcp::on_message(uint32_t index, Bytes message, User& user) {
  Connection& connection = connections_[index];
  Header header(message);
  uint32_t slot = connection.window.holder(header.id());
  if (connection.window.answered(header.id())) {  // a duplicate harms nobody
    ++stats_.late;
    return true;
  }
  if (!header.qr() || slot == Window::vacant) return stray(connection);
  if (slot == Window::tombstone) {
    ++stats_.late;
    connection.window.release(header.id());
    return true;
  }
  Lookup& lookup = lookups_[slot];
  // RFC 5936 2.2.1: a transfer's later messages may leave the question out.
  bool continues = lookup.transferring && header.qdcount() == 0;
  if (!continues && match_question(message, lookups_.name(slot).bytes(), lookup.type) ==
                        QuestionMatch::other)
    return stray(connection);
  if (!lookup.transferring) count_answer(connection, slot);
  if (!lookup.transfer) complete(slot);
  told_ = index;
  user.on_tcp_reply(slot, message);
  told_ = no_connection;
  return connection.strays < most_strays;
}

bool Tcp::stray(Connection& connection) {
  ++stats_.strays;
  return ++connection.strays < most_strays;
}

void Tcp::count_answer(Connection& connection, uint32_t slot) {
  TcpServer& server = servers_[connection.server];
  uint32_t microseconds = to_us(now_) - lookups_[slot].sent_us;
  ++stats_.replies;
  stats_.latency.add(microseconds);
  servers_.note_answer(server, std::chrono::microseconds(microseconds), now_);
  ++connection.answers;
  if (++connection.clean < server.depth) return;
  connection.clean = 0;
  server.depth = static_cast<uint16_t>(std::min<uint32_t>(server.depth * 2u, options_.tcp_pipeline));
}

// After anything that may have changed what the connection owes or may be given.
void Tcp::settle(uint32_t index) {
  Connection& connection = connections_[index];
  bool idle = connection.state == ConnectionState::idle;
  bool draining = connection.state == ConnectionState::draining;
  bool open = connection.state == ConnectionState::active || draining || idle;
  if (!open || connection.writing || index == told_) return;
  const TcpServer& server = servers_[connection.server];
  if (idle) return server.waiting ? mark_due(connection.server) : void();
  if (server.waiting && !draining) {
    if (room(connection) > 0) return mark_due(connection.server);
    if (spent(connection)) return end_spent(index);
  }
  if (connection.window.answerable() == 0) handle(index, ConnectionEvent::drained);
}

// Its window is full of queries that it let time out.
void Tcp::end_spent(uint32_t index) {
  Connection& connection = connections_[index];
  ++stats_.stalled;
  servers_.note_death(servers_[connection.server], connection.answers, now_);
  handle(index, ConnectionEvent::timer);
}

uint32_t Tcp::room(const Connection& connection) const {
  const TcpServer& server = servers_[connection.server];
  if (connection.transfer || connection.unwritable || connection.window.full()) return 0;
  uint32_t limit = std::min(servers_.answer_limit(server, now_), most_queries);
  uint32_t used = connection.window.used();
  if (connection.queries >= limit || used >= server.depth) return 0;
  return std::min(limit - connection.queries, server.depth - used);
}

void Tcp::obey_keepalive(uint16_t timeout) {
  if (told_ == no_connection) return;
  Connection& connection = connections_[told_];
  if (timeout == 0) return handle(told_, ConnectionEvent::retire);
  // REQ 11: before the server does.
  constexpr Duration unit = std::chrono::milliseconds(100);
  connection.idle_time = std::min(options_.tcp_idle, std::max(timeout * unit - unit, unit / 2));
}

void Tcp::hold_transfers(bool on) {
  transfers_held_ = on;
  for (Connection& connection : connections_) {
    bool open = connection.state == ConnectionState::active ||
                connection.state == ConnectionState::draining;
    if (!open || !connection.transfer) continue;
    io_.set_receiving(connection.stream, !on);
    connection.heard = now_;
  }
}

void Tcp::close_all() {
  for (uint32_t index = 0; index < connections_.size(); ++index) {
    Connection& connection = connections_[index];
    if (connection.state == ConnectionState::free || connection.state == ConnectionState::closing)
      continue;
    if (connection.state == ConnectionState::connecting) ++stats_.connect_failures;
    connection.state = ConnectionState::closing;
    close(index, CloseKind::fin);
  }
}

}  // namespace ringdns
