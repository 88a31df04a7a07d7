// Level 9: wiring, processes, exit code.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstring>

#include "ringdns/checker.hpp"
#include "ringdns/complaints.hpp"
#include "ringdns/edns.hpp"
#include "ringdns/ending.hpp"
#include "ringdns/engine.hpp"
#include "ringdns/processes.hpp"
#include "ringdns/recovery.hpp"
#include "ringdns/sandbox.hpp"
#include "ringdns/setup.hpp"

namespace ringdns {
namespace {

// The descriptors of one process's run.
struct Files {
  Fd input, error_log, standard_error, signals;
  Outputs outputs;
  LastFiles last;  // of the process that concludes the run
  Fd channel;  // in a worker, which has neither error log nor stderr: where its frames go
};

Udp::Families families_of(const std::vector<Address>& addresses, bool extended_input) {
  Udp::Families families{extended_input, extended_input};
  for (const Address& address : addresses) (address.is_ipv4() ? families.ipv4 : families.ipv6) = true;
  return families;
}

// One process's run, from sockets to exit code.
int work(const Options& options, const std::vector<Address>& addresses, Files files,
         const Seat& seat) {
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
  Resolvers resolvers(std::move(reachable),
                      {double{1} * options.resolver_rate / options.processes, options.concurrency,
                       (options.tries + 1) * options.interval});

  StreamId signals = io.open_stream(std::move(files.signals));
  StreamId input = io.open_stream(std::move(files.input));
  std::optional<Sink> channel, output, unresolved, log, status_sink;
  Outputs& outputs = files.outputs;
  bool own_output = outputs.output.stream.valid();
  if (seat.is_worker)
    channel.emplace(io, io.open_stream(std::move(files.channel)), Token{0, 0, log_token});
  if (own_output)
    output.emplace(io, io.open_stream(std::move(outputs.output.stream)), Token{0, 0, output_token},
                   options.flush);
  else
    output.emplace(*channel, FrameKind::output);
  if (outputs.unresolved.stream.valid())
    unresolved.emplace(io, io.open_stream(std::move(outputs.unresolved.stream)),
                       Token{0, 0, unresolved_token}, options.flush);
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

  if (seat.is_worker && !options.checkpoint.empty()) die_with_parent();

  std::unique_ptr<Formatter> formatter = make_formatter(options.format);
  if (outputs.broken_line) output->buffer().append('\n');
  if (own_output && outputs.from.output_size == 0) formatter->append_preamble(output->buffer());
  std::unique_ptr<Status> status = make_status(options, terminal);
  if (seat.is_worker) status = std::make_unique<WorkerStatus>(resolvers);
  Sink* lines_sink = unresolved ? &*unresolved : nullptr;
  LineShare share{seat.index + uint64_t{1}, options.processes};
  if (outputs.from.input.size > 0) share = {outputs.from.base_line, 1};
  Feed feed(options, io, input, stats,
            {{0, 0, input_token},
             share,
             LineComplaints(*log, options.error_log != "-", lines_sink),
             outputs.from,
             seat.is_worker});
  std::optional<Ledger> ledger;
  std::optional<Saver> saver;
  if (lines_sink || !options.checkpoint.empty())
    ledger.emplace(lookups.size(), lookups.size() * Engine::lines_per_slot, LineReader::max_line,
                   lines_sink != nullptr);
  if (!options.checkpoint.empty())
    saver.emplace(Saver::Parts{feed, *ledger, *output, lines_sink, outputs.from,
                               options.checkpoint_interval,
                               [&outputs](Bytes text) { return outputs.keep(text); }});
  std::vector<uint8_t> edns_options = encode_edns_options(options);
  Engine engine({options, io, rng, resolvers, lookups, udp, tcp, feed, *formatter, status.get(),
                 *output, *log, *status_sink, stats, signals, input_size, edns_options, lines_sink,
                 ledger ? &*ledger : nullptr, saver ? &*saver : nullptr});

  if (options.sandbox) {
    int replaced_in = outputs.store.directory();
    SandboxNeeds needs;
    if (replaced_in >= 0) needs.directories = {&replaced_in, 1};
    std::vector<std::string> missing = enter_sandbox(needs);
    if (!seat.is_worker)
      for (const std::string& text : missing) notice(options, text);
  }
  while (!engine.finished()) engine.advance(io.wait(engine.next_deadline(), engine.expected()));

  Ending ending{engine.signal(), feed.error(), feed.foreign(), {}, false};
  std::string outfile = options.outfile == "-" ? "-" : seat.path(options.outfile);
  if (own_output) ending.add(outfile, *output, "results");
  if (unresolved) ending.add(seat.path(options.unresolved), *unresolved, "lines");
  if (options.error_log != "-" && !seat.is_worker) ending.add(options.error_log, *log, "messages");
  if (saver && saver->error())
    ending.lost.push_back({seat.path(options.checkpoint), saver->error(), ""});
  std::string io_name = io.name();
  made.io.reset();  // before the buffers that it may still be reading or writing
  // What was written of a lot that failed is no whole record, and counts as not written.
  if (output->failed()) outputs.output.cut(output->written());
  if (unresolved && unresolved->failed()) outputs.unresolved.cut(unresolved->written());
  if (seat.is_worker) {
    tell_failures(options, ending, engine.facts());
    if (!own_output && output->failed()) ending.worker_failed = true;  // told by who reads it
    return ending.signal ? 128 + ending.signal : ending.failed() ? exit_failure : 0;
  }
  RunFacts facts = engine.facts();
  std::vector<ResolverFacts> of_resolvers = resolvers.facts();
  return conclude(options, {facts, of_resolvers, io_name}, ending, files.last);
}

struct Spawned {
  pid_t pid;
  Fd lines, frames;
};

// Forks one worker; in the child, runs it and exits.
Outcome<Spawned> spawn(const Options& options, const std::vector<Address>& addresses,
                       Files& files, std::vector<Outputs>& outputs, uint32_t index,
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
  Seat seat{true, index};
  own.outputs = std::move(outputs[index]);
  Outcome<Fd> signals = take_signals();
  if (!signals.value) _exit(complain(signals.error));
  own.signals = std::move(*signals.value);
  _exit(work(options, addresses, std::move(own), seat));
}

int supervise(const Options& options, const std::vector<Address>& addresses, Files files) {
  std::vector<Outputs> outputs(options.processes);
  for (uint32_t index = 0; index < options.processes; ++index) {
    std::string error = open_outputs(options, {true, index}, nullptr, outputs[index]);
    if (!error.empty()) return complain(error);
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
  Sink output(io, io.open_stream(std::move(files.outputs.output.stream)),
              Token{0, 0, Supervisor::output_token}, options.flush);
  Sink log(io, io.open_stream(std::move(files.error_log)), Token{0, 0, Supervisor::log_token}, true);
  Sink status_sink(io, io.open_stream(std::move(files.standard_error)),
                   Token{0, 0, Supervisor::status_token}, true);
  std::vector<std::string> notices;
  std::string error = drop_privileges(options, notices);
  if (!error.empty()) return complain(error);

  if (options.outfile == "-") make_formatter(options.format)->append_preamble(output.buffer());
  std::unique_ptr<Status> status = make_status(options, isatty(STDERR_FILENO));
  Supervisor supervisor({io, input, signals, output, log, status_sink, status.get(), input_size,
                         options.error_log != "-"},
                        ends);
  if (options.sandbox)
    for (const std::string& text : enter_sandbox({.supervises = true})) notice(options, text);
  while (!supervisor.finished()) supervisor.advance(io.wait(supervisor.next_deadline(), 0));

  Ending ending{supervisor.signal(), supervisor.input_error(), {}, {}, supervisor.worker_failed()};
  ending.add(options.outfile, output, "results");
  if (options.error_log != "-") ending.add(options.error_log, log, "messages");
  std::string io_name = std::string(io.name()) + ", " + std::to_string(options.processes) +
                        " processes";
  made.io.reset();  // before the buffers that it may still be reading or writing
  RunFacts facts = supervisor.facts();
  std::vector<ResolverFacts> of_resolvers = supervisor.resolver_facts();
  return conclude(options, {facts, of_resolvers, io_name}, ending, files.last);
}

void tell_of_problems(const ResolverList& list, const char* what) {
  for (const ResolverListProblem& problem : list.problems)
    std::fprintf(stderr, "ringdns: %s line %zu: not an address: \"%s\"; skipped\n", what,
                 problem.line, problem.text.c_str());
  if (list.problem_count > list.problems.size())
    std::fprintf(stderr, "ringdns: %zu more lines of the %s are skipped\n",
                 list.problem_count - list.problems.size(), what);
}

// What --rand-src-ipv6-file names. Returns what went wrong.
std::string add_sources(Options& options) {
  if (options.sources_file.empty()) return {};
  Outcome<ResolverList> list = read_addresses(options.sources_file, "source addresses");
  if (!list.value) return list.error;
  tell_of_problems(*list.value, "source addresses");
  size_t before = options.sources.size();
  for (Address address : list.value->addresses) {
    if (!address.is_ipv6()) continue;
    address.set_port(0);
    options.sources.push_back({address, 128});
  }
  return options.sources.size() > before ? "" : "no IPv6 address in " + options.sources_file;
}

int run(Options options) {
  for (const std::string& text : options.notices) notice(options, text);
  if (!options.names_given && isatty(STDIN_FILENO))
    return complain("no list of names: name a file, or pipe names in (see --help)");

  std::string shared = shared_file(options);
  if (!shared.empty()) return complain(shared);
  Outcome<ResolverList> list = read_resolvers(options.resolvers);
  if (!list.value) return complain(list.error);
  tell_of_problems(*list.value, "resolvers");
  if (list.value->addresses.empty())
    return complain("no usable resolver in " + options.resolvers);

  std::string error = add_sources(options);
  if (!error.empty()) return complain(error);

  raise_descriptor_limit();
  Files files;
  auto take = [](Fd& into, Outcome<Fd> outcome) {
    if (outcome.value) into = std::move(*outcome.value);
    return outcome.error;
  };
  bool several = options.processes > 1;
  error = take(files.input, open_input(options.names));
  if (error.empty() && several)
    error = take(files.outputs.output.stream,
                 open_output(options.outfile == "-" ? "-" : "/dev/null"));
  else if (error.empty())
    error = open_outputs(options, {}, &files.input, files.outputs);
  if (error.empty())
    error = take(files.error_log,
                 options.error_log == "-" ? open_standard_error()
                                          : open_output(options.error_log, options.resume));
  if (error.empty()) error = take(files.standard_error, open_standard_error());
  if (error.empty()) error = files.last.open(options);
  if (error.empty()) error = take(files.signals, take_signals());
  if (!error.empty()) return complain(error);

  if (options.concurrency_auto)
    options.concurrency = static_cast<uint32_t>(
        std::clamp<size_t>(list.value->addresses.size() * 64, 10'000, 200'000));
  if (several) return supervise(options, list.value->addresses, std::move(files));
  return work(options, list.value->addresses, std::move(files), {});
}

}  // namespace
}  // namespace ringdns

int main(int argc, char** argv) {
  using namespace ringdns;
  end_without_memory();
  ParsedOptions parsed = parse_options(argc, argv);
  switch (parsed.outcome) {
    case ParsedOptions::Outcome::run:
      return parsed.options.check_resolvers ? check_resolvers(parsed.options) : run(parsed.options);
    case ParsedOptions::Outcome::help:
    case ParsedOptions::Outcome::version:
      std::fputs(parsed.message.c_str(), stdout);
      return std::fflush(stdout) == 0 ? 0 : exit_failure;
    case ParsedOptions::Outcome::error: std::fputs(parsed.message.c_str(), stderr); return exit_failure;
  }
}
