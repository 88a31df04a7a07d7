#include "run.hpp"

#include "ringdns/edns.hpp"

namespace sim {

namespace {

// Faults off, all must come to its end within this much virtual time: the longest waits that the
// engine has are 20 s in a server's queue, and cooldowns of up to 300 s.
constexpr Duration longest_end = std::chrono::minutes(6);
constexpr uint64_t most_turns = 20'000'000;

Options options_of(const Scenario& scenario) {
  std::vector<const char*> arguments{"ringdns"};
  for (const std::string& argument : scenario.arguments) arguments.push_back(argument.c_str());
  ParsedOptions parsed = parse_options(static_cast<int>(arguments.size()), arguments.data());
  if (parsed.outcome != ParsedOptions::Outcome::run)
    violation("the command line: %s", parsed.message.c_str());
  return parsed.options;
}

Udp::Families families_of(const std::vector<Address>& addresses, bool extended_input) {
  Udp::Families families{extended_input, extended_input};
  for (const Address& address : addresses)
    (address.is_ipv4() ? families.ipv4 : families.ipv6) = true;
  return families;
}

uint64_t digest_of(uint64_t hash, const void* data, size_t length) {
  const uint8_t* at = static_cast<const uint8_t*>(data);
  for (size_t word = 0; length > 0; at += word, length -= word) {
    uint64_t next = 0;
    word = std::min(length, sizeof next);
    std::memcpy(&next, at, word);
    hash = (hash ^ next) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 29;
  }
  return hash;
}

class Run {
 public:
  Run(const Scenario& scenario, Trace& trace)
      : scenario_(scenario), trace_(trace), options_(options_of(scenario)), host_(scenario),
        rng_(seed_of(scenario.seed, Stream::engine)),
        lookups_(options_.concurrency, options_.extended_input),
        servers_(scenario, options_, trace,
                 [this](Token token) { return live(token); }),
        io_(servers_, trace), udp_(io_, rng_, lookups_, socket_token, query_token),
        tcp_(io_, rng_, lookups_, options_, stats_.tcp, connection_token),
        resolvers_(scenario.servers,
                   {double{1} * options_.resolver_rate, options_.concurrency,
                    (options_.tries + 1) * options_.interval}) {
    servers_.attach(io_);
    std::string error = udp_.open(options_, families_of(scenario.servers, options_.extended_input));
    if (!error.empty()) violation("%s", error.c_str());
    auto output = std::make_unique<Output>(host_, &Faults::output_slow);
    auto log = std::make_unique<Output>(host_, &Faults::log_slow);
    output_ = output.get();
    log_ = log.get();
    if (scenario.output_error_at) output_->fail_at(scenario.output_error_at, scenario.output_error);
    StreamId signals = io_.open_stream(io_.add(std::make_unique<Signals>(scenario)));
    StreamId input = io_.open_stream(io_.add(std::make_unique<Input>(host_)));
    output_sink_.emplace(io_, io_.open_stream(io_.add(std::move(output))),
                         Token{0, 0, output_token}, options_.flush);
    log_sink_.emplace(io_, io_.open_stream(io_.add(std::move(log))), Token{0, 0, log_token}, true);
    auto standard_error = std::make_unique<Output>(host_, &Faults::log_slow);
    status_sink_.emplace(io_, io_.open_stream(io_.add(std::move(standard_error))),
                         Token{0, 0, status_token}, true);
    formatter_ = make_formatter(options_.format);
    formatter_->append_preamble(output_sink_->buffer());
    status_ = make_status(options_, false);
    feed_.emplace(options_, io_, input, stats_,
                  Feed::Setup{{0, 0, input_token}, {}, [this](uint64_t line, auto what) {
                    complain(line, what);
                  }});
    edns_options_ = encode_edns_options(options_);
    engine_.emplace(Engine::Parts{options_, io_, rng_, resolvers_, lookups_, udp_, tcp_, *feed_,
                                  *formatter_, status_.get(), *output_sink_, *log_sink_,
                                  *status_sink_, stats_, signals, scenario.input.size(),
                                  edns_options_});
  }

