// Level 7: wiring, processes, exit code.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstring>

#include "ringdns/edns.hpp"
#include "ringdns/engine.hpp"
#include "ringdns/processes.hpp"
#include "ringdns/sandbox.hpp"
#include "ringdns/setup.hpp"

namespace ringdns {
namespace {

constexpr int exit_failure = 1;

int complain(const std::string& what) {
  std::fprintf(stderr, "ringdns: %s\n", what.c_str());
  return exit_failure;
}

void notice(const Options& options, const std::string& what) {
  if (!options.quiet) std::fprintf(stderr, "ringdns: %s\n", what.c_str());
}

// The descriptors of one process's run.
struct Files {
  Fd input, output, error_log, standard_error, signals;
  Fd stats;  // --stats; of the process that concludes the run
  Fd channel;  // in a worker, which has neither error log nor stderr: where its frames go
};

struct WorkerSeat {
  bool is_worker = false;
  uint32_t index = 0;
  bool own_output = false;  // -w: OUT0, OUT1, ... instead of output frames
};

// What is said about input lines goes to the error log: all of it in a file of the user's, the
// first of it on stderr.
class LineComplaints {
 public:
  LineComplaints(Sink& log, bool all) : log_(log), left_(all ? UINT64_MAX : shown) {}
  void operator()(uint64_t line, std::string_view what) {
    constexpr size_t most_pending = 4 * 1024 * 1024;  // a log nobody reads
    if (left_ == 0 || log_.buffer().size() > most_pending) return;
    Buffer& out = log_.buffer();
    out.append("ringdns: line ");
    out.append_decimal(line);
    out.append(": ");
    out.append(what);
    out.append('\n');
    if (--left_ == 0) out.append("ringdns: further such lines are counted only (-l FILE keeps all)\n");
  }

