// Level 6: policy. The engine takes questions from the feed, keeps `-s` lookups in flight, judges
// what comes back, and ends when every input line has its outcome.
#pragma once

#include <sys/signalfd.h>

#include <deque>
#include <unordered_map>

#include "ringdns/feed.hpp"
#include "ringdns/io.hpp"
#include "ringdns/ledger.hpp"
#include "ringdns/lines.hpp"
#include "ringdns/lookups.hpp"
#include "ringdns/options.hpp"
#include "ringdns/output.hpp"
#include "ringdns/policy.hpp"
#include "ringdns/resolvers.hpp"
#include "ringdns/saver.hpp"
#include "ringdns/sink.hpp"
#include "ringdns/status.hpp"
#include "ringdns/tcp.hpp"
#include "ringdns/transfer.hpp"
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
  unresolved_token,
  signal_token,
  connection_token,  // slot: connection
};

class Engine final : private Tcp::User {
 public:
  struct Parts {
    const Options& options;
    Io& io;
    Rng& rng;
    Resolvers& resolvers;
    Lookups& lookups;
    Udp& udp;
    Tcp& tcp;
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
    Sink* unresolved = nullptr;  // --unresolved, which needs a ledger
    Ledger* ledger = nullptr;    // of lookups_.size() * lines_per_slot lines
    Saver* saver = nullptr;      // --checkpoint, likewise
  };
  // Lines that wait for the answer of another take no slot; they are bounded as well.
  static constexpr uint32_t lines_per_slot = 4;
  explicit Engine(const Parts& parts);

  void advance(const Turn& turn);
  bool finished() const;
  Instant next_deadline() const;
  uint32_t expected() const { return lookups_.waiting_for_udp(); }

  int signal() const { return signal_; }  // the first that came, 0 if none
  RunFacts facts() const;

 private:
  // What every server takes (RFC 6891 6.2.3).
  static constexpr uint16_t small_size = 512;
  static constexpr Duration report_interval = std::chrono::seconds(1);

  void work();

  // What comes back: engine_replies.cpp
  void dispatch(const Completion& completion);
  void on_datagram(const Completion& completion);
  void on_near_miss(uint32_t slot);
  void on_unreachable(const Completion& completion);
  void on_send_failed(const Completion& completion);
  void on_timeout(uint32_t slot);
  void on_signal(int32_t result);
  void on_tcp_reply(uint32_t slot, Bytes message) override;
  void on_tcp_failure(uint32_t slot, TcpFailure why) override;
  void on_transfer(uint32_t slot);
  void judge(uint32_t slot, ReplyFacts& reply, const Address& from);

  // What becomes of a lookup, the two edges back among it: engine.cpp
  void resend(uint32_t slot, EdnsLevel level);  // to the same resolver, at no charge
  void to_tcp(uint32_t slot);                   // likewise
  bool needs_tcp(const Lookup& lookup) const;
  // The try that is out has failed: another one, or the end.
  void fail_try(uint32_t slot, FailureReason reason);
  // Its query is out at its resolver no more, if it was.
  void returned(uint32_t slot, TryOutcome outcome);
  void note_failed_try(uint32_t slot, FailureReason reason);
  void make_ready(uint32_t slot);
  Duration pause_before_retry(const Lookup& lookup, FailureReason reason);
  void accept(uint32_t slot, const Address& from, Transport transport);
  void give_up(uint32_t slot, FailureReason reason);
  void finish(uint32_t slot);
  void abandon_all();

  // What is written: engine_output.cpp
  // more: another message of the same answer follows.
  void write_reply(uint32_t slot, const Address& from, Transport transport, bool more = false);
  void append_reply(uint32_t slot, const Address& from, Transport transport, bool more);
  void write_failure(uint32_t slot, FailureReason reason);
  void write_rejection(const Question& question);
  void repeat_output(size_t from, uint32_t times);
  void write_repeats();
  bool held_up() const { return !repeats_.empty() || (lines_ && lines_->held_up()); }
  void close_lines(uint32_t slot);
  void write_unresolved(uint32_t slot, FailureReason reason);
  bool write_failed() const;
  void report();

  // What goes out: engine_send.cpp
  void take_input();
  void stop_input();
  bool may_take() const;
  void start(const Question& question);
  uint32_t look_up(const Question& question);
  void note_line(uint32_t slot, const Question& question);
  void take_dedicated(std::string_view words);
  bool same_dedicated(uint32_t slot) const;
  void send();
  void send_udp(uint32_t slot, const Address& to);
  bool wants_tcp(uint32_t slot, const Address& to);
  bool skips_udp(const Address& to, uint16_t type);
  bool asked_by_another(uint32_t slot, const Address& to) const;
  enum class Choice : uint8_t {
    made,    // asked[0] is whom to ask
    later,   // this lookup has to wait for whom it is to ask
    nobody,  // nobody may be asked now
  };
  Choice choose(uint32_t slot);
  Choice choose_any(uint32_t slot);
  void note_sent(uint32_t slot, Transport transport);
  bool choose_for_tcp(uint32_t slot);
  void set_asked(uint32_t slot, AskedResolver next);
  Query query_for(uint32_t slot);
  EdnsOptions edns_for(const Lookup& lookup) const;
  size_t write_tcp_query(uint32_t slot, uint16_t id, bool first, MutableBytes out) override;

  // Which of the lookup's askings this address was: 0 the latest; -1 none.
  int asking_of(uint32_t slot, const Address& from) const;
  const Address& address_of(uint32_t slot, AskedResolver asked) const;
  const Address& asked_address(uint32_t slot) const {
    return address_of(slot, lookups_.at(slot).asked[0]);
  }

  bool all_done() const;

  const Options& options_;
  Io& io_;
  Rng& rng_;
  Resolvers& resolvers_;
  Lookups& lookups_;
  Udp& udp_;
  Tcp& tcp_;
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
  Sink* unresolved_;
  Ledger* ledger_;
  Saver* saver_;

  DedicatedResolvers dedicated_;  // of the question being started
  uint8_t dedicated_count_ = 0;
  std::vector<uint8_t> first_options_;  // those, for a connection's first query
  TruncationMemory truncation_;
  std::unordered_map<uint32_t, TransferProgress> transfers_;  // by slot, of which some came; few

  Message message_;  // the reply at hand, indexed
  Instant now_{}, started_{}, next_report_{};
  UnixTime wall_{};
  Instant congested_until_{};  // a local queue was full: no sends before this
  Instant blocked_until_{};    // what is ready cannot be sent before this, unless something returns
  Bucket rate_;                // --rate
  uint64_t next_number_ = 0;
  struct Repeat {
    Buffer text;
    uint32_t times;
  };
  std::optional<Lines> lines_;  // -o Z: all that is written of lookups goes through them
  std::deque<Repeat> repeats_;  // output of names that several lines asked for
  uint64_t outstanding_ = 0;   // input lines, times types, without an outcome
  bool input_waits_ = false;   // there may be more to take, but for want of room
  signalfd_siginfo signal_info_{};
  int signal_ = 0;
  bool reported_end_ = false;
};

}  // namespace ringdns
