// Files, pipes and signals; and connections.
#include <cerrno>

#include "kernel.hpp"

namespace sim {

// ---- Streams

Fd SimIo::add(std::unique_ptr<Channel> channel) {
  streams_.emplace_back();
  streams_.back().channel = std::move(channel);
  return Fd(first_descriptor + static_cast<int>(streams_.size()) - 1);
}

StreamId SimIo::open_stream(Fd fd) {
  if (fd.get() < first_descriptor) fd = add(world_.adopt(std::move(fd)));
  // Its number is no descriptor of this process: nothing is to be closed.
  uint32_t index = static_cast<uint32_t>(fd.release() - first_descriptor);
  if (index >= streams_.size()) violation("a stream that is none of the simulation's");
  streams_[index].open = true;
  return StreamId{index};
}

SimIo::StreamState& SimIo::stream_at(StreamId id, const char* what) {
  if (id.v >= streams_.size() || !streams_[id.v].open) violation("%s: no such stream", what);
  return streams_[id.v];
}

void SimIo::read(StreamId id, MutableBytes into, Token token) {
  StreamState& stream = stream_at(id, "read");
  begin(stream.reading, {}, token, "read");
  stream.reading.into = into;
  Instant at = stream.channel->ready(now_);
  if (at != Instant::max()) schedule(at, {Kind::read, id.v, 0, none, 0});
}

void SimIo::write(StreamId id, Bytes bytes, Token token) {
  if (id.v >= first_connection) {
    Connection& connection = connection_at(id, "write");
    if (connection.phase != Phase::connected) violation("a write on what is not connected");
    begin(connection.writing, bytes, token, "write on a connection");
    uint32_t index = id.v - first_connection;
    if (connection.end_known && connection.end < 0)
      return deliver_written(index, now_, -EPIPE);
    World::Reception reception = world_.on_write(index, bytes);
    int32_t result = reception.result ? reception.result : static_cast<int32_t>(bytes.size());
    if (!reception.silent) deliver_written(index, now_ + reception.after, result);
    return;
  }
  StreamState& stream = stream_at(id, "write");
  begin(stream.writing, bytes, token, "write");
  Instant at = stream.channel->ready(now_);
  if (at != Instant::max()) schedule(at, {Kind::write, id.v, 0, none, 0});
}

void SimIo::close_stream(StreamId id) {
  StreamState& stream = stream_at(id, "close_stream");
  if (stream.reading.under_way || stream.writing.under_way)
    violation("a stream is closed with something in flight");
  stream.open = false;
  stream.channel.reset();
}

void SimIo::kick_all() {
  for (uint32_t id = 0; id < streams_.size(); ++id) {
    if (streams_[id].reading.under_way) schedule(now_, {Kind::read, id, 0, none, 0});
    if (streams_[id].writing.under_way) schedule(now_, {Kind::write, id, 0, none, 0});
  }
}

void SimIo::complete_stream(const Happening& event, bool reading) {
  StreamState& stream = streams_[event.id];
  Operation& operation = reading ? stream.reading : stream.writing;
  if (!operation.under_way) return;  // kicked twice
  Completion completion{};
  completion.event = reading ? Event::read : Event::written;
  completion.token = operation.token;
  if (reading) {
    completion.result = stream.channel->read(operation.into);
  } else {
    check_unchanged(operation);
    completion.result = stream.channel->write(operation.bytes);
  }
  if (completion.result == Channel::waits) return;
  operation.under_way = false;
  trace_.say(reading ? "read" : "write", "stream %u: %d", event.id, completion.result);
  tell(completion);
}

// ---- Connections

SimIo::Connection& SimIo::connection_at(StreamId id, const char* what) {
  uint32_t index = id.v - first_connection;
  if (id.v < first_connection || index >= connections_.size() ||
      connections_[index].phase == Phase::free || connections_[index].phase == Phase::closing)
    violation("%s: no such connection, or closed", what);
  return connections_[index];
}

Io::OpenedConnection SimIo::connect(const ConnectOptions& options, Token token) {
  OpenedConnection opened;
  uint32_t index = static_cast<uint32_t>(connections_.size());
  if (free_connections_.empty()) {
    connections_.emplace_back();
  } else {
    index = free_connections_.back();
    free_connections_.pop_back();
  }
  Connection& connection = connections_[index];
  uint32_t generation = connection.generation + 1;
  connection = Connection();
  connection.generation = generation;
  connection.token = token;
  connection.local = options.bind.family() == AF_UNSPEC ? options.to : options.bind;
  connection.local.set_port(next_port_++);
  World::Reception reception = world_.on_connect(index, options);
  trace_.say("connect", "#%u to %s%s%s", index, options.to.text().c_str(),
             reception.error ? ": no descriptor" : "", reception.silent ? " (blackhole)" : "");
  if (reception.error) {
    free_connections_.push_back(index);
    opened.error = reception.error;
    return opened;
  }
  ++counts_.connects;
  ++open_connections_;
  connection.phase = Phase::connecting;
  if (!reception.silent) deliver_connected(index, now_ + reception.after, reception.result);
  opened.id = StreamId{first_connection + index};
  return opened;
}

uint32_t SimIo::unclosed() const {
  uint32_t count = 0;
  for (const Connection& connection : connections_)
    count += connection.phase != Phase::free && connection.phase != Phase::closing;
  return count;
}

void SimIo::deliver_connected(uint32_t id, Instant at, int32_t result) {
  schedule(at, {Kind::connected, id, connections_[id].generation, none, result});
}
void SimIo::deliver_bytes(uint32_t id, Instant at, Bytes bytes) {
  schedule(at, {Kind::bytes, id, connections_[id].generation, pack(bytes), 0});
}
void SimIo::deliver_end(uint32_t id, Instant at, int32_t result) {
  schedule(at, {Kind::end, id, connections_[id].generation, none, result});
}
void SimIo::deliver_written(uint32_t id, Instant at, int32_t result) {
  schedule(at, {Kind::written, id, connections_[id].generation, none, result});
}

void SimIo::set_receiving(StreamId id, bool on) {
  Connection& connection = connection_at(id, "set_receiving");
  if (connection.phase != Phase::connected) violation("set_receiving on what is not connected");
  connection.receiving = on;
  mark_readable(id.v - first_connection);
}

void SimIo::close_connection(StreamId id, CloseKind kind) {
  Connection& connection = connection_at(id, "close_connection");
  uint32_t index = id.v - first_connection;
  trace_.say("close", "#%u %s", index, kind == CloseKind::fin ? "FIN" : "RST");
  connection.phase = Phase::closing;
  ++connection.generation;  // what was under way is not told any more
  world_.on_close(index, kind);
  schedule(now_ + world_.farewell(), {Kind::closed, index, connection.generation, none, 0});
}

void SimIo::run_connection(const Happening& event, Connection& connection) {
  bool stale = event.generation != connection.generation;
  switch (event.kind) {
    case Kind::connected:
      if (stale) return;
      connection.phase = event.result == 0 ? Phase::connected : Phase::failed;
      trace_.say("connected", "#%u: %d", event.id, event.result);
      tell({.event = Event::connected, .result = event.result, .token = connection.token,
            .bytes = {}});
      if (event.result == 0) world_.on_connected(event.id);
      return;
    case Kind::bytes:
      if (!stale && !connection.end_known) {
        const Octets& octets = packets_[event.packet].octets;
        connection.arrived.insert(connection.arrived.end(), octets.begin(), octets.end());
        mark_readable(event.id);
      }
      return unpack(event.packet);
    case Kind::end:
      if (stale || connection.end_known) return;
      connection.end_known = true;
      connection.end = event.result;
      mark_readable(event.id);
      if (event.result < 0 && connection.writing.under_way)
        finish_write(connection, event.id, event.result);
      return;
    case Kind::written:
      if (!stale && connection.writing.under_way)
        finish_write(connection, event.id, event.result);
      return;
    case Kind::closed:
      if (connection.writing.under_way) finish_write(connection, event.id, -ECANCELED);
      tell({.event = Event::closed, .token = connection.token, .bytes = {}});
      connection.phase = Phase::free;
      free_connections_.push_back(event.id);
      --open_connections_;
      return;
    default: return;
  }
}

void SimIo::finish_write(Connection& connection, uint32_t id, int32_t result) {
  Operation& operation = connection.writing;
  check_unchanged(operation);
  operation.under_way = false;
  tell({.event = Event::written, .result = result, .token = operation.token, .bytes = {}});
  if (result >= 0) world_.on_bytes(id, operation.copy);
}

void SimIo::mark_readable(uint32_t id) {
  if (std::exchange(connections_[id].readable, true)) return;
  readable_.push_back(id);
}

void SimIo::tell_arrived(uint32_t id) {
  Connection& connection = connections_[id];
  connection.readable = false;
  if (connection.phase != Phase::connected || !connection.receiving || connection.ended) return;
  for (Bytes left = connection.arrived; !left.empty();) {
    Bytes now = left.first(std::min(left.size(), most_octets));
    left = left.subspan(now.size());
    trace_.say("tcp <-", "#%u %zu octets", id, now.size());
    tell({.event = Event::received, .result = static_cast<int32_t>(now.size()),
          .token = connection.token, .bytes = lend(now)});
  }
  connection.arrived.clear();
  if (!connection.end_known) return;
  connection.ended = true;
  trace_.say("tcp <-", "#%u %s", id, connection.end == 0 ? "FIN" : "RST");
  tell({.event = Event::received, .result = connection.end, .token = connection.token,
        .bytes = {}});
}

}  // namespace sim
