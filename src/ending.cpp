#include "ringdns/ending.hpp"

#include <signal.h>

#include <cstdio>

#include "ringdns/replaced_file.hpp"  // write_all
#include "ringdns/setup.hpp"

namespace ringdns {

namespace {

// Who reads JSON takes other lines for results (recon.py does), and the last status has it all.
bool wants_words(const Options& options) {
  return !options.quiet && options.status != Options::Status::json;
}

std::string open_last(Fd& into, const std::string& path) {
  if (path.empty()) return {};
  Outcome<Fd> outcome = path == "-" ? open_standard_error() : open_output(path);
  if (outcome.value) into = std::move(*outcome.value);
  return outcome.error;
}

bool ends_in_json(std::string_view path) {
  return path.ends_with(".json") || path.ends_with(".jsonl");
}

// What went wrong is told; returns whether all went well.
template <class Append>
bool write_last(const Fd& file, const std::string& path, Append append) {
  if (!file.valid()) return true;
  Buffer out;
  append(out);
  int error = write_all(file, out.bytes());
  if (error) complain("writing to " + path + " failed: " + std::strerror(error));
  return error == 0;
}

bool write_last_files(const Options& options, const RunEnd& end, const LastFiles& files) {
  bool stats = write_last(files.stats, options.stats_file,
                          [&](Buffer& out) { append_stats_json(out, end.facts); });
  bool resolvers =
      write_last(files.resolver_stats, options.resolver_stats_file, [&](Buffer& out) {
        if (!ends_in_json(options.resolver_stats_file))
          return append_resolver_table(out, end.resolvers);
        for (const ResolverFacts& facts : end.resolvers) append_resolver_json(out, facts);
      });
  return stats && resolvers;
}

// Every line taken has its outcome, in every count of it: what is left over is our bug.
bool balances(const Options& options, const RunFacts& facts) {
  const Stats& stats = facts.stats;
  uint64_t written = stats.failed_total() - stats.left_open;
  bool balanced = stats.balanced(facts.open) &&
                  (options.unresolved.empty() || stats.unresolved == written);
  if (balanced) return true;
  complain("internal error: the accounts do not balance: " + std::to_string(stats.due) +
           " outcomes are due; answered " + std::to_string(stats.answered) + ", failed " +
           std::to_string(stats.failed_total()) + ", invalid " + std::to_string(stats.invalid) +
           ", open " + std::to_string(facts.open) + ", unresolved " +
           std::to_string(stats.unresolved));
  return false;
}

}  // namespace

int complain(const std::string& what) {
  std::fprintf(stderr, "ringdns: %s\n", what.c_str());
  return exit_failure;
}

void notice(const Options& options, const std::string& what) {
  if (wants_words(options)) std::fprintf(stderr, "ringdns: %s\n", what.c_str());
}

std::string LastFiles::open(const Options& options) {
  std::string error = open_last(stats, options.stats_file);
  return error.empty() ? open_last(resolver_stats, options.resolver_stats_file) : error;
}

void Ending::add(const std::string& path, const Sink& sink, std::string_view what) {
  if (sink.failed())
    lost.push_back({path == "-" ? "stdout" : path, sink.error(),
                    std::to_string(sink.unwritten_results()) + " " + std::string(what)});
}

void tell_failures(const Options& options, const Ending& ending, const RunFacts& facts) {
  const Stats& stats = facts.stats;
  for (const LostWrite& write : ending.lost)
    complain("writing to " + write.path + " failed: " + std::strerror(write.error) + "; " +
             (write.lost.empty() ? "" : write.lost + " were not written, ") +
             std::to_string(stats.lookups - stats.answered - stats.failed_total()) +
             " names have no outcome");
  if (ending.input_error)
    complain(std::string("reading the names failed: ") + std::strerror(ending.input_error));
  if (!ending.foreign_input.empty())
    complain("cannot resume with this list of names: " + std::string(ending.foreign_input) + " (" +
             options.checkpoint + ")");
}

int conclude(const Options& options, const RunEnd& end, const Ending& ending,
             const LastFiles& files) {
  const RunFacts& facts = end.facts;
  bool written = write_last_files(options, end, files);
  if (wants_words(options)) {
    Buffer summary;
    append_summary(summary, facts, end.io_name);
    std::fwrite(summary.view().data(), 1, summary.size(), stderr);
  }
  tell_failures(options, ending, facts);
  bool balanced = balances(options, facts);
  uint64_t unasked = facts.stats.failed[static_cast<size_t>(FailureReason::no_resolver)];
  if (unasked)
    std::fprintf(stderr, "ringdns: %zu names failed because no resolver answered any more\n",
                 static_cast<size_t>(unasked));
  if (ending.signal) {
    std::fprintf(stderr, "ringdns: %s: %zu input lines were taken; go on from line %zu%s\n",
                 ending.signal == SIGINT ? "interrupted" : "terminated",
                 static_cast<size_t>(facts.next_line - 1), static_cast<size_t>(facts.next_line),
                 options.checkpoint.empty() ? "" : ", or with --resume");
    return balanced ? 128 + ending.signal : exit_failure;
  }
  return ending.failed() || !written || !balanced || unasked ? exit_failure : 0;
}

}  // namespace ringdns