 private:
  static constexpr uint64_t shown = 20;
  Sink& log_;
  uint64_t left_;
};

// How a run ended, told and turned into the exit code.
struct Ending {
  int signal = 0;
  int input_error = 0;
  int output_error = 0;
  uint64_t unwritten = 0;
  bool worker_failed = false;
};

// Returns what went wrong.
std::string write_stats(const Fd& file, const std::string& path, const RunFacts& facts) {
  Buffer out;
  append_stats_json(out, facts);
  for (Bytes left = out.bytes(); !left.empty();) {
    ssize_t written = write(file.get(), left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return "writing to " + path + " failed: " + std::strerror(errno);
    left = left.subspan(static_cast<size_t>(written));
  }
  return {};
}

void complain_of_input(int error) {
  complain(std::string("reading the names failed: ") + std::strerror(error));
}

void complain_of_output(const std::string& path, const Ending& ending, const Stats& stats) {
  uint64_t finished = stats.answered + stats.failed_total();
  complain("writing to " + (path == "-" ? "stdout" : path) + " failed: " +
           std::strerror(ending.output_error) + "; " + std::to_string(ending.unwritten) +
           " results were not written, " + std::to_string(stats.lookups - finished) +
           " names have no outcome");
}

int conclude(const Options& options, const RunFacts& facts, const Ending& ending,
             std::string_view io_name, const Fd& stats) {
  std::string stats_error;
  if (stats.valid()) stats_error = write_stats(stats, options.stats_file, facts);
  if (!stats_error.empty()) complain(stats_error);
  if (!options.quiet) {
    Buffer summary;
    append_summary(summary, facts, io_name);
    std::fwrite(summary.view().data(), 1, summary.size(), stderr);
  }
  if (ending.output_error) complain_of_output(options.outfile, ending, facts.stats);
  if (ending.input_error) complain_of_input(ending.input_error);
  if (ending.signal) {
    std::fprintf(stderr, "ringdns: %s: %zu input lines were taken; go on from line %zu\n",
                 ending.signal == SIGINT ? "interrupted" : "terminated",
                 static_cast<size_t>(facts.next_line - 1), static_cast<size_t>(facts.next_line));
    return 128 + ending.signal;
  }
  bool failed = ending.output_error || ending.input_error || ending.worker_failed ||
                !stats_error.empty();
  return failed ? exit_failure : 0;
}

Udp::Families families_of(const std::vector<Address>& addresses, bool extended_input) {
  Udp::Families families{extended_input, extended_input};
  for (const Address& address : addresses) (address.is_ipv4() ? families.ipv4 : families.ipv6) = true;
  return families;
}

// One process's run, from sockets to exit code.
int work(const Options& options, const std::vector<Address>& addresses, Files files,
         const WorkerSeat& seat) {
  uint64_t input_size = file_size(files.input);
  bool terminal = isatty(STDERR_FILENO);
  IoResult made = make_io(options.io, options.concurrency);
  if (!made.io) return complain(made.why);
  if (!made.why.empty() && seat.index == 0) notice(options, made.why);
  Io& io = *made.io;
  Rng rng(random_seed());
  Stats stats;

  Lookups lookups(options.concurrency, options.extended_input);
  Udp udp(io, rng, lookups, socket_token, query_token);
  Tcp tcp(io, rng, lookups, options, stats.tcp, connection_token);
  std::string error = udp.open(options, families_of(addresses, options.extended_input));
  if (!error.empty()) return complain(error);
  std::vector<Address> reachable;
  for (const Address& address : addresses)
    if (udp.can_reach(address)) reachable.push_back(address);
  if (reachable.empty()) return complain("no usable resolver: this host has no socket for any of them");
  if (reachable.size() < addresses.size() && seat.index == 0)
    notice(options, std::to_string(addresses.size() - reachable.size()) +
                        " resolvers are left out: no socket of their address family");
  Resolvers resolvers(std::move(reachable));

  StreamId signals = io.open_stream(std::move(files.signals));
  StreamId input = io.open_stream(std::move(files.input));
  std::optional<Sink> channel, output, log, status_sink;
  if (seat.is_worker)
    channel.emplace(io, io.open_stream(std::move(files.channel)), Token{0, 0, log_token});
  if (seat.is_worker && !seat.own_output)
    output.emplace(*channel, FrameKind::output);
  else
    output.emplace(io, io.open_stream(std::move(files.output)), Token{0, 0, output_token},
                   options.flush);
  if (seat.is_worker) {
    log.emplace(*channel, FrameKind::log);
    status_sink.emplace(*channel, FrameKind::stats);
  } else {
    log.emplace(io, io.open_stream(std::move(files.error_log)), Token{0, 0, log_token}, true);
    status_sink.emplace(io, io.open_stream(std::move(files.standard_error)),
                        Token{0, 0, status_token}, true);
  }

  std::vector<std::string> notices;
  error = drop_privileges(options, notices);
  if (!error.empty()) return complain(error);
  if (seat.index == 0)
    for (const std::string& text : notices) notice(options, text);

  std::unique_ptr<Formatter> formatter = make_formatter(options.format);
  if (!seat.is_worker || seat.own_output) formatter->append_preamble(output->buffer());
  std::unique_ptr<Status> status = make_status(options, terminal);
  if (seat.is_worker) status = std::make_unique<WorkerStatus>();
  LineShare share{seat.index + uint64_t{1}, seat.is_worker ? options.processes : uint64_t{1}};
  Feed feed(options, io, input, stats,
            {{0, 0, input_token}, share, LineComplaints(*log, options.error_log != "-")});
  std::vector<uint8_t> edns_options = encode_edns_options(options);
  std::optional<Lines> lines;
  if (options.format.kind == OutputFormat::Kind::zdns)
    lines.emplace(*output, options.concurrency);
  Engine engine({options, io, rng, resolvers, lookups, udp, tcp, feed, *formatter, status.get(),
                 *output, *log, *status_sink, stats, signals, input_size, edns_options,
                 lines ? &*lines : nullptr});

  if (options.sandbox) {
    std::vector<std::string> missing = enter_sandbox({});
    if (!seat.is_worker)
      for (const std::string& text : missing) notice(options, text);
  }
  while (!engine.finished()) engine.advance(io.wait(engine.next_deadline(), engine.expected()));

  Ending ending{engine.signal(), feed.error(), output->error(), output->unwritten_results(), false};
  std::string io_name = io.name();
  made.io.reset();  // before the buffers that it may still be reading or writing
  if (seat.is_worker) {
    if (ending.output_error && seat.own_output)
      complain_of_output(options.outfile + std::to_string(seat.index), ending, stats);
    if (ending.input_error) complain_of_input(ending.input_error);
    bool failed = ending.output_error || ending.input_error;
    return ending.signal ? 128 + ending.signal : failed ? exit_failure : 0;
  }
  return conclude(options, engine.facts(), ending, io_name, files.stats);
}

struct Spawned {
  pid_t pid;
  Fd lines, frames;
};

// Forks one worker; in the child, runs it and exits.
Outcome<Spawned> spawn(const Options& options, const std::vector<Address>& addresses,
                       Files& files, std::vector<Fd>& outputs, uint32_t index,
                       std::vector<Spawned>& earlier) {
  int lines[2], frames[2];
  if (pipe2(lines, O_CLOEXEC) != 0) return {{}, std::string("pipe: ") + std::strerror(errno)};
  Fd lines_read(lines[0]), lines_write(lines[1]);
  if (pipe2(frames, O_CLOEXEC) != 0) return {{}, std::string("pipe: ") + std::strerror(errno)};
  Fd frames_read(frames[0]), frames_write(frames[1]);
  pid_t pid = fork();
  if (pid < 0) return {{}, std::string("fork: ") + std::strerror(errno)};
  if (pid > 0) return {Spawned{pid, std::move(lines_write), std::move(frames_read)}, {}};

  // A terminal's ^C is for the one process that the user knows of, which passes it on.
  setpgid(0, 0);
  earlier.clear();
  files = {};
  lines_write.reset();
  frames_read.reset();
  Files own;
  own.input = std::move(lines_read);
  own.channel = std::move(frames_write);
  WorkerSeat seat{true, index, !outputs.empty()};
  if (seat.own_output) own.output = std::move(outputs[index]);
  Outcome<Fd> signals = take_signals();
  if (!signals.value) _exit(complain(signals.error));
  own.signals = std::move(*signals.value);
  _exit(work(options, addresses, std::move(own), seat));
}

int supervise(const Options& options, const std::vector<Address>& addresses, Files files) {
  std::vector<Fd> outputs;
  if (options.outfile != "-") {
    for (uint32_t index = 0; index < options.processes; ++index) {
      Outcome<Fd> output = open_output(options.outfile + std::to_string(index));
      if (!output.value) return complain(output.error);
      outputs.push_back(std::move(*output.value));
    }
  }
  std::vector<Spawned> spawned;
  for (uint32_t index = 0; index < options.processes; ++index) {
    Outcome<Spawned> worker = spawn(options, addresses, files, outputs, index, spawned);
    if (!worker.value) return complain(worker.error);  // the workers see their input end
    spawned.push_back(std::move(*worker.value));
  }
  outputs.clear();

  uint64_t input_size = file_size(files.input);
  IoResult made = make_io(options.io, 0);
  if (!made.io) return complain(made.why);
  Io& io = *made.io;
  std::vector<Supervisor::WorkerEnds> ends;
  for (Spawned& worker : spawned)
    ends.push_back({worker.pid, io.open_stream(std::move(worker.lines)),
                    io.open_stream(std::move(worker.frames))});
  StreamId input = io.open_stream(std::move(files.input));
  StreamId signals = io.open_stream(std::move(files.signals));
  Sink output(io, io.open_stream(std::move(files.output)),
              Token{0, 0, Supervisor::output_token}, options.flush);
  Sink log(io, io.open_stream(std::move(files.error_log)), Token{0, 0, Supervisor::log_token}, true);
  Sink status_sink(io, io.open_stream(std::move(files.standard_error)),
                   Token{0, 0, Supervisor::status_token}, true);
  std::vector<std::string> notices;
  std::string error = drop_privileges(options, notices);
  if (!error.empty()) return complain(error);

  if (options.outfile == "-") make_formatter(options.format)->append_preamble(output.buffer());
  std::unique_ptr<Status> status = make_status(options, isatty(STDERR_FILENO));
  Supervisor supervisor({io, input, signals, output, log, status_sink, status.get(), input_size},
                        ends);
  if (options.sandbox)
    for (const std::string& text : enter_sandbox({.supervises = true})) notice(options, text);
  while (!supervisor.finished()) supervisor.advance(io.wait(supervisor.next_deadline(), 0));

  Ending ending{supervisor.signal(), supervisor.input_error(), output.error(),
                output.unwritten_results(), supervisor.worker_failed()};
  std::string io_name = std::string(io.name()) + ", " + std::to_string(options.processes) +
                        " processes";
  made.io.reset();  // before the buffers that it may still be reading or writing
  return conclude(options, supervisor.facts(), ending, io_name, files.stats);
}

int run(const Options& options) {
  for (const std::string& text : options.notices) notice(options, text);
  if (!options.names_given && isatty(STDIN_FILENO))
    return complain("no list of names: name a file, or pipe names in (see --help)");

  Outcome<ResolverList> list = read_resolvers(options.resolvers);
  if (!list.value) return complain(list.error);
  for (const ResolverListProblem& problem : list.value->problems)
    std::fprintf(stderr, "ringdns: resolvers line %zu: not an address: \"%s\"; skipped\n",
                 problem.line, problem.text.c_str());
  if (list.value->problem_count > list.value->problems.size())
    std::fprintf(stderr, "ringdns: %zu more such resolver lines are skipped\n",
                 list.value->problem_count - list.value->problems.size());
  if (list.value->addresses.empty())
    return complain("no usable resolver in " + options.resolvers);

  raise_descriptor_limit();
  Files files;
  auto take = [](Fd& into, Outcome<Fd> outcome) {
    if (outcome.value) into = std::move(*outcome.value);
    return outcome.error;
  };
  bool several = options.processes > 1;
  std::string error = take(files.input, open_input(options.names));
  if (error.empty() && !(several && options.outfile != "-"))
    error = take(files.output, open_output(options.outfile));
  else if (error.empty())
    error = take(files.output, open_output("/dev/null"));
  if (error.empty())
    error = take(files.error_log, options.error_log == "-" ? open_standard_error()
                                                           : open_output(options.error_log));
  if (error.empty()) error = take(files.standard_error, open_standard_error());
  if (error.empty() && !options.stats_file.empty())
    error = take(files.stats, options.stats_file == "-" ? open_standard_error()
                                                        : open_output(options.stats_file));
  if (error.empty()) error = take(files.signals, take_signals());
  if (!error.empty()) return complain(error);

  if (several) return supervise(options, list.value->addresses, std::move(files));
  return work(options, list.value->addresses, std::move(files), {});
}

}  // namespace
}  // namespace ringdns

int main(int argc, char** argv) {
  using namespace ringdns;
  ParsedOptions parsed = parse_options(argc, argv);
  switch (parsed.outcome) {
    case ParsedOptions::Outcome::run: return run(parsed.options);
    case ParsedOptions::Outcome::help:
    case ParsedOptions::Outcome::version:
      std::fputs(parsed.message.c_str(), stdout);
      return std::fflush(stdout) == 0 ? 0 : exit_failure;
    case ParsedOptions::Outcome::error: std::fputs(parsed.message.c_str(), stderr); return exit_failure;
  }
}
