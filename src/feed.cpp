#include "ringdns/feed.hpp"

namespace ringdns {

Feed::Feed(const Options& options, Io& io, StreamId stream, Stats& stats, Setup setup)
    : options_(options), io_(io), stream_(stream), stats_(stats), setup_(std::move(setup)),
      line_type_(1) {}

const Question* Feed::next() {
  if (stopped_) return nullptr;
  for (;;) {
    while (type_ < types_.size()) {
      question_.type = types_[type_++];
      question_.text = name_;
      question_.last = type_ == types_.size();
      if (!question_.problem.empty()) return &question_;
      if (question_.type == type::ptr && encode_reverse_name(name_, question_.name))
        return &question_;
      NameError error = encode_name(name_, question_.name);
      if (error == NameError::none) return &question_;
      reject(describe(error), name_);  // no other type would make it a name
      if (!question_.problem.empty()) return &question_;
      type_ = types_.size();
    }
    auto line = reader_.next();
    if (!line) return nullptr;
    line_number_ = setup_.share.first + (line->number - 1) * setup_.share.stride;
    question_.problem = {};
    if (!take_line(*line)) {
      types_ = question_.problem.empty() ? std::span<const uint16_t>() : options_.types;
      type_ = 0;
      name_ = line->text;
    }
  }
}

// Sets name_, types_ and the question's resolvers; false when there is nothing to ask.
bool Feed::take_line(const LineReader::Line& line) {
  Fields fields = split(line.text);
  if (fields.first.empty() && !line.too_long) return false;
  ++stats_.lines;
  if (line.too_long) {
    reject("line longer than 65536 octets", line.text);
    return false;
  }
  types_ = options_.types;
  type_ = 0;
  name_ = fields.first;
  // "TYPE name"; a mnemonic that stands alone, or before a resolver, is a name.
  std::string_view second = split(fields.rest).first;
  bool resolver_follows = options_.extended_input && Address::parse(second, 53);
  if (!second.empty() && !resolver_follows) {
    if (auto type = parse_type_mnemonic(fields.first)) {
      line_type_[0] = *type;
      types_ = line_type_;
      fields = split(fields.rest);
      name_ = fields.first;
    }
  }
  if (!options_.extended_input && !fields.rest.empty()) {
    reject("more than a name on the line (resolvers need --extended-input)", line.text);
    return false;
  }
  question_.resolvers = fields.rest;
  return true;
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

uint64_t Feed::next_line() const {
  if (line_number_ == 0) return setup_.share.first;
  return type_ < types_.size() ? line_number_ : line_number_ + setup_.share.stride;
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
  reader_.finish();
}

}  // namespace ringdns
