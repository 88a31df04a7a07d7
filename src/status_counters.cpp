// --stats: every counter of a run as one JSON object.
#include "ringdns/codes.hpp"
#include "ringdns/status.hpp"

namespace ringdns {

namespace {

// Members of one object or array, with the commas between them.
class Object {
 public:
  Object(Buffer& out, char open = '{', char close = '}') : out_(out), close_(close) {
    out_.append(open);
  }
  ~Object() { out_.append(close_); }
  Object(const Object&) = delete;

  Buffer& key(std::string_view name) {
    next();
    out_.append('"');
    out_.append(name);
    out_.append("\":");
    return out_;
  }
  void number(std::string_view name, uint64_t value) { key(name).append_decimal(value); }
  void number(uint64_t value) {
    next();
    out_.append_decimal(value);
  }
  // Three decimals.
  void fraction(std::string_view name, double value) {
    uint64_t thousandths = static_cast<uint64_t>(std::max(value, 0.0) * 1000 + 0.5);
    key(name).append_decimal(thousandths / 1000);
    out_.append('.');
    for (uint64_t unit : {100, 10, 1}) out_.append(static_cast<char>('0' + thousandths / unit % 10));
  }

 private:
  void next() {
    if (!first_) out_.append(',');
    first_ = false;
  }
  Buffer& out_;
  char close_;
  bool first_ = true;
};

double ratio(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

template <class Append>
std::string_view word(Buffer& scratch, Append append) {
  scratch.clear();
  append(scratch);
  return scratch.view();
}

void append_histogram(Buffer& out, const Histogram& histogram) {
  Object object(out);
  object.number("count", histogram.total());
  object.number("p50", histogram.percentile(0.50));
  object.number("p90", histogram.percentile(0.90));
  object.number("p99", histogram.percentile(0.99));
  object.number("max", histogram.percentile(1));
  // Each class that occurred, by the greatest value it holds.
  Object classes(object.key("at_most"));
  Buffer bound;
  for (size_t index = 0; index < Histogram::size; ++index)
    if (histogram.counts[index])
      classes.number(
          word(bound, [&](Buffer& b) { b.append_decimal(Histogram::upper_bound(index)); }),
          histogram.counts[index]);
}

void append_rcodes(Buffer& out, const std::array<uint64_t, 24>& rcodes) {
  Object object(out);
  Buffer scratch;
  for (uint16_t code = 0; code < rcodes.size(); ++code) {
    if (rcodes[code] == 0) continue;
    bool rest = code + 1u == rcodes.size();
    object.number(word(scratch,
                       [&](Buffer& b) { rest ? b.append("others") : append_rcode(b, code); }),
                  rcodes[code]);
  }
}

void append_types(Buffer& out, const Stats& stats) {
  Object object(out);
  Buffer scratch;
  for (uint16_t type = 0; type < counted_types; ++type) {
    const TypeCounts& counts = stats.by_type[type];
    if (counts.udp_replies == 0) continue;
    bool rest = type + 1u == counted_types;
    Object entry(object.key(
        word(scratch, [&](Buffer& b) { rest ? b.append("others") : append_type(b, type); })));
    entry.number("udp_replies", counts.udp_replies);
    entry.number("truncated", counts.truncated);
  }
}

void append_udp(Buffer& out, const Stats& stats) {
  Object object(out);
  object.number("sent", stats.sent);
  object.number("send_errors", stats.send_errors);
  object.number("back_pressure", stats.back_pressure);
  object.number("received", stats.received);
  object.number("replies", stats.replies);
  object.number("truncated", stats.truncated);
  object.number("timeouts", stats.timeouts);
  object.number("unreachable", stats.unreachable);
  object.number("oversize", stats.oversize);
  object.number("late", stats.late);
  object.number("mismatched_id", stats.mismatched_id);
  object.number("mismatched_name", stats.mismatched_name);
  object.number("mismatched_source", stats.mismatched_source);
  object.number("unusable", stats.unusable);
  object.number("near_misses", stats.near_misses);
  object.number("edns_fallbacks", stats.edns_fallbacks);
  object.fraction("truncation_rate", ratio(stats.truncated, stats.replies));
  append_histogram(object.key("latency_us"), stats.udp_latency);
}

void append_connections(Buffer& out, const TcpStats& tcp) {
  Object object(out);
  object.number("opened", tcp.opened);
  object.number("most_at_once", tcp.open_most);
  object.number("connect_failures", tcp.connect_failures);
  object.number("ended", tcp.ended);
  object.number("died", tcp.died);
  object.number("stalled", tcp.stalled);
  object.number("misbehaved", tcp.misbehaved);
  object.number("evicted", tcp.evicted);
  object.number("local_errors", tcp.local_errors);
  object.fraction("queries_per_connection", ratio(tcp.replies, tcp.ended));
  object.fraction("reuse_ratio", tcp.queries <= tcp.opened
                                     ? 0
                                     : ratio(tcp.queries - tcp.opened, tcp.queries));
  append_histogram(object.key("age_ms"), tcp.age);
  append_histogram(object.key("answers_each"), tcp.queries_per_connection);
}

void append_tcp(Buffer& out, const TcpStats& tcp) {
  Object object(out);
  object.number("entries", tcp.entries);
  object.number("answers", tcp.answers);
  object.number("failures", tcp.failures);
  object.number("back_to_udp", tcp.back_to_udp);
  object.number("skipped_udp", tcp.skipped_udp);
  object.fraction("success_rate", ratio(tcp.answers, tcp.entries - tcp.back_to_udp));
  object.number("queries", tcp.queries);
  object.number("replies", tcp.replies);
  object.number("truncated", tcp.truncated);
  object.number("strays", tcp.strays);
  object.number("late", tcp.late);
  object.number("requeued", tcp.requeued);
  object.number("charged", tcp.charged);
  object.number("timeouts", tcp.timeouts);
  append_histogram(object.key("latency_us"), tcp.latency);
  append_connections(object.key("connections"), tcp);
}

}  // namespace

void append_stats_json(Buffer& out, const RunFacts& facts) {
  const Stats& stats = facts.stats;
  {
    Object object(out);
    object.fraction("seconds", std::chrono::duration<double>(facts.now - facts.started).count());
    object.number("lines", stats.lines);
    object.number("due", stats.due);
    object.number("invalid", stats.invalid);
    object.number("names", stats.lookups);
    object.number("duplicates", stats.duplicates);
    object.number("answered", stats.answered);
    object.number("filtered", stats.filtered);
    object.number("unresolved", stats.unresolved);
    object.number("left_open", stats.left_open);
    object.number("open", facts.open);
    object.number("malformed", stats.malformed);
    append_rcodes(object.key("rcodes"), stats.rcodes);
    append_rcodes(object.key("rcodes_received"), stats.rcodes_received);
    {
      Object failed(object.key("failed"));
      for (size_t reason = 0; reason < failure_reasons; ++reason)
        failed.number(name(static_cast<FailureReason>(reason)), stats.failed[reason]);
    }
    {
      Object tries(object.key("failed_tries"), '[', ']');
      size_t last = stats.tries.size();
      while (last > 1 && stats.tries[last - 1] == 0) --last;
      for (size_t failed = 0; failed < last; ++failed) tries.number(stats.tries[failed]);
    }
    append_types(object.key("types"), stats);
    append_histogram(object.key("reply_size"), stats.reply_size);
    append_udp(object.key("udp"), stats);
    append_tcp(object.key("tcp"), stats.tcp);
  }
  out.append('\n');
}

}  // namespace ringdns