  Result run() {
    Instant calm_at = SimIo::epoch + scenario_.faults_end;
    Instant end_by = calm_at + longest_end;
    // Lines may name resolvers that answer nobody, ever.
    uint64_t rounds = 1 + scenario_.asked.size() / options_.concurrency;
    if (options_.extended_input) end_by += rounds * options_.tries * options_.interval;
    while (!engine_->finished()) {
      // A turn that would wait beyond the end of all faults is cut in two there.
      Instant deadline = engine_->next_deadline();
      if (!servers_.is_calm() && io_.now() >= calm_at) calm();
      if (!servers_.is_calm()) deadline = std::min(deadline, calm_at);
      engine_->advance(io_.wait(deadline, engine_->expected()));
      check_turn();
      if (io_.now() > end_by) violation("it does not end, though all faults have");
      if (io_.turns() > most_turns) violation("it does not end in %zu turns", size_t{most_turns});
    }
    lookups_.check();
    if (!output_sink_->failed()) tcp_.check();
    if (io_.unclosed() > 0) violation("%u connections were not closed", io_.unclosed());
    RunFacts facts = engine_->facts();
    judge({scenario_, options_, stats_, facts, io_.counts(), servers_, *output_, log_->text(),
           engine_->signal(), feed_->error(), output_sink_->error(),
           output_sink_->unwritten_results()});
    Result result;
    result.digest = digest_of(0xcbf29ce484222325, output_->text().data(), output_->text().size());
    result.digest = digest_of(result.digest, log_->text().data(), log_->text().size());
    result.digest = digest_of(result.digest, &stats_, sizeof stats_);
    result.lookups = stats_.lookups;
    result.time = io_.now() - SimIo::epoch;
    result.turns = io_.turns();
    return result;
  }

 private:
  bool live(Token token) const {
    const Lookup& lookup = lookups_.at(token.slot);
    return lookup.state != LookupState::free && lookup.generation == token.generation;
  }

  void complain(uint64_t line, std::string_view what) {
    Buffer& out = log_sink_->buffer();
    out.append_decimal(line);
    out.append(' ');
    out.append(what);
    out.append('\n');
  }

  void calm() {
    servers_.calm();
    host_.faults = Faults();
  }

  void check_turn() {
    if (lookups_.in_flight() > options_.concurrency) violation("more lookups in flight than -s");
    if (io_.open_connections() > options_.tcp_connections)
      violation("%u connections are open", io_.open_connections());
    if (engine_->finished() || output_sink_->failed()) return;
    Instant due = std::min(lookups_.next_deadline(), tcp_.next_deadline());
    if (engine_->next_deadline() > std::max(due, io_.now()))
      violation("a deadline is slept through");
    // The whole tables, as often as their size allows.
    if (io_.turns() % (8 + lookups_.size() / 4) == 0) check_tables();
  }

  void check_tables() {
    lookups_.check();
    tcp_.check();
    Duration longest = options_.interval + TimerWheel::tick;
    for (uint32_t slot = 0; slot < lookups_.size(); ++slot) {
      const Lookup& lookup = lookups_.at(slot);
      Duration waited = std::chrono::microseconds(to_us(io_.now()) - lookup.sent_us);
      if (lookup.state == LookupState::udp_wait && waited > longest)
        violation("a reply is waited for beyond its time");
    }
  }

  const Scenario& scenario_;
  Trace& trace_;
  Options options_;
  Host host_;
  Rng rng_;
  Stats stats_;
  Lookups lookups_;
  Servers servers_;
  SimIo io_;
  Udp udp_;
  Tcp tcp_;
  Resolvers resolvers_;
  Output* output_ = nullptr;
  Output* log_ = nullptr;
  std::optional<Sink> output_sink_, log_sink_, status_sink_;
  std::unique_ptr<Formatter> formatter_;
  std::unique_ptr<Status> status_;
  std::optional<Feed> feed_;
  std::vector<uint8_t> edns_options_;
  std::optional<Engine> engine_;
};

}  // namespace

Result run_seed(uint64_t seed, uint32_t lookups, bool traced) {
  Scenario scenario(seed, lookups);
  if (traced) std::printf("%s\n", scenario.text().c_str());
  Trace trace(traced);
  return Run(scenario, trace).run();
}

}  // namespace sim
