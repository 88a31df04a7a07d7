// When a connection is looked at again, of itself.
#include <algorithm>

#include "ringdns/tcp.hpp"

namespace ringdns {

namespace {
constexpr Duration most_stall = std::chrono::seconds(2);
constexpr Duration crowd_patience = std::chrono::milliseconds(250);
}  // namespace

void Tcp::on_timer(uint32_t index) {
  Connection& connection = connections_[index];
  if (servers_[connection.server].waiting == 0) connection.held_since = Instant{};
  if (connection.held_since != Instant{}) mark_due(connection.server);
  if (now_ >= thinning_due(connection)) thin_out(connection);
  if (now_ < state_due(connection)) return arm(index);
  bool owes = connection.state == ConnectionState::active ||
              connection.state == ConnectionState::draining;
  stats_.stalled += owes;
  handle(index, ConnectionEvent::timer);
}

void Tcp::arm(uint32_t index) {
  if (timer_lists_.listed(index)) timers_.disarm(index);
  const Connection& connection = connections_[index];
  Instant due = std::min(state_due(connection), thinning_due(connection));
  bool open = connection.state == ConnectionState::active ||
              connection.state == ConnectionState::idle;
  if (connection.held_since != Instant{} && open && !connection.writing && room(connection) > 0)
    due = std::min(due, connection.held_since + hold_time);
  if (due != Instant::max()) timers_.arm(index, due);
}

Instant Tcp::thinning_due(const Connection& connection) const {
  bool waits = connection.state == ConnectionState::connecting ||
               connection.state == ConnectionState::active;
  bool done = connection.thinned || connection.answers > 0;
  return waits && !done ? connection.opened + crowd_patience : Instant::max();
}

Instant Tcp::state_due(const Connection& connection) const {
  switch (connection.state) {
    case ConnectionState::free:
    case ConnectionState::closing: return Instant::max();
    case ConnectionState::connecting: return connection.opened + options_.tcp_connect_timeout;
    case ConnectionState::idle: return connection.idle_until;
    case ConnectionState::active:
    case ConnectionState::draining: break;
  }
  if (connection.unwritable) return connection.heard + least_stall;
  if (connection.window.answerable() == 0)
    return connection.writing ? connection.heard + most_stall : Instant::max();
  // A transfer's messages have a deadline of their own, whoever waits.
  if (connection.transfer && (transfers_held_ || connection.answers > 0)) return Instant::max();
  // One slow name is not a stalled connection: where nobody waits behind it, the queries' own
  // deadlines decide.
  const TcpServer& server = servers_[connection.server];
  bool blocks = server.waiting > 0 && room(connection) == 0;
  if (!blocks) return Instant::max();
  if (connection.answers == 0) return connection.heard + most_stall;
  return connection.heard + std::clamp(4 * server.round_trip, least_stall, most_stall);
}

Instant Tcp::next_deadline() const {
  Instant deadline = timers_.next();
  if (!wanting_.empty() && now_ < shortage_until_) deadline = std::min(deadline, shortage_until_);
  return deadline;
}

}  // namespace ringdns
