#include "ringdns/status.hpp"

#include "ringdns/text.hpp"

namespace ringdns {

namespace {

using Seconds = std::chrono::duration<double>;

double percent(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

uint64_t rate(uint64_t count, Duration time) {
  double seconds = Seconds(time).count();
  return seconds <= 0 ? 0 : static_cast<uint64_t>(static_cast<double>(count) / seconds);
}

struct Clock {
  uint64_t hours, minutes, seconds;
};
Clock clock_of(uint64_t seconds) { return {seconds / 3600, seconds / 60 % 60, seconds % 60}; }

// What both formats show, computed once.
struct Sample {
  uint64_t received_rate, received_average, success_rate, success_average;
  double progress;  // 0 to 1
  uint64_t elapsed, estimated;  // seconds
  uint64_t finished;
};

struct ShownRcode {
  const char* name;
  uint16_t rcode;
};
constexpr ShownRcode shown_rcodes[] = {{"OK", rcode::noerror},
                                       {"NXDOMAIN", rcode::nxdomain},
                                       {"SERVFAIL", rcode::servfail},
                                       {"REFUSED", rcode::refused},
                                       {"FORMERR", rcode::formerr}};

// "0: 97.50%, 1: 2.50%, ": the share of lookups by failed tries, up to the last that occurs.
void append_tries(Buffer& out, const Stats& stats, uint64_t finished) {
  size_t last = 0;
  for (size_t i = 0; i < stats.tries.size(); ++i)
    if (stats.tries[i]) last = i;
  for (size_t i = 0; i <= last; ++i)
    print(out, "%zu: %.2f%%, ", i, percent(stats.tries[i], finished));
}

class SampledStatus : public Status {
 public:
  void append(Buffer& out, const RunFacts& facts) override {
    Sample sample = take(facts);
    show(out, facts, sample);
    before_ = facts;
    first_ = false;
  }

 protected:
  virtual void show(Buffer& out, const RunFacts& facts, const Sample& sample) = 0;

 private:
  Sample take(const RunFacts& facts) const {
    Instant since = first_ ? facts.started : before_.now;
    uint64_t received = facts.stats.received - (first_ ? 0 : before_.stats.received);
    uint64_t answered = facts.stats.answered - (first_ ? 0 : before_.stats.answered);
    Duration whole = facts.now - facts.started;
    Sample sample{};
    sample.received_rate = rate(received, facts.now - since);
    sample.received_average = rate(facts.stats.received, whole);
    sample.success_rate = rate(answered, facts.now - since);
    sample.success_average = rate(facts.stats.answered, whole);
    sample.finished = facts.stats.answered + facts.stats.failed_total();
    if (facts.input_size)
      sample.progress = std::min(1.0, static_cast<double>(facts.input_consumed) /
                                          static_cast<double>(facts.input_size));
    if (facts.done) sample.progress = 1.0;
    double elapsed = Seconds(whole).count();
    sample.elapsed = static_cast<uint64_t>(elapsed);
    double estimated = sample.progress > 0 ? elapsed / sample.progress : 0;
    sample.estimated = std::max(sample.elapsed, static_cast<uint64_t>(estimated));
    return sample;
  }

  RunFacts before_{};
  bool first_ = true;
};

// massdns's table, redrawn in place.
class TableStatus final : public SampledStatus {
  void show(Buffer& out, const RunFacts& facts, const Sample& sample) override {
    const Stats& stats = facts.stats;
    Clock elapsed = clock_of(sample.elapsed), estimated = clock_of(sample.estimated);
    out.append("\033[H\033[2J");
    print(out, "Concurrency: %zu\n", static_cast<size_t>(facts.in_flight));
    print(out, "Processed queries: %zu\n", static_cast<size_t>(stats.lookups));
    print(out, "Received packets: %zu\n", static_cast<size_t>(stats.received));
    print(out, "Progress: %.2f%% (%02zu h %02zu min %02zu sec / %02zu h %02zu min %02zu sec)\n",
          sample.progress * 100, elapsed.hours, elapsed.minutes, elapsed.seconds, estimated.hours,
          estimated.minutes, estimated.seconds);
    print(out, "Current incoming rate: %zu pps, average: %zu pps\n", sample.received_rate,
          sample.received_average);
    print(out, "Current success rate: %zu pps, average: %zu pps\n", sample.success_rate,
          sample.success_average);
    print(out, "Finished total: %zu, success: %zu (%.2f%%)\n", sample.finished, stats.answered,
          percent(stats.answered, sample.finished));
    print(out, "Truncated: %zu, timeouts: %zu, unreachable: %zu\n", stats.truncated,
          stats.timeouts, stats.unreachable);
    print(out, "Mismatched domains: %zu (%.2f%%), IDs: %zu (%.2f%%)\n", stats.mismatched_name,
          percent(stats.mismatched_name, stats.received), stats.mismatched_id,
          percent(stats.mismatched_id, stats.received));
    out.append("Failures: ");
    append_tries(out, stats, sample.finished);
    out.append("\nResponse: | Success:               | Total:\n");
    for (ShownRcode row : shown_rcodes)
      print(out, "%-9s | %12zu (%6.2f%%) | %12zu (%6.2f%%)\n", (std::string(row.name) + ":").c_str(),
            stats.rcodes[row.rcode], percent(stats.rcodes[row.rcode], stats.answered),
            stats.rcodes_received[row.rcode],
            percent(stats.rcodes_received[row.rcode], stats.replies));
  }
};

// The same in short, for a stderr that is a file or a pipe.
class LineStatus final : public SampledStatus {
  void show(Buffer& out, const RunFacts& facts, const Sample& sample) override {
    const Stats& stats = facts.stats;
    if (facts.done) return;  // the summary says it
    print(out, "%zu s: %zu names, %zu answered (%zu/s), %zu failed, %zu in flight", sample.elapsed,
          stats.lookups, stats.answered, sample.success_rate, stats.failed_total(),
          facts.in_flight);
    if (facts.input_size) print(out, ", %.1f%% of the list", sample.progress * 100);
    out.append('\n');
  }
};

// massdns's keys in massdns's order (recon.py reads processed_queries), then our own.
class JsonStatus final : public SampledStatus {
  void show(Buffer& out, const RunFacts& facts, const Sample& sample) override {
    const Stats& stats = facts.stats;
    Clock elapsed = clock_of(sample.elapsed), estimated = clock_of(sample.estimated);
    print(out, "{\"concurrency\":%zu,\"processed_queries\":%zu,\"received_packets\":%zu,",
          facts.in_flight, stats.lookups, stats.received);
    print(out,
          "\"progress\":{\"percent\":%.2f,\"eta\":{\"hours\":%zu,\"minutes\":%zu,\"seconds\":%zu,"
          "\"total_hours\":%zu,\"total_minutes\":%zu,\"total_seconds\":%zu}},",
          sample.progress * 100, elapsed.hours, elapsed.minutes, elapsed.seconds, estimated.hours,
          estimated.minutes, estimated.seconds);
    print(out, "\"incoming_pps\":%zu,\"average_incoming_pps\":%zu,", sample.received_rate,
          sample.received_average);
    print(out, "\"success_rate_pps\":%zu,\"average_success_rate_pps\":%zu,", sample.success_rate,
          sample.success_average);
    print(out, "\"finished_total\":%zu,\"success_total\":%zu,\"success_total_pct\":%.2f,",
          sample.finished, stats.answered, percent(stats.answered, sample.finished));
    print(out, "\"mismatched_domains\":%zu,\"mismatched_domains_pct\":%.2f,",
          stats.mismatched_name, percent(stats.mismatched_name, stats.received));
    print(out, "\"ids\":%zu,\"ids_pct\":%.2f,\"failures\":\"", stats.mismatched_id,
          percent(stats.mismatched_id, stats.received));
    append_tries(out, stats, sample.finished);
    out.append("\",\"response\":{");
    for (ShownRcode row : shown_rcodes)
      print(out,
            "%s\"%s\":{\"success_number\":%zu,\"success_pct\":%.2f,\"total_number\":%zu,"
            "\"total_pct\":%.2f}",
            row.rcode == rcode::noerror ? "" : ",", row.name, stats.rcodes[row.rcode],
            percent(stats.rcodes[row.rcode], stats.answered), stats.rcodes_received[row.rcode],
            percent(stats.rcodes_received[row.rcode], stats.replies));
    print(out, "},\"sent\":%zu,\"timeouts\":%zu,\"truncated\":%zu,\"unreachable\":%zu,", stats.sent,
          stats.timeouts, stats.truncated, stats.unreachable);
    print(out, "\"invalid\":%zu,\"duplicates\":%zu,\"failed_total\":%zu}\n", stats.invalid,
          stats.duplicates, stats.failed_total());
  }
};

double milliseconds(const Histogram& latency, double share) {
  return static_cast<double>(latency.percentile(share)) / 1000;
}

void append_rcodes(Buffer& out, const Stats& stats) {
  const char* separator = ": ";
  for (uint16_t code = 0; code < stats.rcodes.size(); ++code) {
    if (stats.rcodes[code] == 0) continue;
    out.append(separator);
    if (code + 1u == stats.rcodes.size())
      out.append("others");
    else
      append_rcode(out, code);
    print(out, " %zu", stats.rcodes[code]);
    separator = ", ";
  }
}

void append_failures(Buffer& out, const Stats& stats) {
  const char* separator = ": ";
  for (size_t reason = 0; reason < failure_reasons; ++reason) {
    if (stats.failed[reason] == 0) continue;
    out.append(separator);
    out.append(name(static_cast<FailureReason>(reason)));
    print(out, " %zu", stats.failed[reason]);
    separator = ", ";
  }
}

void append_tcp_summary(Buffer& out, const Stats& stats) {
  const TcpStats& tcp = stats.tcp;
  if (tcp.entries == 0) return;
  double each = tcp.ended ? static_cast<double>(tcp.replies) / static_cast<double>(tcp.ended) : 0;
  print(out, "\ntcp       %zu names, %zu answered, %zu failed; %zu connections, %.1f answers each",
        tcp.entries - tcp.back_to_udp, tcp.answers, tcp.failures, tcp.opened, each);
  if (tcp.connect_failures) print(out, ", %zu not accepted", tcp.connect_failures);
  print(out, "\nlatency   UDP %.1f ms median, %.1f ms p99; TCP %.1f ms, %.1f ms",
        milliseconds(stats.udp_latency, 0.5), milliseconds(stats.udp_latency, 0.99),
        milliseconds(tcp.latency, 0.5), milliseconds(tcp.latency, 0.99));
}

}  // namespace

std::unique_ptr<Status> make_status(const Options& options, bool terminal) {
  if (options.quiet) return nullptr;
  if (options.status == Options::Status::json) return std::make_unique<JsonStatus>();
  if (terminal) return std::make_unique<TableStatus>();
  return std::make_unique<LineStatus>();
}

void append_summary(Buffer& out, const RunFacts& facts, std::string_view io_name) {
  const Stats& stats = facts.stats;
  double seconds = Seconds(facts.now - facts.started).count();
  print(out, "names     %zu", stats.lookups);
  if (stats.duplicates) print(out, " (%zu asked once with another line)", stats.duplicates);
  print(out, "\nanswered  %zu (%.2f%%)", stats.answered, percent(stats.answered, stats.lookups));
  append_rcodes(out, stats);
  print(out, "\nfailed    %zu (%.2f%%)", stats.failed_total(),
        percent(stats.failed_total(), stats.lookups));
  append_failures(out, stats);
  if (stats.invalid) print(out, "\ninvalid   %zu lines that are no name to ask", stats.invalid);
  print(out, "\naccounts  %zu due = %zu answered + %zu failed + %zu invalid", stats.due,
        stats.answered, stats.failed_total(), stats.invalid);
  if (facts.open) print(out, " + %zu without outcome", facts.open);
  if (stats.left_open) print(out, "; %zu of failed are left to --resume", stats.left_open);
  if (stats.filtered) print(out, "\nfiltered  %zu answers not written", stats.filtered);
  print(out, "\nqueries   %zu sent, %zu timed out, %zu truncated replies", stats.sent,
        stats.timeouts, stats.truncated);
  if (stats.unreachable) print(out, ", %zu unreachable", stats.unreachable);
  append_tcp_summary(out, stats);
  uint64_t mismatched = stats.mismatched_id + stats.mismatched_name + stats.mismatched_source;
  if (mismatched || stats.unusable)
    print(out, "\nrejected  %zu late or mismatched replies, %zu that are none", mismatched,
          stats.unusable);
  uint64_t finished = stats.answered + stats.failed_total();
  print(out, "\nrate      %zu names/s, %.2f s, %.*s\n", rate(finished, facts.now - facts.started),
        seconds, static_cast<int>(io_name.size()), io_name.data());
}

}  // namespace ringdns
