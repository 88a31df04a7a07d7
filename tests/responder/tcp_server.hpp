// TCP for all listeners: reads what has come, gives each message to the pure function, writes the
// answers of one read together unless the plan says otherwise.
#pragma once

#include <deque>

#include "sockets.hpp"
#include "timers.hpp"

namespace responder {

class TcpServer {
 public:
  // Connections are put into `epoll`; an event's data is `tag`, in the highest octet, and a key.
  TcpServer(std::vector<Listener>& listeners, int epoll, uint64_t tag);

  void acceptable(Listener& listener, Instant now);
  void ready(uint64_t key, uint32_t events, Instant now);
  void fire(Instant now);
  Instant next() const { return timers_.next(); }
  // Counts the connections still open as if they ended now: for the report.
  TcpCounts counts_with_open(const Listener& listener) const;
  uint64_t open_most() const { return open_most_; }  // over all listeners

 private:
  // Something to do once the stream is written up to `at`.
  struct Mark {
    uint64_t at = 0;
    Act act = Act::send;   // send: the next `length` octets go out as `pace` says
    uint64_t length = 0;
    Pace pace;
    bool begun = false;
  };
  enum class Phase : uint8_t {
    open,
    deaf,     // reads no more
    closing,  // FIN sent, or to be once all is written; what comes is dropped until the client's
  };
  struct Connection {
    Fd fd;
    Listener* listener = nullptr;
    StreamState state;
    Phase phase = Phase::open;
    bool client_ended = false;   // its FIN has come
    bool half_closed = false;    // our FIN has gone
    bool writing = false;        // epoll tells when there is room
    bool waiting = false;        // a timer is set for the next piece
    bool due = false;            // listed in due_
    uint32_t late = 0;           // sends postponed
    Instant not_before{};        // the next piece of a paced send
    Octets partial;              // a message's beginning
    Buffer out;                  // what is queued, its first `head` octets written already
    size_t head = 0;
    uint64_t written = 0, queued = 0;  // octets of the stream so far
    std::deque<Mark> marks;      // by their place in the stream
  };
  struct Timer {
    uint32_t connection = 0, generation = 0;
    enum class What : uint8_t { act, wake, piece, give_up } what = What::act;
    Action action;
    Octets bytes;
  };
  struct Slot {
    std::unique_ptr<Connection> connection;
    uint32_t generation = 0;
  };

  Connection* find(uint32_t number) { return slots_[number].connection.get(); }
  uint64_t key_of(uint32_t number) const {
    return tag_ | uint64_t{slots_[number].generation & 0xffffff} << 32 | number;
  }
  void open(Listener& listener, Fd fd, Instant now);
  void shed(Listener& listener);
  void read(uint32_t number, Instant now);
  void take_messages(Connection& connection, Bytes bytes, Instant now);
  void perform(uint32_t number, Instant now);
  void schedule(uint32_t number, Timer::What what, Instant at, const Action& action = {});
  void queue(Connection& connection, const Action& action, Bytes bytes);
  void write(uint32_t number, Instant now);
  enum class Wrote : uint8_t { all, some, dead };
  Wrote write_some(uint32_t number, size_t most);
  bool pass_mark(uint32_t number, Instant now);
  bool write_piece(uint32_t number, Instant now);
  bool drained(const Connection& connection) const;
  void on_timer(const Timer& timer, Instant now);
  void on_client_end(uint32_t number);
  void watch(uint32_t number, int operation);
  void end(uint32_t number, uint64_t TcpCounts::*how, bool with_reset = false);
  static void count_ended(TcpCounts& counts, const Connection& connection);

  int epoll_;
  uint64_t tag_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  Timers<Timer> timers_;
  Actions actions_;
  std::vector<uint32_t> due_;  // connections whose late answers leave in one write
  uint64_t open_now_ = 0, open_most_ = 0;
  Fd spare_;  // given up for a moment where descriptors run out
  std::unique_ptr<uint8_t[]> octets_;
};

}  // namespace responder
