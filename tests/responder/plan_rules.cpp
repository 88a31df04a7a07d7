#include "words.hpp"

namespace responder {
namespace {

constexpr Named<Deform> deforms[] = {
    {"wrong-id", wrong_id},         {"wrong-name", wrong_name},
    {"wrong-type", wrong_type},     {"wrong-class", wrong_class},
    {"not-a-reply", not_a_reply},   {"wrong-opcode", wrong_opcode},
    {"no-question", no_question},   {"two-questions", two_questions},
    {"flip-case", flip_case},       {"header-only", header_only},
    {"tc", set_tc},                 {"ad", set_ad},
    {"cd", set_cd},                 {"no-aa", no_aa},
    {"no-ra", no_ra},               {"no-opt", no_opt},
    {"opt", force_opt},             {"two-opts", two_opts},
    {"huge-counts", huge_counts},   {"rdlength-past-end", rdlength_past_end},
    {"oversize", oversize},         {"as-is", as_is},
    {"no-body", no_body},           {"wrong-port", wrong_port},
    {"wrong-address", wrong_address}};
constexpr Named<Deform> forgeries[] = {{"by-id", wrong_id},
                                       {"by-port", wrong_port},
                                       {"by-address", wrong_address},
                                       {"by-name", wrong_name},
                                       {"by-type", wrong_type}};
constexpr Named<BadName> bad_names[] = {
    {"self", BadName::self},         {"loop", BadName::loop},
    {"forward", BadName::forward},   {"past-end", BadName::past_end},
    {"long-label", BadName::long_label}, {"long-name", BadName::long_name}};
constexpr Named<Transport> transports[] = {{"udp", Transport::udp}, {"tcp", Transport::tcp}};
constexpr Named<Body> bodies[] = {{"empty", Body::empty}, {"full", Body::full}, {"cut", Body::cut}};
constexpr Named<Part> parts[] = {
    {"answer", Part::answer}, {"authority", Part::authority}, {"additional", Part::additional}};
// One word, with its values, of the conditions; false when the next word is none.
bool read_condition(Words& words, Conditions& when) {
  if (words.take_if("over")) return when.over = choose(words, transports), true;
  if (words.take_if("class")) {
    return when.rr_class = words.take_if("ANY") ? 255 : words.value(parse_class, "a class"), true;
  }
  if (words.take_if("with-edns")) return when.edns = Conditions::Edns::with, true;
  if (words.take_if("without-edns")) return when.edns = Conditions::Edns::without, true;
  if (words.take_if("with-option")) return when.option = count(words, 0, 65535), true;
  if (words.take_if("edns-size")) return when.edns_size = range(words), true;
  if (words.take_if("connection")) return when.connection = range(words), true;
  if (words.take_if("position")) return when.position = range(words), true;
  if (words.take_if("tries")) return when.tries = range(words), true;
  if (words.take_if("share")) return when.share = percent(words), true;
  if (words.take_if("chance")) return when.chance = percent(words), true;
  if (words.take_if("first")) return when.first = words.number(1, UINT64_MAX), true;
  if (words.take_if("after")) return when.after = words.number(0, UINT64_MAX), true;
  if (words.take_if("every")) return when.every = words.number(1, UINT64_MAX), true;
  if (words.take_if("over-rate")) return when.over_rate = words.number(1, 1'000'000'000), true;
  if (words.take_if("during")) {
    uint64_t from = static_cast<uint64_t>(duration(words).count());
    if (!words.take_if("to")) words.fail("expected \"to\" between during's times");
    uint64_t to = static_cast<uint64_t>(duration(words).count());
    when.elapsed = Range{from, to};
    return true;
  }
  return false;
}

void read_prefix(Words& words, Shape& shape) {
  std::string word = words.take();
  bool relative = word.starts_with('+') || word.starts_with('-');
  auto value = parse_number(View(word).substr(relative ? 1 : 0), 65535);
  if (!value) return words.fail("expected a length such as 9, +5 or -5");
  if (!relative) shape.prefix = static_cast<uint16_t>(*value);
  else shape.prefix_error = static_cast<int32_t>(*value) * (word[0] == '-' ? -1 : 1);
}

// One word, with its values, of the modifiers; false when the next word is none.
bool read_modifier(Words& words, Rule& rule) {
  Shape& shape = rule.shape;
  if (auto bit = find_word(deforms, words.peek())) {
    words.take();
    return shape.deform |= *bit, true;
  }
  if (words.take_if("delay")) {
    rule.delay_least = rule.delay_most = duration(words);
    if (words.take_if("to")) rule.delay_most = duration(words);
    if (rule.delay_most < rule.delay_least) words.fail("a delay's second time is the longer one");
    return true;
  }
  if (words.take_if("ttl")) return rule.ttl = count(words, 0, UINT32_MAX), true;
  if (words.take_if("bad-owner")) return shape.bad_owner = choose(words, bad_names), true;
  if (words.take_if("bad-rdata")) return shape.bad_rdata = choose(words, bad_names), true;
  if (words.take_if("runt"))
    return shape.runt = static_cast<uint16_t>(words.number(0, 65535)), true;
  if (words.take_if("cut")) return shape.cut = count(words, 1, 65535), true;
  if (words.take_if("trailing")) return shape.trailing = count(words, 1, 60000), true;
  if (words.take_if("drop-above")) return shape.drop_above = count(words, 0, 65535), true;
  if (words.take_if("spoof")) {
    Spoof spoof{count(words, 1, 100'000), wrong_id};
    if (auto bit = find_word(forgeries, words.peek())) spoof.deform = *bit, words.take();
    return shape.spoofs.push_back(spoof), true;
  }
  if (words.take_if("copies")) {
    shape.copies = count(words, 1, 1000);
    if (words.take_if("every")) shape.copies_gap = duration(words);
    return true;
  }
  if (words.take_if("late-full")) return shape.late_full = duration(words), true;
  if (words.take_if("length")) return read_prefix(words, shape), true;
  if (words.take_if("stop")) return shape.stop = count(words, 0, 65537), true;
  if (words.take_if("then")) return shape.then = choose(words, endings), true;
  return read_pace(words, shape.pace);
}

// "[answer|authority|additional] [OWNER] [TTL] [CLASS] TYPE RDATA"
void read_record(Words& words, Rule& rule, Part& part) {
  RecordSpec record;
  if (auto named = find_word(parts, words.peek())) part = *named, words.take();
  record.part = part;
  if (!words.take_if("@") && words.peek().ends_with('.'))
    record.owner = words.value(parse_name, "a name");
  if (auto ttl = parse_number(words.peek(), UINT32_MAX)) {
    record.ttl = static_cast<uint32_t>(*ttl);
    words.take();
  }
  record.rr_class = words.value_if(parse_class);
  std::string type = words.peek();
  record.type = words.value(parse_type, "a record type");
  std::vector<std::string> rdata;
  while (!words.done() && words.peek() != ";") rdata.push_back(words.take());
  if (!words.error().empty()) return;

  bool hash = rdata.size() == 1 && rdata[0] == "hash";
  if (hash && type == "A") record.kind = Kind::hash_a;
  else if (hash && type == "AAAA") record.kind = Kind::hash_aaaa;
  else if (type == "TXT" && rdata.size() == 2 && rdata[0] == "size") {
    record.kind = Kind::sized_txt;
    auto size = parse_number(rdata[1], 65535);
    if (!size) return words.fail("a TXT's size is at most 65535");
    record.size = static_cast<uint32_t>(*size);
  } else {
    auto octets = parse_rdata(record.type, rdata);
    if (!octets) return words.fail(join("bad rdata of type ", type));
    record.rdata = std::move(*octets);
  }
  rule.records.push_back(std::move(record));
}

void read_records(Words& words, Rule& rule) {
  Part part = Part::answer;
  do read_record(words, rule, part);
  while (words.take_if(";"));
}

void read_action(Words& words, Rule& rule) {
  if (words.take_if("drop")) {
    rule.verb = Verb::drop;
  } else if (words.take_if("answer")) {
    if (!words.done()) read_records(words, rule);
    else rule.default_answer = true;
  } else if (words.take_if("rcode")) {
    rule.rcode = words.value(parse_rcode, "a response code");
    if (words.take_if(";")) read_records(words, rule);
  } else if (words.take_if("truncate")) {
    rule.truncate = Body::empty;
    if (auto body = find_word(bodies, words.peek())) rule.truncate = *body, words.take();
    if (words.done()) rule.default_answer = true;
    else read_action(words, rule);
  } else if (words.take_if("transfer")) {
    rule.verb = Verb::transfer;
    rule.transfer_records = count(words, 0, 5'000'000);
  } else if (words.take_if("close")) {
    rule.verb = Verb::close;
  } else if (words.take_if("reset")) {
    rule.verb = Verb::reset;
  } else {
    words.fail(join("expected an action instead of \"", words.peek(), "\""));
  }
}

void read_pattern(Words& words, Rule& rule) {
  View pattern = words.peek();
  if (pattern == "*") {
    rule.every_name = true;
    words.take();
    return;
  }
  rule.below = pattern.starts_with("*.");
  auto name = parse_name(rule.below ? pattern.substr(2) : pattern);
  if (rule.below && pattern == "*.") name = Octets{0};
  if (!name)
    return words.fail(join("expected a name that ends in a dot instead of \"", words.peek(), "\""));
  for (uint8_t octet : *name) rule.name.push_back(fold(octet));
  words.take();
}

bool read_types(Words& words, Rule& rule) {
  std::vector<uint16_t> found;
  View rest = words.peek();
  while (true) {
    size_t comma = rest.find(',');
    auto type = parse_type(rest.substr(0, comma));
    if (!type) return false;
    found.push_back(*type);
    if (comma == rest.npos) break;
    rest.remove_prefix(comma + 1);
  }
  words.take();
  rule.when.types = std::move(found);
  return true;
}

}  // namespace

void read_rule(Words& words, Rule& rule) {
  read_pattern(words, rule);
  if (!words.done()) read_types(words, rule);
  while (read_condition(words, rule.when) || read_modifier(words, rule)) {
  }
  read_action(words, rule);
  if (!words.done()) words.fail(join("\"", words.peek(), "\" after the end of the rule"));

  Conditions types_only;
  types_only.types = rule.when.types;
  rule.unconditional = rule.when == types_only;
  rule.plain_hash_a = rule.verb == Verb::reply && rule.rcode == 0 && !rule.truncate &&
                      rule.shape == Shape{} && rule.delay_most == Duration{} &&
                      rule.records.size() == 1 && rule.records[0].kind == Kind::hash_a &&
                      rule.records[0].part == Part::answer && rule.records[0].owner.empty() &&
                      !rule.records[0].rr_class;
}

}  // namespace responder
