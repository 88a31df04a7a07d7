// Who waits for which server, and who may write when.
#include <algorithm>

#include "ringdns/tcp.hpp"

namespace ringdns {

namespace {
// A lookup that waits for room this long asks elsewhere.
constexpr Duration queue_patience = std::chrono::seconds(20);
}  // namespace

// How long a lookup waits in one of its two states here. One that UDP might answer as well gets
// little more than a try over UDP.
Duration Tcp::patience(const Lookup& lookup, Duration usual) const {
  return lookup.optional ? std::min(usual, 2 * options_.interval) : usual;
}

void Tcp::enqueue(uint32_t slot, const Address& address) {
  push(servers_.find_or_add(address), slot, false);
}

void Tcp::push(uint32_t server, uint32_t slot, bool front) {
  TcpServer& record = servers_[server];
  Ticket& ticket = tickets_[slot];
  ticket = {no_slot, no_slot, server, no_connection, 0, Place::queued};
  if (record.waiting++ == 0) {
    record.first = record.last = slot;
  } else if (front) {
    ticket.next = record.first;
    tickets_[record.first].previous = slot;
    record.first = slot;
  } else {
    ticket.previous = record.last;
    tickets_[record.last].next = slot;
    record.last = slot;
  }
  lookups_.to_tcp_queued(slot, now_ + patience(lookups_[slot], queue_patience));
  mark_due(server);
}

void Tcp::unlink(uint32_t slot) {
  Ticket& ticket = tickets_[slot];
  TcpServer& record = servers_[ticket.server];
  (ticket.previous == no_slot ? record.first : tickets_[ticket.previous].next) = ticket.next;
  (ticket.next == no_slot ? record.last : tickets_[ticket.next].previous) = ticket.previous;
  --record.waiting;
  ticket.place = Place::none;
}

void Tcp::complete(uint32_t slot) {
  Ticket& ticket = tickets_[slot];
  ensure(ticket.place == Place::out, "what completes was asked");
  ticket.place = Place::none;
  Connection& connection = connections_[ticket.connection];
  connection.window.release(ticket.id);
  if (std::exchange(connection.transfer, false) && transfers_held_)
    io_.set_receiving(connection.stream, true);
}

void Tcp::withdraw(uint32_t slot) {
  Ticket& ticket = tickets_[slot];
  switch (std::exchange(ticket.place, Place::none)) {
    case Place::none:
    case Place::lost: return;
    case Place::queued: return unlink(slot);
    case Place::out: break;
  }
  Connection& connection = connections_[ticket.connection];
  connection.window.bury(ticket.id);
  if (!connection.transfer) {
    // Nothing came from a query's writing to its deadline, twice: what is written next would fare
    // no better, though nobody waits behind it.
    bool silent = now_ - connection.heard >= least_stall &&
                  static_cast<int32_t>(to_us(connection.heard) - lookups_[slot].sent_us) <= 0;
    connection.silences = silent ? static_cast<uint8_t>(connection.silences + 1) : uint8_t{0};
    if (connection.silences >= most_silences) return end_spent(ticket.connection);
    return settle(ticket.connection);
  }
  // What is left of a transfer would fill the connection for as long as the server likes.
  if (ticket.connection == told_) {
    connection.strays = most_strays;
  } else {
    ++stats_.misbehaved;
    handle(ticket.connection, ConnectionEvent::misbehaved);
  }
}

void Tcp::lose(uint32_t slot, TcpFailure why) {
  tickets_[slot].place = Place::lost;
  losses_.push_back({slot, why});
}

void Tcp::lose_waiters(uint32_t server, TcpFailure why) {
  while (servers_[server].waiting) {
    uint32_t slot = servers_[server].first;
    unlink(slot);
    lose(slot, why);
  }
}

void Tcp::advance(User& user) {
  timers_.expire(now_, [this](uint32_t index) { on_timer(index); });
  for (size_t free = free_connections_.size(); free > 0 && !full() && !wanting_.empty(); --free)
    serve_next_wanting();
  tell_losses(user);
  for (size_t at = 0; at < due_servers_.size(); ++at) serve(due_servers_[at], user);
  due_servers_.clear();
  tell_losses(user);
}

void Tcp::tell_losses(User& user) {
  for (size_t at = 0; at < losses_.size(); ++at) {
    Loss loss = losses_[at];
    Ticket& ticket = tickets_[loss.slot];
    if (ticket.place != Place::lost) continue;  // withdrawn meanwhile
    ticket.place = Place::none;
    user.on_tcp_failure(loss.slot, loss.why);
  }
  losses_.clear();
}

void Tcp::mark_due(uint32_t server) {
  if (std::exchange(servers_[server].due, true)) return;
  due_servers_.push_back(server);
}

void Tcp::want(uint32_t server) {
  if (std::exchange(servers_[server].wanting, true)) return;
  wanting_.push_back(server);
  if (wanting_.size() > 2 * connections_.size() + lookups_.in_flight()) forget_idle_wants();
}

// Servers whose lookups have left while no slot came free: at most one a lookup is kept.
void Tcp::forget_idle_wants() {
  std::erase_if(wanting_, [this](uint32_t server) {
    bool idle = servers_[server].waiting == 0;
    if (idle) servers_[server].wanting = false;
    return idle;
  });
}

void Tcp::serve_next_wanting() {
  while (!wanting_.empty()) {
    uint32_t server = wanting_.front();
    wanting_.pop_front();
    servers_[server].wanting = false;
    if (servers_[server].waiting == 0) continue;
    return mark_due(server);
  }
}

void Tcp::serve(uint32_t server, User& user) {
  servers_[server].due = false;
  if (servers_[server].waiting == 0) return;
  if (servers_.cooling(server, now_) && servers_[server].connections == 0)
    return lose_waiters(server, TcpFailure::refused);
  uint32_t spare = 0;  // room of connections that may not be written to right now
  uint16_t next = no_connection;
  for (uint16_t index = servers_[server].first_connection; index != no_connection; index = next) {
    Connection& connection = connections_[index];
    next = connection.next_of_server;
    // It came to rest so when nobody waited; who waits now would do so until its idle time is over.
    if (connection.state == ConnectionState::idle && spent(connection)) {
      end_spent(index);
      continue;
    }
    bool open = connection.state == ConnectionState::active ||
                connection.state == ConnectionState::idle;
    bool write = open && !connection.writing && room(connection) > 0 &&
                 !hold(connection, servers_[server]);
    if (write) {
      handle(index, ConnectionEvent::work);
      transmit(index, user);
      if (servers_[server].waiting == 0) return arm(index);
    } else if (open || connection.state == ConnectionState::connecting) {
      spare += room(connection);
    }
    arm(index);
  }
  const TcpServer& record = servers_[server];
  if (!record.wanting && record.waiting > spare && !servers_.cooling(server, now_) &&
      record.connections < servers_.connections_allowed(record, options_.tcp_per_server, now_))
    open_connection(server);
}

// Servers write an answer at a time; queries that wait for company keep that from becoming a
// packet a query. Half a window's worth, or a millisecond, is company enough.
bool Tcp::hold(Connection& connection, const TcpServer& server) {
  if (connection.window.used() == 0) return false;
  uint32_t half = std::max(1, server.depth / 2);
  if (room(connection) >= half && server.waiting >= half) return false;
  if (connection.held_since == Instant{}) connection.held_since = now_;
  return now_ - connection.held_since < hold_time;
}

void Tcp::transmit(uint32_t index, User& user) {
  Connection& connection = connections_[index];
  TcpServer& server = servers_[connection.server];
  connection.held_since = Instant{};
  connection.out.clear();
  if (connection.window.answerable() == 0) connection.heard = now_;
  while (server.waiting && room(connection) > 0) {
    uint32_t slot = server.first;
    Lookup& lookup = lookups_[slot];
    if (lookup.transfer && connection.window.answerable() > 0) break;
    unlink(slot);
    uint16_t id = connection.window.acquire(rng_, slot);
    tickets_[slot].place = Place::out;
    tickets_[slot].connection = static_cast<uint16_t>(index);
    tickets_[slot].id = id;
    uint8_t* at = reinterpret_cast<uint8_t*>(connection.out.reserve(2 + max_query));
    size_t length = user.write_tcp_query(slot, id, connection.queries == 0, {at + 2, max_query});
    store_u16(at, static_cast<uint16_t>(length));
    connection.out.commit(2 + length);
    lookup.sent_us = to_us(now_);
    lookups_.to_tcp_wait(slot, now_ + patience(lookup, options_.tcp_timeout));
    ++connection.queries;
    ++stats_.queries;
    connection.transfer = lookup.transfer;
  }
  if (connection.out.empty()) return;
  connection.writing = true;
  if (connection.transfer && transfers_held_) io_.set_receiving(connection.stream, false);
  io_.write(connection.stream, connection.out.bytes(), {index, connection.generation, token_kind_});
  // Others wait for a slot, and this one had its share; or the server would close anyway.
  uint32_t share = wanting_.empty() ? most_queries : options_.tcp_pipeline;
  uint32_t limit = std::min(servers_.answer_limit(server, now_), share);
  if (connection.queries >= limit) handle(index, ConnectionEvent::retire);
}

bool Tcp::has_room(const Address& address) const {
  uint32_t server = servers_.find(address);
  if (server == no_slot) return false;
  for (uint16_t index = servers_[server].first_connection; index != no_connection;
       index = connections_[index].next_of_server) {
    const Connection& connection = connections_[index];
    bool open = connection.state == ConnectionState::idle ||
                connection.state == ConnectionState::active;
    if (open && room(connection) > 0) return true;
  }
  return false;
}

void Tcp::check() const {
  uint32_t queued = 0, out = 0, waiting = 0, answerable = 0, in_use = 0, linked = 0;
  for (uint32_t slot = 0; slot < lookups_.size(); ++slot) {
    LookupState state = lookups_.at(slot).state;
    if (state != LookupState::tcp_queued && state != LookupState::tcp_wait) continue;
    Place place = tickets_[slot].place;
    queued += place == Place::queued;
    out += place == Place::out;
    Place due = state == LookupState::tcp_queued ? Place::queued : Place::out;
    ensure(place == due || place == Place::lost, "who waits for TCP is in a queue or out");
  }
  for (const Connection& connection : connections_) {
    bool open = connection.state != ConnectionState::free &&
                connection.state != ConnectionState::closing;
    in_use += connection.state != ConnectionState::free;
    linked += open;
    if (open) answerable += connection.window.answerable();
  }
  for (uint32_t server = 0; server < servers_.size(); ++server) {
    waiting += servers_[server].waiting;
    linked -= servers_[server].connections;
  }
  ensure(queued == waiting, "who is queued is counted by a server");
  ensure(out == answerable, "who is out is in a connection's window");
  ensure(in_use == in_use_ && in_use + free_connections_.size() == connections_.size(),
         "every connection is free or in use");
  ensure(linked == 0, "every open connection is its server's");
}

}  // namespace ringdns
