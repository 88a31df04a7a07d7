#include "ringdns/checkpoint.hpp"

#include <charconv>

namespace ringdns {

namespace {

constexpr std::string_view title = "ringdns checkpoint 1\n";
constexpr std::string_view magic = title.substr(0, title.find('1'));
constexpr std::string_view sum_key = "sum ";

void append_line(Buffer& out, std::string_view key, std::initializer_list<uint64_t> numbers) {
  out.append(key);
  for (uint64_t number : numbers) {
    out.append(' ');
    out.append_decimal(number);
  }
  out.append('\n');
}

// Differences to the line before, as most are small; ":part" where it is not the first.
void append_places(Buffer& out, const std::vector<Place>& places) {
  uint64_t before = 0;
  out.append("places");
  for (const Place& place : places) {
    out.append(' ');
    out.append_decimal(place.line - before);
    before = place.line;
    if (place.part == 0) continue;
    out.append(':');
    out.append_decimal(place.part);
  }
  out.append('\n');
}

// Reads what is expected, or remembers that it was not there.
class Reader {
 public:
  explicit Reader(std::string_view text) : left_(text) {}

  void word(std::string_view expected) {
    ok_ = ok_ && left_.starts_with(expected);
    if (ok_) left_.remove_prefix(expected.size());
  }
  template <class Number>
  void number(Number& out) {
    Number value = 0;
    const auto [stop, error] = std::from_chars(left_.data(), left_.data() + left_.size(), value);
    ok_ = ok_ && error == std::errc();
    if (!ok_) return;
    out = value;
    left_.remove_prefix(static_cast<size_t>(stop - left_.data()));
  }
  template <class... Numbers>
  void line(std::string_view key, Numbers&... numbers) {
    word(key);
    ((word(" "), number(numbers)), ...);
    word("\n");
  }
  std::string_view rest_of_line() {
    size_t end = left_.find('\n');
    ok_ = ok_ && end != left_.npos;
    if (!ok_) return {};
    std::string_view text = left_.substr(0, end);
    left_.remove_prefix(end + 1);
    return text;
  }
  bool next_is(char c) const { return ok_ && left_.starts_with(c); }
  void fail() { ok_ = false; }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && left_.empty(); }

 private:
  std::string_view left_;
  bool ok_ = true;
};

void read_places(Reader& reader, const Place& end, std::vector<Place>& out) {
  Place before{0, 0};
  bool first = true;
  reader.word("places");
  while (reader.next_is(' ')) {
    uint64_t distance = 0;
    Place place;
    reader.word(" ");
    reader.number(distance);
    if (reader.next_is(':')) {
      reader.word(":");
      reader.number(place.part);
    }
    place.line = before.line + distance;
    bool ascends = distance <= UINT64_MAX - before.line && (first || before < place);
    if (!ascends || !(place < end)) return reader.fail();
    if (reader.ok()) out.push_back(place);
    before = place;
    first = false;
  }
  reader.word("\n");
}

// Set apart where the sum is; nothing when there is none or it is wrong.
std::string_view summed(std::string_view text) {
  size_t at = text.rfind(sum_key);
  if (at == text.npos || at == 0 || text[at - 1] != '\n') return {};
  Reader reader(text.substr(at + sum_key.size()));
  uint64_t sum = 0;
  reader.number(sum);
  reader.word("\n");
  std::string_view body = text.substr(0, at);
  return reader.done() && sum == hash_on(hash_of_nothing, body) ? body : std::string_view();
}

}  // namespace

uint64_t hash_on(uint64_t hash, std::string_view bytes) {
  constexpr uint64_t prime = 0x100000001b3;
  for (char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * prime;
  return hash;
}

void append_checkpoint(Buffer& out, const Checkpoint& checkpoint) {
  size_t begin = out.size();
  out.append(title);
  out.append("run ");
  out.append(checkpoint.run);
  out.append('\n');
  append_line(out, "sequence", {checkpoint.sequence});
  append_line(out, "input", {checkpoint.input.size, checkpoint.input.head, checkpoint.input.hash});
  append_line(out, "base", {checkpoint.base_line, checkpoint.base_offset});
  append_line(out, "next", {checkpoint.next.line, checkpoint.next.part});
  append_line(out, "output", {checkpoint.output_size});
  append_line(out, "unresolved", {checkpoint.unresolved_size});
  append_places(out, checkpoint.unfinished);
  uint64_t sum = hash_on(hash_of_nothing, out.view().substr(begin));
  out.append(sum_key);
  out.append_decimal(sum);
  out.append('\n');
}

std::string_view describe(CheckpointError error) {
  static constexpr std::array<std::string_view, 4> texts{
      "", "is no checkpoint", "is a checkpoint of another version of ringdns",
      "is cut short or damaged"};
  return texts[static_cast<size_t>(error)];
}

CheckpointError parse_checkpoint(std::string_view text, Checkpoint& out) {
  if (title.starts_with(text) && text.size() < title.size()) return CheckpointError::damaged;
  if (!text.starts_with(magic)) return CheckpointError::foreign;
  if (!text.starts_with(title)) return CheckpointError::version;
  std::string_view body = summed(text);
  if (body.empty()) return CheckpointError::damaged;
  Checkpoint read;
  Reader reader(body.substr(title.size()));
  reader.word("run ");
  read.run = reader.rest_of_line();
  reader.line("sequence", read.sequence);
  reader.line("input", read.input.size, read.input.head, read.input.hash);
  reader.line("base", read.base_line, read.base_offset);
  reader.line("next", read.next.line, read.next.part);
  reader.line("output", read.output_size);
  reader.line("unresolved", read.unresolved_size);
  read_places(reader, read.next, read.unfinished);
  bool based = read.base_line > 0 && read.base_line <= read.next.line &&
               (read.unfinished.empty() || read.unfinished.front().line >= read.base_line);
  if (!reader.done() || !based) return CheckpointError::damaged;
  out = std::move(read);
  return CheckpointError::none;
}

}  // namespace ringdns
