#include "ringdns/lines.hpp"

#include <algorithm>

#include "ringdns/text.hpp"

namespace ringdns {

void Lines::begin(std::string_view name) {
  ensure(!reading(), "one line is read at a time");
  reading_ = lines_.take();
  lines_[reading_].name = name;
}

uint32_t Lines::add_wait() {
  const uint32_t wait = waits_.take();
  waits_[wait] = {reading_, none, none};
  ++lines_[reading_].open;
  return wait;
}

void Lines::wait_for(uint32_t slot, Instant now) {
  const uint32_t wait = add_wait();
  Awaited& lookup = lookups_[slot];
  if (lookup.waits == none) lookup.began = now;
  waits_[wait].next = std::exchange(lookup.waits, wait);
}

void Lines::end() {
  if (!reading()) return;
  const uint32_t line = std::exchange(reading_, none);
  if (lines_[line].open == 0) write_line(line);
}

uint32_t Lines::keep_result() {
  const uint32_t number = results_.take();
  Result& result = results_[number];
  result.text = result_.view();
  result.uses = 1;
  kept_ += result.text.capacity();
  return number;
}

void Lines::give(uint32_t slot) {
  hand_out({std::exchange(lookups_[slot].waits, none), keep_result()});
}

void Lines::give_nothing(uint32_t slot) {
  hand_out({std::exchange(lookups_[slot].waits, none), none});
}

void Lines::hand_out(Gift gift) {
  if (held_up() || !try_to_hand_out(gift)) gifts_.push_back(gift);
}

void Lines::reject() {
  const uint32_t result = keep_result();
  take(add_wait(), result);
  drop(result);
}

void Lines::give_part(uint32_t slot) {
  for (uint32_t wait = lookups_[slot].waits; wait != none; wait = waits_[wait].next) {
    append_head(lines_[waits_[wait].line].name);
    output_.buffer().append(result_.view());
    append_tail();
  }
}

void Lines::write() {
  while (held_up() && try_to_hand_out(gifts_.front())) gifts_.pop_front();
}

// One result may be for very many lines: they are written as the reader reads.
bool Lines::try_to_hand_out(Gift& gift) {
  while (gift.waits != none) {
    const bool slow = output_.full() || output_.pending() >= at_once;
    if (slow && !output_.failed()) return false;
    const uint32_t wait = std::exchange(gift.waits, waits_[gift.waits].next);
    take(wait, gift.result);
  }
  if (gift.result != none) drop(gift.result);
  return true;
}

void Lines::take(uint32_t wait, uint32_t result) {
  const uint32_t number = waits_[wait].line;
  Line& line = lines_[number];
  --line.open;
  if (result == none) {
    waits_.put_back(wait);
  } else {
    ++results_[result].uses;
    waits_[wait].result = result;
    waits_[wait].next = std::exchange(line.results, wait);
  }
  if (line.open == 0 && number != reading_) write_line(number);
}

void Lines::drop(uint32_t number) {
  Result& result = results_[number];
  if (--result.uses > 0) return;
  kept_ -= result.text.capacity();
  if (result.text.capacity() > usual) result.text = std::string();
  results_.put_back(number);
}

// In the order of their keys. One without results, as filters took them all, is not written.
void Lines::write_line(uint32_t number) {
  Line& line = lines_[number];
  sorted_.clear();
  for (uint32_t wait = line.results; wait != none; wait = waits_[wait].next) {
    sorted_.push_back(waits_[wait].result);
    waits_.put_back(wait);
  }
  const auto text = [this](uint32_t result) { return std::string_view(results_[result].text); };
  std::sort(sorted_.begin(), sorted_.end(),
            [&](uint32_t a, uint32_t b) { return text(a) < text(b); });
  if (!sorted_.empty()) {
    append_head(line.name);
    for (size_t i = 0; i < sorted_.size(); ++i) {
      if (i > 0) output_.buffer().append(',');
      output_.buffer().append(text(sorted_[i]));
    }
    append_tail();
  }
  for (const uint32_t result : sorted_) drop(result);
  line.results = none;
  if (line.name.capacity() > usual) line.name = std::string();
  lines_.put_back(number);
}

namespace {
void append_name_member(Buffer& out, std::string_view key, std::string_view name) {
  out.append(key);
  append_json_octets(out, {reinterpret_cast<const uint8_t*>(name.data()), name.size()});
  out.append("\",");
}
}  // namespace

// altered_name is zdns's: the name without the dot that ends it.
void Lines::append_head(std::string_view name) {
  Buffer& out = output_.buffer();
  out.append('{');
  const bool dotted = name.size() > 1 && name.ends_with('.') && !name.ends_with("\\.");
  if (dotted) append_name_member(out, "\"altered_name\":\"", name.substr(0, name.size() - 1));
  out.append("\"class\":\"IN\",");
  append_name_member(out, "\"name\":\"", name);
  out.append("\"results\":{");
}

void Lines::append_tail() {
  output_.buffer().append("}}\n");
  output_.count_results(1);
}

}  // namespace ringdns
