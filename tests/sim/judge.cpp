// What must hold when a run is over: every question of the input has exactly one outcome, in the
// octets that were written, and says what an honest server said; and every count agrees.
#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "run.hpp"

namespace sim {

namespace {

using View = std::string_view;

constexpr uint16_t types[] = {type::a, type::aaaa, type::txt, type::mx, type::axfr};
constexpr View type_names[] = {"A", "AAAA", "TXT", "MX", "AXFR"};
constexpr size_t transfer = 4;  // of those: an answer of many messages

std::string folded(View text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return out;
}

// What an honest server says of a name (tests/responder/README.md).
std::string honest_data(View name, size_t type) {
  uint32_t hash = 2166136261;
  for (char c : folded(name)) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619;
  char text[INET6_ADDRSTRLEN];
  if (type == 0) {
    std::snprintf(text, sizeof text, "10.%u.%u.%u", hash >> 16 & 255, hash >> 8 & 255, hash & 255);
  } else {
    uint8_t octets[16] = {0x20, 0x01, 0x0d, 0xb8};
    store_u32(octets + 12, hash);
    inet_ntop(AF_INET6, octets, text, sizeof text);
  }
  return text;
}

class Judge {
 public:
  explicit Judge(const Outcome& outcome)
      : o_(outcome), written_(o_.scenario.names.size() * std::size(types)),
        expected_(written_.size()) {}

  void judge() {
    check_input();
    check_counts();
    View text(o_.output.text());
    if (o_.output_error) text = text.substr(0, o_.output.whole_writes());
    switch (o_.scenario.format) {
      case 'J': read_json(text); break;
      case 'S': read_simple(text); break;
      case 'F': read_full(text); break;
      case 'L': read_list(text); break;
      case 'B': read_binary(text); break;
    }
    check_written();
  }

 private:
  size_t index_of(uint32_t name, size_t type) const { return name * std::size(types) + type; }
  size_t type_of(View text) const {
    for (size_t i = 0; i < std::size(types); ++i)
      if (type_names[i] == text) return i;
    violation("a type that nobody asked for was written: %.*s", static_cast<int>(text.size()),
              text.data());
  }
  uint32_t name_of(View text) const {
    uint32_t name = Servers::ordinal_of(text.substr(0, text.find('.')));
    if (name >= o_.scenario.names.size() || folded(o_.scenario.names[name]) != folded(text))
      violation("a name that nobody asked for was written: %.*s", static_cast<int>(text.size()),
                text.data());
    return name;
  }

  void check_input();
  void check_counts();
  void check_written();
  void read_json(View text);
  void read_json_line(View line);
  void read_simple(View text);
  void read_full(View text);
  void read_list(View text);
  void read_binary(View text);
  void check_data(uint32_t name, View type, View data);
  void note(uint32_t name, size_t type) { ++written_[index_of(name, type)], ++results_; }
  bool filtered() const { return o_.options.filter != Options::Filter::off; }

