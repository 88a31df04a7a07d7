// Lines of input as questions, read in pieces, against a reference that has the whole input at
// once. Input: flags, how much each read gives, the lines; 0xfe stands for a run (its length, the
// octet), so that lines of many kilobytes are short inputs.
#include "ringdns/feed.hpp"

#include <vector>

#include "fuzz.hpp"
#include "no_io.hpp"

using namespace ringdns;
using fuzz::require;

namespace {

// A file that is there: each read gives a piece, at once.
class Pieces : public fuzz::NoIo {
 public:
  Pieces(std::string_view text, size_t piece) : text_(text), piece_(piece) {}

  void read(StreamId, MutableBytes into, Token) override {
    const size_t length = std::min({piece_, into.size(), text_.size()});
    text_.copy(reinterpret_cast<char*>(into.data()), length);
    text_.remove_prefix(length);
    result_ = static_cast<int32_t>(length);
  }
  // What the read that is under way gave; -1 when none is.
  int32_t take_result() { return std::exchange(result_, -1); }

 private:
  std::string_view text_;
  size_t piece_;
  int32_t result_ = -1;
};

// What came of one line, or of one question of it.
struct Outcome {
  uint64_t line;         // of a complaint; behind a question, where to go on from
  std::string question;  // wire form; empty: a complaint
  uint16_t type = 0;
  std::string resolvers{};  // of a complaint: what it says before it quotes the line
  friend bool operator==(const Outcome&, const Outcome&) = default;
};
using Outcomes = std::vector<Outcome>;

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> out;
  for (size_t at = 0; at < line.size();) {
    const size_t end = std::min(line.find_first_of(" \t", at), line.size());
    if (end > at) out.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

// A word "#" before another word that is none begins a comment.
std::string_view uncommented(std::string_view line) {
  const std::vector<std::string_view> words = words_of(line);
  for (size_t i = 0; i + 1 < words.size(); ++i)
    if (words[i] == "#" && words[i + 1] != "#")
      return line.substr(0, static_cast<size_t>(words[i].data() - line.data()));
  return line;
}

class Reference {
 public:
  Reference(const Options& options, LineShare share) : options_(options), share_(share) {}

  Outcomes read(std::string_view text) {
    for (uint64_t line = share_.first; !text.empty(); line += share_.stride) {
      std::string_view content = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(content.size() + 1, text.size()));
      if (content.ends_with('\r')) content.remove_suffix(1);
      take_line(line, content);
    }
    return std::move(out_);
  }

 private:
  void take_line(uint64_t line, std::string_view content) {
    const bool too_long = content.size() > LineReader::max_line;
    const std::string_view whole = content.substr(0, LineReader::max_line);
    content = uncommented(whole);
    std::vector<std::string_view> words = words_of(content);
    if (words.empty() && (!too_long || content.size() < whole.size())) return;
    if (too_long) return complain(line, "line longer than 65536 octets");
    std::vector<uint16_t> types = options_.types;
    const bool resolver_follows =
        options_.extended_input && words.size() > 1 && Address::parse(words[1], 53);
    if (words.size() > 1 && !resolver_follows)
      if (const auto type = parse_type(words[0])) {
        types = {*type};
        words.erase(words.begin());
      }
    if (words.size() > 1 && !options_.extended_input)
      return complain(line, "more than a name on the line (resolvers need --extended-input)");
    // From the second word on, blanks behind the last one included.
    const std::string_view resolvers =
        words.size() > 1
            ? std::string_view(words[1].data(), content.data() + content.size() - words[1].data())
            : std::string_view();
    for (size_t i = 0; i < types.size(); ++i) {
      WireName name;
      const bool reverse = types[i] == type::ptr && encode_reverse_name(words[0], name);
      const NameError error = reverse ? NameError::none : encode_name(words[0], name);
      if (error != NameError::none) return complain(line, describe(error));
      const bool last = i + 1 == types.size();
      out_.push_back({last ? line + share_.stride : line, std::string(fuzz::text_of(name.bytes())),
                      types[i], std::string(resolvers)});
    }
  }

  void complain(uint64_t line, std::string_view what) {
    out_.push_back({line, {}, 0, std::string(what)});
  }

  const Options& options_;
  const LineShare share_;
  Outcomes out_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const uint8_t flags = input.u8();
  Options options;
  options.extended_input = flags & 1;
  if (flags & 2) options.types = {type::ptr, type::a};
  const LineShare share = flags & 4 ? LineShare{2, 3} : LineShare{};
  const size_t chosen = 1 + size_t{input.u8()} * (flags & 8 ? 1000 : 1);
  const std::string text = fuzz::expanded(input.rest(), 400'000);
  const size_t piece = std::max(chosen, text.size() / 4096);  // long ones not octet by octet

  Outcomes outcomes;
  Stats stats;
  Pieces io(text, piece);
  const auto complain = [&](uint64_t line, std::string_view what) {
    for (char c : what) require(c >= ' ' && c < 0x7f, "a complaint can be shown");
    require(what.size() < 200, "a complaint is short");
    outcomes.push_back({line, {}, 0, std::string(what.substr(0, what.find(": \"")))});
  };
  Feed feed(options, io, {}, stats, {{}, share, complain});
  size_t turns = 0;
  while (!feed.exhausted()) {
    require(++turns < 4 * text.size() + 8, "the input ends");
    while (const Question* question = feed.next()) {
      outcomes.push_back({feed.next_line(), std::string(fuzz::text_of(question->name.bytes())),
                          question->type, std::string(question->resolvers)});
    }
    feed.pump();
    const int32_t result = io.take_result();
    if (result >= 0) feed.on_read(result);
  }
  const Outcomes expected = Reference(options, share).read(text);
  require(outcomes == expected, "the questions and complaints of the reference");
  require(stats.invalid == static_cast<uint64_t>(std::count_if(
                               expected.begin(), expected.end(),
                               [](const Outcome& outcome) { return outcome.question.empty(); })),
          "complaints are counted");
  require(feed.bytes_consumed() == text.size(), "all of the input is consumed");
  return 0;
}
