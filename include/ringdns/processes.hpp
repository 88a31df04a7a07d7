// Level 6: --processes. The process that the user started deals the input's lines to workers in
// turn, merges what they write, whole records at a time, adds up their counts, and passes signals
// on. Each worker is an engine of its own.
#pragma once

#include <sys/signalfd.h>
#include <sys/types.h>

#include <memory>
#include <vector>

#include "ringdns/frames.hpp"
#include "ringdns/io.hpp"
#include "ringdns/resolvers.hpp"
#include "ringdns/sink.hpp"
#include "ringdns/status.hpp"

namespace ringdns {

// A worker's stats frame.
struct WorkerReport {
  Stats stats;
  uint64_t in_flight = 0;
  uint64_t next_line = 1;
  uint64_t open = 0;
  uint64_t resolvers = 0;  // so many ResolverFacts follow: at the end, of its whole list
};
static_assert(std::is_trivially_copyable_v<ResolverFacts>);

// A worker tells its counts by this status.
class WorkerStatus final : public Status {
 public:
  explicit WorkerStatus(const Resolvers& resolvers) : resolvers_(resolvers) {}
  void append(Buffer& out, const RunFacts& facts) override {
    WorkerReport report{facts.stats, facts.in_flight, facts.next_line, facts.open,
                        facts.done ? resolvers_.size() : 0};
    out.append(&report, sizeof report);
    for (uint32_t index = 0; index < report.resolvers; ++index) {
      ResolverFacts of_one = resolvers_.facts(index);
      out.append(&of_one, sizeof of_one);
    }
  }

 private:
  const Resolvers& resolvers_;
};

class Supervisor {
 public:
  struct WorkerEnds {
    pid_t pid;
    StreamId lines;   // we write, it reads
    StreamId frames;  // it writes, we read
  };
  struct Parts {
    Io& io;
    StreamId input;
    StreamId signals;
    Sink& output;
    Sink& log;
    Sink& status_sink;
    Status* status;  // null: none
    uint64_t input_size;
    bool needs_log;  // a log that cannot be written ends the run
  };
  // What the sinks' completions are marked with.
  enum TokenKind : uint8_t {
    input_token, output_token, log_token, status_token, signal_token, lines_token, frames_token,
  };

  Supervisor(const Parts& parts, const std::vector<WorkerEnds>& workers);

  void advance(const Turn& turn);
  bool finished() const;
  Instant next_deadline() const;

  RunFacts facts() const;
  // Counts, windows and rates added up; a resolver works where it does for any of the workers.
  std::vector<ResolverFacts> resolver_facts() const;
  int signal() const { return signal_; }
  int input_error() const { return input_error_; }
  bool worker_failed() const { return worker_failed_; }  // one died or said that it failed

 private:
  struct Worker {
    pid_t pid;
    StreamId frames;
    StreamId lines;
    std::unique_ptr<Sink> share;  // the lines dealt to it
    std::unique_ptr<uint8_t[]> read_buffer;
    Buffer frame;          // headers and bodies, as far as they came
    WorkerReport report;
    std::vector<ResolverFacts> resolvers;  // once it is done
    bool reading = false;
    bool lines_closed = false;
    bool ended = false;
  };

  void dispatch(const Completion& completion);
  void on_input(int32_t result);
  void deal(Bytes bytes);
  void on_frames(Worker& worker, int32_t result);
  void take_frame(Worker& worker, const FrameHeader& header, Bytes body);
  size_t take_report(Worker& worker, Bytes body);
  void end_worker(Worker& worker);
  void on_signal(int32_t result);
  void pass_on(int signal);
  void read_signals();
  void report();
  bool workers_ended() const;

  Parts parts_;
  std::vector<Worker> workers_;
  std::unique_ptr<uint8_t[]> input_buffer_;
  size_t turn_of_ = 0;  // the worker whose line is being dealt
  uint64_t input_consumed_ = 0;
  bool within_line_ = false;
  bool reading_input_ = false;
  bool input_ended_ = false;
  int input_error_ = 0;
  bool worker_failed_ = false;
  signalfd_siginfo signal_info_{};
  int signal_ = 0;
  int signals_ = 0;
  bool stopping_ = false;  // the output failed
  Instant now_{}, started_{}, next_report_{};
  bool reported_end_ = false;
};

}  // namespace ringdns