  const Outcome& o_;
  std::vector<uint16_t> written_, expected_;  // by name and type
  uint64_t results_ = 0;
  uint64_t errors_[failure_reasons] = {};
  uint64_t noerrors_ = 0;
  bool any_transfer_ = false;
};

// What of the input was taken, which is all of it but where something ended the run.
void Judge::check_input() {
  const Scenario& s = o_.scenario;
  uint64_t limit = o_.input_error ? s.input_error_at : s.input.size();
  size_t readable = 0;
  while (readable < s.asked.size() && s.asked[readable].line_end <= limit) ++readable;
  if (o_.stats.lookups > readable) violation("more was asked than the input holds");
  bool cut_short = o_.signal || o_.output_error;
  if (!cut_short) {
    uint64_t lines = 0, invalid = 0;
    for (const Scenario::Line& line : s.lines) {
      if (line.end > limit) break;
      ++lines;
      invalid += line.invalid;
    }
    if (o_.stats.lookups != readable)
      violation("%zu lookups for %zu questions", o_.stats.lookups, readable);
    if (o_.stats.lines != lines) violation("%zu lines for %zu", o_.stats.lines, lines);
    if (o_.stats.invalid != invalid)
      violation("%zu invalid lines for %zu", o_.stats.invalid, invalid);
  }
  if (bool(s.input_error_at) != bool(o_.input_error) && !cut_short)
    violation("reading the input failed, or not, unnoticed");
  uint64_t taken = o_.stats.lookups;
  if (taken > 0 && s.asked[taken - 1].line > o_.facts.next_line)
    violation("line %u was taken, though line %zu is called the next", s.asked[taken - 1].line,
              o_.facts.next_line);
  bool whole = taken == s.asked.size() ||
               (taken > 0 && s.asked[taken].line > s.asked[taken - 1].line);
  if (taken > 0 && whole && s.asked[taken - 1].line == o_.facts.next_line)
    violation("line %u was taken whole, and is called the next", s.asked[taken - 1].line);
  if (taken < s.asked.size() && s.asked[taken].line < o_.facts.next_line)
    violation("line %u was not taken, though line %zu is called the next", s.asked[taken].line,
              o_.facts.next_line);
  for (size_t i = 0; i < taken; ++i) {
    size_t type = 0;
    while (types[type] != s.asked[i].type) ++type;
    any_transfer_ |= type == transfer;
    ++expected_[index_of(s.asked[i].name, type)];
  }
}

void Judge::check_counts() {
  const Stats& stats = o_.stats;
  auto agree = [](uint64_t a, uint64_t b, const char* what) {
    if (a != b) violation("%s: %zu against %zu", what, a, b);
  };
  agree(stats.received, o_.kernel.datagrams_received, "datagrams received");
  agree(stats.sent, o_.kernel.datagrams_sent, "datagrams sent");
  agree(stats.tcp.opened, o_.kernel.connects, "connections opened");
  agree(stats.tcp.opened, stats.tcp.connect_failures + stats.tcp.ended, "connections' ends");
  for (size_t tries = o_.options.tries + 1; tries < stats.tries.size(); ++tries)
    agree(stats.tries[tries], 0, "lookups that had more tries than -c allows");
  uint64_t rcodes = 0, tries = 0, most_fallbacks = 0;
  for (uint64_t count : stats.rcodes) rcodes += count;
  for (size_t failed = 0; failed < stats.tries.size(); ++failed) {
    tries += stats.tries[failed];
    most_fallbacks += 2 * (failed + 1) * stats.tries[failed];  // a try: without options, plain
  }
  if (stats.edns_fallbacks > most_fallbacks) violation("EDNS falls back without end");
  agree(rcodes, stats.answered, "rcodes and answers");
  agree(tries, stats.lookups, "tries and lookups");
  uint64_t complaints = static_cast<uint64_t>(std::count(o_.log.begin(), o_.log.end(), '\n'));
  agree(complaints, stats.invalid, "complaints about lines");
  if (o_.output_error) return;  // nobody is there to be told what becomes of the others
  agree(stats.lookups, stats.answered + stats.failed_total(), "lookups and outcomes");
  if (o_.scenario.harmless && !o_.signal)
    agree(stats.tries[0], stats.lookups, "lookups answered at once, where nothing was lost");
  agree(stats.tcp.entries, stats.tcp.answers + stats.tcp.failures + stats.tcp.back_to_udp,
        "lookups over TCP");
}

void Judge::check_written() {
  bool all_written = !o_.output_error && !filtered() && o_.scenario.format == 'J';
  for (size_t i = 0; i < written_.size(); ++i) {
    bool is_transfer = i % std::size(types) == transfer;
    bool good = is_transfer ? (written_[i] > 0) <= (expected_[i] > 0)
                            : written_[i] <= expected_[i];
    if (all_written && !is_transfer) good = written_[i] == expected_[i];
    if (!good)
      violation("%s %s: written %u times, asked %u times",
                o_.scenario.names[i / std::size(types)].c_str(),
                type_names[i % std::size(types)].data(), written_[i], expected_[i]);
  }
  if (any_transfer_ || o_.scenario.format == 'L') return;
  uint64_t due = o_.stats.answered - o_.stats.filtered;
  if (o_.scenario.format == 'J') due += o_.stats.failed_total();
  if (results_ + o_.unwritten != due)
    violation("%zu results were written and %zu not, of %zu", results_, o_.unwritten, due);
  if (!all_written) return;
  for (size_t reason = 0; reason < failure_reasons; ++reason)
    if (errors_[reason] != o_.stats.failed[reason])
      violation("%zu of %zu failures %s were written", errors_[reason], o_.stats.failed[reason],
                ringdns::name(static_cast<FailureReason>(reason)).data());
  if (noerrors_ != o_.stats.rcodes[0])
    violation("%zu of %zu NOERROR were written", noerrors_, o_.stats.rcodes[0]);
}

void Judge::check_data(uint32_t name, View type, View data) {
  bool known = type == "A" || type == "AAAA";
  if (!known || o_.servers.tainted(name)) return;
  if (data == honest_data(o_.scenario.names[name], type == "A" ? 0 : 1)) return;
  violation("%s %.*s: no honest server says %.*s", o_.scenario.names[name].c_str(),
            static_cast<int>(type.size()), type.data(), static_cast<int>(data.size()), data.data());
}

// ---- Formats

template <class F>
void each_line(View text, F&& use) {
  while (!text.empty()) {
    size_t end = text.find('\n');
    if (end == text.npos) violation("the output ends within a line");
    use(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
}

// What follows the key, up to the next quote; `at` moves behind it.
View quoted(View line, View key, size_t& at) {
  size_t start = line.find(key, at);
  if (start == line.npos) return {};
  start += key.size();
  at = line.find('"', start);
  return at == line.npos ? View() : line.substr(start, at - start);
}

void Judge::read_json(View text) {
  each_line(text, [this](View line) { read_json_line(line); });
}

void Judge::read_json_line(View line) {
  if (!line.starts_with("{\"name\":\"") || !line.ends_with('}')) violation("no line of JSON");
  size_t at = 0;
  uint32_t name = name_of(quoted(line, "\"name\":\"", at));
  size_t type = type_of(quoted(line, "\"type\":\"", at));
  note(name, type);
  size_t after = at;
  View error = quoted(line, "\"error\":\"", after);
  if (!error.empty()) {
    for (size_t reason = 0; reason < failure_reasons; ++reason)
      errors_[reason] += ringdns::name(static_cast<FailureReason>(reason)) == error;
    return;
  }
  noerrors_ += quoted(line, "\"status\":\"", at) == "NOERROR";
  if (type == transfer) return;
  while (true) {
    View record_type = quoted(line, "\"type\":\"", at);
    if (record_type.empty()) return;
    check_data(name, record_type, quoted(line, "\"data\":\"", at));
  }
}

// "name  TYPE", then a line "name TYPE data" for each record.
void Judge::read_simple(View text) {
  uint32_t name = 0;
  size_t type = 0;
  each_line(text, [&](View line) {
    size_t blank = line.find(' ');
    if (blank == line.npos) violation("a line of one word");
    View rest = line.substr(blank + 1);
    if (rest.starts_with(' ')) {
      name = name_of(line.substr(0, blank));
      type = type_of(rest.substr(1));
      return note(name, type);
    }
    if (type == transfer) return;
    size_t second = rest.find(' ');
    check_data(name, rest.substr(0, second), rest.substr(std::min(second, rest.size() - 1) + 1));
  });
}

void Judge::read_full(View text) {
  bool question_next = false;
  uint32_t name = 0;
  size_t type = 0;
  each_line(text, [&](View line) {
    results_ += line.starts_with(";; Server: ");
    if (std::exchange(question_next, line == ";; QUESTION SECTION:")) {
      name = name_of(line.substr(0, line.find(' ')));
      type = type_of(line.substr(line.rfind(' ') + 1));
      ++written_[index_of(name, type)];
      return;
    }
    size_t at = line.find(" IN A");
    if (line.starts_with(';') || at == line.npos || type == transfer) return;
    View rest = line.substr(at + 4);
    size_t blank = rest.find(' ');
    if (blank != rest.npos) check_data(name, rest.substr(0, blank), rest.substr(blank + 1));
  });
}

void Judge::read_list(View text) {
  each_line(text, [this](View line) {
    name_of(std::string(line) + ".");
    ++results_;
  });
  if (results_ > o_.stats.rcodes[0] * (any_transfer_ ? 1000 : 1))
    violation("%zu names were listed, of %zu", results_, o_.stats.rcodes[0]);
}

void Judge::read_binary(View text) {
  Buffer preamble;
  make_formatter(o_.options.format)->append_preamble(preamble);
  if (text.empty()) return;
  if (!text.starts_with(preamble.view())) violation("the output begins with no header");
  text.remove_prefix(preamble.size());
  constexpr size_t head = sizeof(time_t) + sizeof(sockaddr_storage) + sizeof(uint16_t);
  while (!text.empty()) {
    uint16_t length = 0;
    if (text.size() >= head)
      std::memcpy(&length, text.data() + head - sizeof length, sizeof length);
    if (text.size() < head + length || length < 12) violation("the output ends within a packet");
    text.remove_prefix(head + length);
    ++results_;
  }
}

}  // namespace

void judge(const Outcome& outcome) { Judge(outcome).judge(); }

}  // namespace sim
