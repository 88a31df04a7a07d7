// Level 1: the states of one TCP connection, and what each event does to it: the table of
// tcp.md "Connection slot", pure, so that it can be read and tested line by line.
#pragma once

#include "ringdns/base.hpp"

namespace ringdns {

enum class ConnectionState : uint8_t {
  free,        // no descriptor, no server
  connecting,  // SYN sent, nothing written; its server's lookups wait in the server's queue
  active,      // connected; queries are out or about to be
  draining,    // as active, but takes no new query
  idle,        // connected, nothing out; the read stays armed, so that a FIN is seen at once
  closing,     // handed back to the Io; the descriptor lives until Event::closed
};

enum class ConnectionEvent : uint8_t {
  acquired,     // a server's lookups get this slot
  connected,    // SO_ERROR was 0
  failed,       // connecting ended in an error
  postponed,    // in one of this host's own making: no port, no memory
  work,         // there is a query to write
  drained,      // the last outstanding query was answered
  retire,       // keepalive 0, the learned number of answers, 60000 queries, another's turn
  died,         // FIN, RST, or a failed write
  misbehaved,   // bad framing, too many stray messages, too much memory
  timer,        // connecting: connect timeout; active, draining: stall; idle: idle time is over
  evicted,      // another server needs the slot
  closed,       // Event::closed
};

enum class ConnectionAction : uint8_t {
  none,
  open,           // socket options, connect
  flush,          // write what waits
  charge,         // the waiters' try failed; the server cools down; close
  rest,           // arm the idle timer
  requeue_fin,    // progress rule, then close
  requeue_reset,  // progress rule, then RST
  finish,         // FIN first, before the server does
  release,        // the slot is free: whoever waits for one gets it
};

struct ConnectionStep {
  ConnectionAction action;
  ConnectionState next;
};

constexpr ConnectionStep step(ConnectionState state, ConnectionEvent event) {
  using S = ConnectionState;
  using E = ConnectionEvent;
  using A = ConnectionAction;
  switch (state) {
    case S::free:
      if (event == E::acquired) return {A::open, S::connecting};
      break;
    case S::connecting:
      switch (event) {
        case E::connected: return {A::flush, S::active};
        case E::failed:
        case E::timer:
        case E::died: return {A::charge, S::closing};
        case E::postponed: return {A::finish, S::closing};
        default: break;
      }
      break;
    case S::active:
      switch (event) {
        case E::work: return {A::flush, S::active};
        case E::drained: return {A::rest, S::idle};
        case E::retire: return {A::none, S::draining};
        case E::died: return {A::requeue_fin, S::closing};
        case E::misbehaved:
        case E::timer: return {A::requeue_reset, S::closing};
        default: break;
      }
      break;
    case S::draining:
      switch (event) {
        case E::drained: return {A::finish, S::closing};
        case E::died: return {A::requeue_fin, S::closing};
        case E::misbehaved:
        case E::timer: return {A::requeue_reset, S::closing};
        default: break;
      }
      break;
    case S::idle:
      switch (event) {
        case E::work: return {A::flush, S::active};
        case E::timer:
        case E::evicted:
        case E::retire:
        case E::died: return {A::finish, S::closing};
        case E::misbehaved: return {A::requeue_reset, S::closing};
        default: break;
      }
      break;
    case S::closing:
      if (event == E::closed) return {A::release, S::free};
      break;
  }
  return {A::none, state};
}

}  // namespace ringdns
