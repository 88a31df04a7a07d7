// Level 5: what is said about input lines that cannot be asked.
#pragma once

#include "ringdns/sink.hpp"

namespace ringdns {

// What is said about input lines goes to the error log: all of it in a file of the user's, the
// first of it on stderr. In --unresolved it is a comment.
class LineComplaints {
 public:
  LineComplaints(Sink& log, bool all, Sink* unresolved)
      : log_(log), left_(all ? UINT64_MAX : shown), unresolved_(unresolved) {}
  void operator()(uint64_t line, std::string_view what) {
    constexpr size_t most_pending = 4 * 1024 * 1024;  // a log nobody reads
    if (unresolved_) {
      append(unresolved_->buffer(), "# INVALID line ", line, what);
      unresolved_->count_results(1);
    }
    if (left_ == 0 || log_.buffer().size() > most_pending) return;
    Buffer& out = log_.buffer();
    append(out, "ringdns: line ", line, what);
    log_.count_results(1);
    if (--left_ == 0)
      out.append("ringdns: further such lines are counted only (-l FILE keeps all)\n");
  }

 private:
  static constexpr uint64_t shown = 20;
  static void append(Buffer& out, std::string_view before, uint64_t line, std::string_view what) {
    out.append(before);
    out.append_decimal(line);
    out.append(": ");
    out.append(what);
    out.append('\n');
  }
  Sink& log_;
  uint64_t left_;
  Sink* unresolved_;
};

}  // namespace ringdns
