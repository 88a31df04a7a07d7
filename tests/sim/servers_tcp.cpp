// Connections to the servers.
#include <algorithm>
#include <cerrno>

#include "servers.hpp"

namespace sim {

namespace {
constexpr size_t window = 4000;  // octets that a server that reads nothing takes all the same
constexpr size_t prefix_size = 2, header_size = 12;
}  // namespace

World::Reception Servers::on_connect(uint32_t connection, const ConnectOptions& options) {
  if (connection >= peers_.size()) peers_.resize(connection + 1);
  Peer& peer = peers_[connection];
  uint32_t generation = peer.generation + 1;
  peer = Peer();
  peer.generation = generation;
  constexpr int shortages[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
  constexpr int32_t routes[] = {-EHOSTUNREACH, -ENETUNREACH};
  bool full = scenario_.descriptors && io_->open_connections() >= scenario_.descriptors;
  Reception out;
  out.after = latency();
  if (full || dice_.chance(faults_.no_descriptor)) {
    out.error = dice_.pick(shortages);
    return out;
  }
  if (dice_.chance(faults_.no_port)) {
    if (dice_.chance(0.5)) out.error = EADDRNOTAVAIL;
    else out.result = -EADDRNOTAVAIL;
    return out;
  }
  auto found = by_address_.find(options.to);
  auto door = found == by_address_.end() ? responder::Door::blackhole
                                         : servers_[found->second].listener.plan->settings.tcp;
  if (found != by_address_.end()) {
    peer.server = found->second;
    check_patience(servers_[peer.server]);
  }
  if (door == responder::Door::refuse || dice_.chance(faults_.refused)) {
    out.result = -ECONNREFUSED;
  } else if (door == responder::Door::blackhole || dice_.chance(faults_.blackhole)) {
    out.silent = true;
  } else if (dice_.chance(faults_.no_route)) {
    out.result = dice_.pick(routes);
    out.after = dice_.time(0s, 3s);
  } else if (dice_.chance(faults_.slow_connect)) {
    out.after = dice_.time(20ms, 4s);
  }
  return out;
}

// REQ 15: one whose connects all fail is left alone, for 1.5 s at least.
void Servers::check_patience(Server& server) {
  constexpr Duration least_cooldown = 1500ms;
  uint32_t allowed = 4 + 2 * std::max(options_.tcp_per_server, 4u);
  if (server.up > 0) return;
  if (io_->now() - server.vain_since >= least_cooldown) {
    server.vain_since = io_->now();
    server.vain = 0;
  }
  if (++server.vain > allowed) violation("a server whose connects all fail is not left alone");
}

void Servers::on_connected(uint32_t connection) {
  Peer& peer = peers_[connection];
  peer.up = true;
  ++servers_[peer.server].up;
  servers_[peer.server].vain = 0;
  actions_.clear();
  responder::on_accept(servers_[peer.server].listener, peer.state, io_->now(), actions_);
  perform(connection);
}

World::Reception Servers::on_write(uint32_t connection, Bytes bytes) {
  Peer& peer = peers_[connection];
  Reception out;
  out.after = dice_.time(1us, 50us);
  constexpr int32_t errors[] = {-EPIPE, -ECONNRESET, -ETIMEDOUT};
  if (dice_.chance(faults_.write_error)) {
    out.result = dice_.pick(errors);
    peer.finished = true;
    // The end is mostly told as well, after what had come before.
    if (dice_.chance(0.7)) io_->deliver_end(connection, io_->now() + latency(), -ECONNRESET);
  } else if (peer.finished) {
    // It has closed: what comes meets with a reset.
    io_->deliver_end(connection, io_->now() + latency(), -ECONNRESET);
  } else if (peer.deaf) {
    out.silent = peer.unread + bytes.size() > window;
    peer.unread += bytes.size();
  } else if (dice_.chance(faults_.write_stuck)) {
    out.after = dice_.time(1s, 15s);
  } else if (dice_.chance(faults_.write_slow)) {
    out.after = dice_.time(1ms, 400ms);
  }
  return out;
}

void Servers::on_bytes(uint32_t connection, Bytes bytes) {
  Peer& peer = peers_[connection];
  if (peer.finished || peer.deaf) return;
  peer.partial.insert(peer.partial.end(), bytes.begin(), bytes.end());
  Octets all = std::move(peer.partial);
  Bytes rest(all);
  actions_.clear();
  while (rest.size() >= prefix_size) {
    size_t length = load_u16(rest.data());
    if (rest.size() < prefix_size + length) break;
    take_message(connection, rest.subspan(prefix_size, length));
    rest = rest.subspan(prefix_size + length);
  }
  peer.partial.assign(rest.begin(), rest.end());
  perform(connection);
}

void Servers::take_message(uint32_t connection, Bytes message) {
  Peer& peer = peers_[connection];
  check_query(message);
  if (trace_.on()) trace_.say("tcp ->", "#%u %s", connection, describe(message).c_str());
  uint16_t id = load_u16(message.data());
  if (std::find(peer.owed.begin(), peer.owed.end(), id) != peer.owed.end())
    violation("an id is in flight twice on one connection: %s", describe(message).c_str());
  peer.owed.push_back(id);
  if (peer.owed.size() > options_.tcp_pipeline)
    violation("%zu queries are out on one connection", peer.owed.size());
  responder::on_message(servers_[peer.server].listener, peer.state, message, io_->now(), actions_);
}

// Does what the pure function asked for.
void Servers::perform(uint32_t connection) {
  for (const responder::Action& action : actions_.list) {
    bool later = action.act == responder::Act::wake || action.delay > Duration{};
    if (later) postpone(connection, action);
    else put(connection, action, actions_.of(action));
  }
  actions_.clear();
}

void Servers::postpone(uint32_t connection, const responder::Action& action) {
  uint32_t index = static_cast<uint32_t>(pending_.size());
  if (free_pending_.empty()) {
    pending_.emplace_back();
  } else {
    index = free_pending_.back();
    free_pending_.pop_back();
  }
  Pending& pending = pending_[index];
  Bytes bytes = actions_.of(action);
  pending.connection = connection;
  pending.generation = peers_[connection].generation;
  pending.action = action;
  pending.octets.assign(bytes.begin(), bytes.end());
  io_->call_world(io_->now() + action.delay, index);
}

void Servers::on_timer(uint32_t cookie) {
  Pending pending = std::move(pending_[cookie]);
  free_pending_.push_back(cookie);
  Peer& peer = peers_[pending.connection];
  if (peer.generation != pending.generation) return;
  if (pending.action.act != responder::Act::wake)
    return put(pending.connection, pending.action, pending.octets);
  actions_.clear();
  responder::on_wake(servers_[peer.server].listener, peer.state, io_->now(), actions_);
  perform(pending.connection);
}

void Servers::put(uint32_t connection, const responder::Action& action, Bytes bytes) {
  Peer& peer = peers_[connection];
  if (peer.finished) return;
  switch (action.act) {
    case responder::Act::wake: return;
    case responder::Act::deaf: peer.deaf = true; return;
    case responder::Act::half_close: return io_->deliver_end(connection, arrival(peer), 0);
    case responder::Act::close: return put_end(connection, 0);
    case responder::Act::reset: return put_end(connection, -ECONNRESET);
    case responder::Act::send: break;
  }
  message_.assign(bytes.begin(), bytes.end());
  note_replies(peer, message_);
  bool reset = dice_.chance(faults_.reset), fin = !reset && dice_.chance(faults_.fin);
  if (dice_.chance(faults_.stalled)) peer.last_arrival = arrival(peer) + dice_.time(200ms, 5s);
  if (reset || fin) message_.resize(dice_.below(static_cast<uint32_t>(message_.size() + 1)));
  put_bytes(connection, message_, action.pace);
  if (reset || fin) put_end(connection, fin ? 0 : -ECONNRESET);
}

// Which queries are owed no more; and what is truncated over TCP is to be believed by nobody.
void Servers::note_replies(Peer& peer, MutableBytes frames) {
  while (frames.size() >= prefix_size + header_size) {
    size_t length = load_u16(frames.data());
    // Out of step: what it reads as from here on, and answers, is nobody's to tell.
    if (length < header_size || frames.size() < prefix_size + length) return peer.owed.clear();
    MutableBytes message = frames.subspan(prefix_size, length);
    std::erase(peer.owed, load_u16(message.data()));
    if (message[2] & 2) mark(message);
    frames = frames.subspan(prefix_size + length);
  }
}

void Servers::put_bytes(uint32_t connection, Bytes bytes, const responder::Pace& pace) {
  Peer& peer = peers_[connection];
  size_t piece = pace.piece ? pace.piece : bytes.size();
  size_t next = pace.first ? pace.first : piece;
  bool single = dice_.chance(faults_.single_octets) && bytes.size() < 600;
  bool pieces = dice_.chance(faults_.pieces);
  while (!bytes.empty()) {
    if (single) next = 1;
    else if (pieces) next = dice_.between(1, static_cast<uint32_t>(bytes.size()));
    next = std::min(next, bytes.size());
    io_->deliver_bytes(connection, arrival(peer), bytes.first(next));
    bytes = bytes.subspan(next);
    peer.last_arrival += pace.gap;
    if (single || pieces) peer.last_arrival += dice_.time(0us, 1ms);
    next = piece;
  }
}

void Servers::put_end(uint32_t connection, int32_t result) {
  io_->deliver_end(connection, arrival(peers_[connection]), result);
  peers_[connection].finished = true;
}

// In order, whatever the network's latency is at the moment.
Instant Servers::arrival(Peer& peer) {
  peer.last_arrival = std::max(peer.last_arrival, io_->now() + latency());
  return peer.last_arrival;
}

void Servers::on_close(uint32_t connection, CloseKind) {
  Peer& peer = peers_[connection];
  if (peer.up) --servers_[peer.server].up;
  uint32_t generation = peer.generation + 1;
  peer = Peer();
  peer.generation = generation;
  peer.finished = true;
}

}  // namespace sim
