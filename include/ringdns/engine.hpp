// Level 6: policy. The engine takes questions from the feed, keeps `-s` lookups in flight, judges
// what comes back, and ends when every input line has its outcome.
#pragma once

#include <sys/signalfd.h>

#include "ringdns/feed.hpp"
#include "ringdns/io.hpp"
#include "ringdns/lookups.hpp"
#include "ringdns/options.hpp"
#include "ringdns/output.hpp"
#include "ringdns/policy.hpp"
#include "ringdns/resolvers.hpp"
#include "ringdns/sink.hpp"
#include "ringdns/status.hpp"
#include "ringdns/transport.hpp"

namespace ringdns {

// Token::kind of every operation of a run: who its completion is for.
enum TokenKind : uint8_t {
  socket_token,  // slot: source port
  query_token,   // slot: lookup
  input_token,
  output_token,
  log_token,
  status_token,
  signal_token,
};

class Engine {
 public:
  struct Parts {
    const Options& options;
    Io& io;
    Rng& rng;
    Resolvers& resolvers;
    Lookups& lookups;
    Udp& udp;
    Feed& feed;
    Formatter& formatter;
    Status* status;  // null: none
    Sink& output;
    Sink& log;
    Sink& status_sink;
    Stats& stats;
    StreamId signals;  // a signalfd
    uint64_t input_size;
    Bytes edns_options;  // encoded once; empty without --nsid and --ecs
  };
  explicit Engine(const Parts& parts);

  void advance(const Turn& turn);
  bool finished() const;
  Instant next_deadline() const;
  uint32_t expected() const { return lookups_.waiting(); }

  int signal() const { return signal_; }  // the first that came, 0 if none
  RunFacts facts() const;

 private:
  void dispatch(const Completion& completion);
  void on_datagram(const Completion& completion);
  void on_unreachable(const Completion& completion);
  void on_send_failed(const Completion& completion);
  void on_timeout(uint32_t slot);
  void on_signal(int32_t result);

  void take_input();
  void start(const Question& question);
  void take_dedicated(uint32_t slot, std::string_view words);
  void send();
  const Address& choose(uint32_t slot);
  EdnsOptions edns_for(Lookup& lookup) const;
  EdnsLevel first_level() const {
    return edns_options_.empty() ? EdnsLevel::no_options : EdnsLevel::full;
  }

  // Asks the same resolver again; costs nothing.
  void resend(uint32_t slot, EdnsLevel level);
  // The try that is out has failed: another one, or the end.
  void fail_try(uint32_t slot, FailureReason reason);
  void accept(uint32_t slot, const Address& from);
  void give_up(uint32_t slot, FailureReason reason);
  void finish(uint32_t slot);
  void abandon_all();

  // Which of the lookup's askings this address was: 0 the latest; -1 none.
  int asking_of(uint32_t slot, const Address& from) const;
  const Address& address_of(uint32_t slot, AskedResolver asked) const;

  bool all_done() const;
  void report();

  const Options& options_;
  Io& io_;
  Rng& rng_;
  Resolvers& resolvers_;
  Lookups& lookups_;
  Udp& udp_;
  Feed& feed_;
  Formatter& formatter_;
  Status* status_;
  Sink& output_;
  Sink& log_;
  Sink& status_sink_;
  Stats& stats_;
  StreamId signals_;
  uint64_t input_size_;
  Bytes edns_options_;

  Message message_;  // the reply at hand, indexed
  Instant now_{}, started_{}, next_report_{};
  UnixTime wall_{};
  Instant congested_until_{};  // a local queue was full: no sends before this
  uint64_t next_number_ = 0;
  signalfd_siginfo signal_info_{};
  int signal_ = 0;
  bool reported_end_ = false;
};

}  // namespace ringdns
