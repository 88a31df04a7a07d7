#include "plan.hpp"

#include <algorithm>

#include "words.hpp"

namespace responder {
namespace {

constexpr Named<Hold> holds[] = {{"coalesced", Hold::same_order},
                                 {"reversed", Hold::reversed},
                                 {"shuffled", Hold::shuffled},
                                 {"swapped-ids", Hold::swapped_ids}};
constexpr Named<Banner> banners[] = {
    {"http", Banner::http}, {"tls", Banner::tls}, {"smtp", Banner::smtp}};
constexpr Named<OneAtATime> one_at_a_times[] = {{"ignore", OneAtATime::ignore},
                                                {"close", OneAtATime::close}};
constexpr Named<Door> udp_doors[] = {{"refuse", Door::refuse}};
constexpr Named<Door> tcp_doors[] = {{"refuse", Door::refuse}, {"blackhole", Door::blackhole}};

using TcpChange = std::function<void(TcpSettings&)>;

TcpChange read_tcp_ending(Words& words, Ending ending) {
  bool at = words.peek() == "at";
  if (!words.take_if("at") && !words.take_if("after")) words.fail("expected \"after\" or \"at\"");
  uint64_t n = words.number(at ? 1 : 0, UINT64_MAX - 1);
  return [=](TcpSettings& s) {
    s.end = ending;
    s.end_at = at ? n : UINT64_MAX;
    s.end_after = at ? UINT64_MAX : n;
  };
}

TcpChange read_hold(Words& words, Hold hold) {
  uint32_t held = hold == Hold::swapped_ids ? 2 : count(words, 2, 100'000);
  Duration most = words.value_if(parse_duration).value_or(std::chrono::milliseconds(20));
  return [=](TcpSettings& s) { s.hold = hold, s.hold_count = held, s.hold_most = most; };
}

TcpChange read_tcp_change(Words& words) {
  Pace pace;
  if (read_pace(words, pace)) return [=](TcpSettings& s) { s.pace = pace; };
  if (auto ending = find_word(endings, words.peek())) {
    words.take();
    return read_tcp_ending(words, *ending);
  }
  if (auto hold = find_word(holds, words.peek())) {
    words.take();
    return read_hold(words, *hold);
  }
  if (words.take_if("banner"))
    return [banner = choose(words, banners)](TcpSettings& s) { s.banner = banner; };
  if (words.take_if("unsolicited"))
    return [n = count(words, 1, 10'000)](TcpSettings& s) { s.unsolicited = n; };
  if (words.take_if("one-at-a-time"))
    return [how = choose(words, one_at_a_times)](TcpSettings& s) { s.one_at_a_time = how; };
  if (words.take_if("idle"))
    return [time = duration(words)](TcpSettings& s) { s.idle = time; };
  if (words.take_if("keepalive")) {
    uint16_t value = static_cast<uint16_t>(words.number(0, 65535));
    bool unasked = words.take_if("unasked");
    return [=](TcpSettings& s) { s.keepalive = value, s.keepalive_unasked = unasked; };
  }
  words.fail(join("expected a setting of TCP instead of \"", words.peek(), "\""));
  return [](TcpSettings&) {};
}

using Change = std::function<void(ListenerSettings&)>;

Change read_tcp_line(Words& words) {
  if (auto door = find_word(tcp_doors, words.peek())) {
    words.take();
    return [=](ListenerSettings& s) { s.tcp = *door; };
  }
  TcpLine line;
  while (true) {
    if (words.take_if("connection")) line.connection = range(words);
    else if (words.take_if("chance")) line.chance = percent(words);
    else break;
  }
  do line.changes.push_back(read_tcp_change(words));
  while (!words.done());
  return [=](ListenerSettings& s) { s.tcp_lines.push_back(line); };
}

Change read_fault_line(Words& words) {
  bool in = words.peek() == "loss-in";
  if (!words.take_if("loss-in") && !words.take_if("loss-out"))
    words.fail("expected loss-in or loss-out");
  uint64_t share = percent(words);
  return [=](ListenerSettings& s) { (in ? s.loss_in : s.loss_out) = share; };
}

Plan::Section read_section(Words& words) {
  Plan::Section section;
  section.general = false;
  std::string text = words.take();
  if (size_t dash = text.find('-'); dash != text.npos) text.replace(dash, 1, "..");
  auto servers = parse_range(text);
  if (!servers || servers->low == 0) words.fail("expected a server's number or K-L");
  else section.servers = *servers;
  return section;
}

void read_line(Words& words, Plan& plan, uint32_t number, View text) {
  if (words.done()) return;
  if (words.take_if("server")) {
    plan.sections.push_back(read_section(words));
  } else if (words.take_if("fault")) {
    plan.sections.back().changes.push_back(read_fault_line(words));
  } else if (words.take_if("udp")) {
    Door door = choose(words, udp_doors);
    plan.sections.back().changes.push_back([=](ListenerSettings& s) { s.udp = door; });
  } else if (words.take_if("tcp")) {
    plan.sections.back().changes.push_back(read_tcp_line(words));
  } else {
    auto rule = std::make_unique<Rule>();
    rule->id = static_cast<uint32_t>(plan.rules.size());
    rule->line = number;
    rule->text = text;
    read_rule(words, *rule);
    plan.sections.back().rules.push_back(rule.get());
    plan.rules.push_back(std::move(rule));
  }
  if (!words.done()) words.fail(join("\"", words.peek(), "\" after the end of the line"));
}

}  // namespace

ParsedPlan parse_plan(View text) {
  ParsedPlan parsed;
  parsed.plan.sections.emplace_back();
  uint32_t number = 0;
  while (!text.empty()) {
    View line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    ++number;
    auto split = split_words(line);
    Words words(split.value_or(std::vector<std::string>{}));
    if (!split) words.fail("a quote is not closed");
    read_line(words, parsed.plan, number, line);
    if (words.error().empty()) continue;
    parsed.error = join("line ", std::to_string(number), ": ", words.error());
    break;
  }
  return parsed;
}

}  // namespace responder
