#include "ringdns/feed.hpp"

#include <algorithm>

namespace ringdns {

Feed::Feed(const Options& options, Io& io, StreamId stream, Stats& stats, Setup setup)
    : options_(options), io_(io), stream_(stream), stats_(stats), setup_(std::move(setup)),
      line_type_(1), head_(setup_.from.input) {
  if (head_.size != 0) return;
  head_ = {0, 0, hash_of_nothing};
  setup_.from.base_offset = 0;  // a stream begins at its beginning
}

const Question* Feed::next() {
  if (stopped_) return nullptr;
  for (;;) {
    while (type_ < types_.size()) {
      question_.place = {line_number_, static_cast<uint32_t>(type_)};
      question_.type = types_[type_++];
      if (finished_before(question_.place)) continue;
      question_.last = left_from(type_) == 0;
      question_.spelling = name_;
      if (!question_.problem.empty()) return &question_;
      if (question_.type == type::ptr && encode_reverse_name(name_, question_.name))
        return encoded();
      NameError error = encode_name(name_, question_.name);
      if (error == NameError::none) return encoded();
      stats_.due -= left_from(type_);
      reject(ringdns::describe(error), name_);  // no other type would make it a name
      if (!question_.problem.empty()) return &question_;
      type_ = types_.size();
    }
    auto line = reader_.next();
    if (!line) return nullptr;
    line_number_ = setup_.share.first + (line->number - 1) * setup_.share.stride;
    line_offset_ = setup_.from.base_offset + line->offset;
    compare_head(line->text);
    if (!foreign_.empty()) return stop(), nullptr;
    question_.problem = {};
    if (line_finished_before() || !take_line(*line)) {
      types_ = question_.problem.empty() ? std::span<const uint16_t>() : options_.types;
      type_ = 0;
      name_ = without_comment(line->text);
    }
  }
}

// Sets name_, types_ and the question's resolvers; false when there is nothing to ask.
bool Feed::take_line(const LineReader::Line& line) {
  std::string_view text = without_comment(line.text);
  Fields fields = split(text);
  bool comment = text.size() < line.text.size();
  if (fields.first.empty() && (comment || !line.too_long)) return false;
  ++stats_.lines;
  if (line.too_long) {
    ++stats_.due;
    reject("line longer than 65536 octets", line.text);
    return false;
  }
  types_ = options_.types;
  type_ = 0;
  name_ = fields.first;
  // "TYPE name"; a type that stands alone, or before a resolver, is a name.
  std::string_view second = split(fields.rest).first;
  bool resolver_follows = options_.extended_input && Address::parse(second, 53);
  if (!second.empty() && !resolver_follows) {
    if (auto type = parse_type(fields.first)) {
      line_type_[0] = *type;
      types_ = line_type_;
      fields = split(fields.rest);
      name_ = fields.first;
    }
  }
  if (!options_.extended_input && !fields.rest.empty()) {
    ++stats_.due;
    reject("more than a name on the line (resolvers need --extended-input)", line.text);
    return false;
  }
  question_.resolvers = fields.rest;
  question_.offset = line_offset_;
  question_.several = types_.size() > 1;
  text.remove_prefix(text.find_first_not_of(" \t"));
  question_.text = text.substr(0, text.find_last_not_of(" \t") + 1);
  stats_.due += left_from(0);
  return true;
}

// With a type put before it, an address would be taken for the resolver of a name that is called
// like the type: such a line is told with the name that it asks for.
const Question* Feed::encoded() {
  if (!question_.several || !options_.extended_input || !Address::parse(name_, 53))
    return &question_;
  spelled_.clear();
  append_name(spelled_, question_.name.bytes());
  spelled_.append(' ');
  spelled_.append(question_.resolvers);
  question_.text = spelled_.view();
  return &question_;
}

void Feed::reject(std::string_view what, std::string_view text) {
  ++stats_.invalid;
  if (options_.format.kind == OutputFormat::Kind::zdns) question_.problem = what;
  if (!setup_.complain) return;
  // Shown as far as it helps to find the line, and harmless on a terminal.
  constexpr size_t shown = 60;
  std::string message(what);
  message += ": \"";
  for (char c : text.substr(0, shown)) message += c >= ' ' && c < 0x7f ? c : '?';
  message += text.size() > shown ? "...\"" : "\"";
  setup_.complain(line_number_, message);
}

Place Feed::next_place() const {
  if (line_number_ == 0) return {setup_.share.first, 0};
  if (type_ < types_.size()) return {line_number_, static_cast<uint32_t>(type_)};
  return {line_number_ + setup_.share.stride, 0};
}

// ---- Going on

bool Feed::finished_before(Place place) const {
  const Checkpoint& from = setup_.from;
  return place < from.next &&
         !std::binary_search(from.unfinished.begin(), from.unfinished.end(), place);
}

// No type of the line at hand is left.
bool Feed::line_finished_before() const {
  const Checkpoint& from = setup_.from;
  if (line_number_ >= from.next.line) return false;
  auto at = std::lower_bound(from.unfinished.begin(), from.unfinished.end(),
                             Place{line_number_, 0});
  return at == from.unfinished.end() || at->line != line_number_;
}

uint64_t Feed::left_from(size_t type) const {
  if (line_number_ > setup_.from.next.line) return types_.size() - type;
  uint64_t left = 0;
  for (; type < types_.size(); ++type)
    left += !finished_before({line_number_, static_cast<uint32_t>(type)});
  return left;
}

void Feed::compare_head(std::string_view line) {
  if (head_.size != 0 || head_.head == head_lines) return;
  const InputMark& before = setup_.from.input;
  head_.hash = hash_on(hash_on(head_.hash, line), "\n");
  ++head_.head;
  if (head_.head == before.head && head_.hash != before.hash)
    foreign_ = "its lines are not those that the checkpoint was made of";
}

std::string_view Feed::foreign() const {
  bool short_of_it = !stopped_ && reader_.exhausted() && next_place() < setup_.from.next;
  return short_of_it ? "it ends before the line where the checkpoint was made" : foreign_;
}

void Feed::describe(Checkpoint& out) const {
  const Checkpoint& from = setup_.from;
  Place next = next_place();
  out.input = head_;
  out.next = std::max(next, from.next);
  out.base_line = line_number_ == 0 ? from.base_line : line_number_;
  out.base_offset = line_number_ == 0 ? from.base_offset : line_offset_;
  auto rest = std::lower_bound(from.unfinished.begin(), from.unfinished.end(), next);
  out.unfinished.assign(rest, from.unfinished.end());
}

void Feed::pump() {
  if (reading_ || stopped_ || reader_.finished()) return;
  // A question still being asked about points into the reader's buffer.
  if (type_ < types_.size()) return;
  MutableBytes space = reader_.free_space();
  if (space.empty()) return;
  reading_ = true;
  io_.read(stream_, space, setup_.token);
}

void Feed::on_read(int32_t result) {
  reading_ = false;
  if (result > 0) return reader_.commit(static_cast<size_t>(result));
  if (result < 0) error_ = -result;
  bool cut_short = result < 0 || setup_.dealt;
  cut_short ? reader_.break_off() : reader_.finish();
}

}  // namespace ringdns
