#include "ringdns/processes.hpp"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>

namespace ringdns {

namespace {
constexpr size_t read_size = 256 * 1024;
constexpr size_t most_log_pending = 4 * 1024 * 1024;
constexpr Duration report_interval = std::chrono::seconds(1);
}  // namespace

Supervisor::Supervisor(const Parts& parts, const std::vector<WorkerEnds>& workers)
    : parts_(parts), input_buffer_(std::make_unique_for_overwrite<uint8_t[]>(read_size)) {
  for (const WorkerEnds& ends : workers) {
    Worker worker{};
    worker.pid = ends.pid;
    worker.frames = ends.frames;
    worker.lines = ends.lines;
    uint32_t index = static_cast<uint32_t>(workers_.size());
    worker.share =
        std::make_unique<Sink>(parts_.io, ends.lines, Token{index, 0, lines_token});
    worker.read_buffer = std::make_unique_for_overwrite<uint8_t[]>(read_size);
    workers_.push_back(std::move(worker));
  }
  read_signals();
}

void Supervisor::read_signals() {
  parts_.io.read(parts_.signals,
                 {reinterpret_cast<uint8_t*>(&signal_info_), sizeof signal_info_},
                 {0, 0, signal_token});
}

void Supervisor::advance(const Turn& turn) {
  now_ = turn.now;
  if (started_ == Instant{}) {
    started_ = now_;
    next_report_ = now_ + report_interval;
  }
  for (const Completion& completion : turn.done) dispatch(completion);

  // Lines are dealt in turn, so one worker's full share stops the dealing.
  bool room = std::none_of(workers_.begin(), workers_.end(),
                           [](const Worker& worker) { return worker.share->full(); });
  if (room && !reading_input_ && !input_ended_) {
    reading_input_ = true;
    parts_.io.read(parts_.input, {input_buffer_.get(), read_size}, {0, 0, input_token});
  }
  for (uint32_t index = 0; index < workers_.size(); ++index) {
    Worker& worker = workers_[index];
    worker.share->pump(now_, input_ended_);
    if (input_ended_ && !worker.lines_closed && !worker.share->in_flight()) {
      worker.lines_closed = true;
      parts_.io.close_stream(worker.lines);
    }
    if (!worker.reading && !worker.ended && !parts_.output.full()) {
      worker.reading = true;
      parts_.io.read(worker.frames, {worker.read_buffer.get(), read_size},
                     {index, 0, frames_token});
    }
  }
  bool broken = parts_.output.failed() || (parts_.log.failed() && parts_.needs_log) ||
                worker_failed_;
  if (broken && !std::exchange(stopping_, true)) pass_on(SIGTERM);
  report();
  parts_.output.pump(now_, workers_ended());
  parts_.log.pump(now_, workers_ended());
  parts_.status_sink.pump(now_, workers_ended());
}

void Supervisor::dispatch(const Completion& completion) {
  switch (completion.token.kind) {
    case input_token: return on_input(completion.result);
    case output_token: return parts_.output.on_written(completion.result);
    case log_token: return parts_.log.on_written(completion.result);
    case status_token: return parts_.status_sink.on_written(completion.result);
    case signal_token: return on_signal(completion.result);
    case lines_token: return workers_[completion.token.slot].share->on_written(completion.result);
    case frames_token: return on_frames(workers_[completion.token.slot], completion.result);
  }
  ensure(false, "a completion is for somebody");
}

void Supervisor::on_input(int32_t result) {
  reading_input_ = false;
  if (result <= 0) {
    input_ended_ = true;
    input_error_ = -result;
    // A worker takes a line without its end for one that was cut short.
    if (result == 0 && within_line_) workers_[turn_of_].share->buffer().append('\n');
    return;
  }
  if (input_ended_) return;  // a signal came first
  deal({input_buffer_.get(), static_cast<size_t>(result)});
  input_consumed_ += static_cast<uint64_t>(result);
}

void Supervisor::deal(Bytes bytes) {
  while (!bytes.empty()) {
    const void* newline = std::memchr(bytes.data(), '\n', bytes.size());
    size_t length = newline ? static_cast<const uint8_t*>(newline) + 1 - bytes.data() : bytes.size();
    workers_[turn_of_].share->buffer().append(bytes.first(length));
    within_line_ = !newline;
    if (newline) turn_of_ = (turn_of_ + 1) % workers_.size();
    bytes = bytes.subspan(length);
  }
}

void Supervisor::on_frames(Worker& worker, int32_t result) {
  worker.reading = false;
  if (result <= 0) return end_worker(worker);
  worker.frame.append(Bytes(worker.read_buffer.get(), static_cast<size_t>(result)));
  size_t at = 0;
  Bytes all = worker.frame.bytes();
  while (all.size() - at >= sizeof(FrameHeader)) {
    FrameHeader header;
    std::memcpy(&header, all.data() + at, sizeof header);
    if (all.size() - at - sizeof header < header.length) break;
    take_frame(worker, header, all.subspan(at + sizeof header, header.length));
    at += sizeof header + header.length;
  }
  worker.frame.consume(at);
}

void Supervisor::take_frame(Worker& worker, const FrameHeader& header, Bytes body) {
  switch (header.kind) {
    case FrameKind::output:
      parts_.output.count_results(header.results);
      return parts_.output.buffer().append(body);
    case FrameKind::log:
      // A log that nobody reads does not grow without end.
      if (parts_.log.pending() < most_log_pending) parts_.log.buffer().append(body);
      return;
    case FrameKind::stats:
      while (!body.empty()) body = body.subspan(take_report(worker, body));
      return;
    case FrameKind::none: break;
  }
  ensure(false, "a frame has a known kind");
}

// Returns its size.
size_t Supervisor::take_report(Worker& worker, Bytes body) {
  constexpr std::string_view whole = "a stats frame holds whole reports";
  ensure(body.size() >= sizeof worker.report, whole.data());
  std::memcpy(&worker.report, body.data(), sizeof worker.report);
  body = body.subspan(sizeof worker.report);
  size_t count = worker.report.resolvers;
  ensure(body.size() / sizeof(ResolverFacts) >= count, whole.data());
  if (count > 0) {
    worker.resolvers.resize(count);
    std::memcpy(worker.resolvers.data(), body.data(), count * sizeof(ResolverFacts));
  }
  return sizeof worker.report + count * sizeof(ResolverFacts);
}

void Supervisor::end_worker(Worker& worker) {
  worker.ended = true;
  int status = 0;
  while (waitpid(worker.pid, &status, 0) < 0 && errno == EINTR) {
  }
  int sent = stopping_ ? SIGTERM : signal_;
  bool stopped_by_us = sent != 0 && WIFEXITED(status) && WEXITSTATUS(status) == 128 + sent;
  if (status == 0 || stopped_by_us) return;
  worker_failed_ = true;
  if (!WIFSIGNALED(status)) return;  // it has said why
  Buffer& log = parts_.log.buffer();
  log.append("ringdns: a worker process died of signal ");
  log.append_decimal(static_cast<uint64_t>(WTERMSIG(status)));
  log.append("; what it had in flight is lost\n");
}

void Supervisor::on_signal(int32_t result) {
  if (result == static_cast<int32_t>(sizeof signal_info_)) {
    int signal = static_cast<int>(signal_info_.ssi_signo);
    // The first two are the workers' as they are a single process's; a third ends the wait for a
    // reader that does not read.
    constexpr int patience = 2;
    if (workers_ended() || ++signals_ > patience) parts_.output.abandon();
    if (signal_ == 0) signal_ = signal;
    input_ended_ = true;
    pass_on(signal);
  }
  read_signals();
}

void Supervisor::pass_on(int signal) {
  input_ended_ = true;
  for (const Worker& worker : workers_)
    if (!worker.ended) kill(worker.pid, signal);
}

bool Supervisor::workers_ended() const {
  return std::all_of(workers_.begin(), workers_.end(),
                     [](const Worker& worker) { return worker.ended; });
}

bool Supervisor::finished() const {
  return workers_ended() && reported_end_ && parts_.output.drained() && parts_.log.drained() &&
         parts_.status_sink.drained();
}

Instant Supervisor::next_deadline() const {
  Instant deadline = std::min({next_report_, parts_.output.deadline(), parts_.log.deadline(),
                               parts_.status_sink.deadline()});
  for (const Worker& worker : workers_) deadline = std::min(deadline, worker.share->deadline());
  return deadline;
}

RunFacts Supervisor::facts() const {
  RunFacts facts{started_, now_, {}, 0, input_consumed_, parts_.input_size, UINT64_MAX, 0,
                 workers_ended()};
  for (const Worker& worker : workers_) {
    facts.stats.add(worker.report.stats);
    facts.in_flight += worker.report.in_flight;
    facts.open += worker.report.open;
    facts.next_line = std::min(facts.next_line, worker.report.next_line);
  }
  return facts;
}

std::vector<ResolverFacts> Supervisor::resolver_facts() const {
  std::vector<ResolverFacts> sums;
  for (const Worker& worker : workers_) {
    if (sums.empty()) {
      sums = worker.resolvers;
      continue;
    }
    // The workers hold the same list; one that died, or could not write on, told nothing.
    for (size_t i = 0; i < std::min(sums.size(), worker.resolvers.size()); ++i) {
      const ResolverFacts& other = worker.resolvers[i];
      sums[i].counts.add(other.counts);
      sums[i].window += other.window;
      sums[i].rate += other.rate;
      sums[i].state = std::min(sums[i].state, other.state);
    }
  }
  return sums;
}

void Supervisor::report() {
  bool end = workers_ended() && !reported_end_;
  if (now_ < next_report_ && !end) return;
  reported_end_ |= end;
  next_report_ = now_ + report_interval;
  if (parts_.status && parts_.status_sink.pending() == 0)
    parts_.status->append(parts_.status_sink.buffer(), facts());
}

}  // namespace ringdns
