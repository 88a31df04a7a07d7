// The words of one line of a plan, read from left to right.
#pragma once

#include "plan.hpp"

namespace responder {

// A line's words, taken one by one; remembers the first thing wrong.
class Words {
 public:
  explicit Words(std::vector<std::string> words) : words_(std::move(words)) {}
  bool done() const { return at_ == words_.size() || !error_.empty(); }
  const std::string& peek() const { return done() ? nothing : words_[at_]; }
  std::string take() { return done() ? std::string() : words_[at_++]; }
  bool take_if(View word) { return peek() == word && !done() ? ++at_, true : false; }
  const std::string& error() const { return error_; }
  void fail(std::string text) {
    if (error_.empty()) error_ = std::move(text);
  }

  // The next word as a value, through one of text.hpp's functions; T{} and an error otherwise.
  template <class T>
  T value(std::optional<T> (*parse)(View), View what) {
    return accept(parse(peek()), what);
  }
  uint64_t number(uint64_t least, uint64_t most) {
    std::optional<uint64_t> found = parse_number(peek(), most);
    bool good = found.value_or(0) >= least && found.has_value();
    return accept(good ? found : std::nullopt,
                  join("a number from ", std::to_string(least), " to ", std::to_string(most)));
  }
  // The same, but a word that is none is left for the next rule of the grammar.
  template <class T>
  std::optional<T> value_if(std::optional<T> (*parse)(View)) {
    auto found = done() ? std::nullopt : parse(peek());
    if (found) ++at_;
    return found;
  }

 private:
  template <class T>
  T accept(std::optional<T> found, View what) {
    if (!found || done()) fail(join("expected ", what, " instead of \"", peek(), "\""));
    else ++at_;
    return found.value_or(T{});
  }
  inline static const std::string nothing;
  std::vector<std::string> words_;
  size_t at_ = 0;
  std::string error_;
};

template <class T>
struct Named {
  View word;
  T value;
};
template <class T, size_t n>
std::optional<T> find_word(const Named<T> (&table)[n], View word) {
  for (const auto& entry : table)
    if (entry.word == word) return entry.value;
  return {};
}
// The next word must be one of the table's.
template <class T, size_t n>
T choose(Words& words, const Named<T> (&table)[n]) {
  auto found = find_word(table, words.peek());
  if (!found) {
    std::string all;
    for (const auto& entry : table) all += join(" ", entry.word);
    words.fail(join("expected one of", all, " instead of \"", words.peek(), "\""));
  }
  words.take();
  return found.value_or(T{});
}

inline constexpr Named<Ending> endings[] = {{"close", Ending::close},
                                            {"reset", Ending::reset},
                                            {"half-close", Ending::half_close},
                                            {"silent", Ending::silent},
                                            {"deaf", Ending::deaf}};

inline Duration duration(Words& words) {
  return words.value(parse_duration, "a time such as 5ms or 1.5s");
}
inline uint64_t percent(Words& words) { return words.value(parse_percent, "a percentage"); }
inline Range range(Words& words) {
  return words.value(parse_range, "a number or a range such as 1..5");
}
inline uint32_t count(Words& words, uint64_t least, uint64_t most) {
  return static_cast<uint32_t>(words.number(least, most));
}

// "drip 1 every 1s" or "split 1 [2ms]"; false when the next word is neither.
inline bool read_pace(Words& words, Pace& pace) {
  if (words.take_if("drip")) {
    pace = {0, count(words, 1, 65537), {}};
    if (!words.take_if("every")) words.fail("expected \"every\" after drip's octets");
    pace.gap = duration(words);
    return true;
  }
  if (words.take_if("split")) {
    pace = {count(words, 1, 65536), 0, std::chrono::milliseconds(2)};
    if (auto gap = words.value_if(parse_duration)) pace.gap = *gap;
    return true;
  }
  return false;
}

// One rule: PATTERN [TYPE] [conditions] [modifiers] ACTION.
void read_rule(Words& words, Rule& rule);

}  // namespace responder
