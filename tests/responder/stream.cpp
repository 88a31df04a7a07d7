#include <algorithm>

#include "decide.hpp"

namespace responder {
namespace {

using ringdns::store_u16;

constexpr uint16_t formerr = 1, notimp = 4, refused = 5, badvers = 16;
constexpr uint16_t keepalive_option = 11;
constexpr size_t prefix_size = 2, max_message = 65535;

constexpr View http_text =
    "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
constexpr View tls_alert = "\x15\x03\x01\x00\x02\x02\x46";  // fatal, protocol_version
constexpr View smtp_text = "220 mail.test ESMTP\r\n";

// What one event on a connection leads to.
class Stream {
 public:
  Stream(ListenerState& listener, StreamState& state, Instant now, Actions& out)
      : listener_(listener), state_(state), settings_(state.settings), now_(now), out_(out) {}

  void accept();
  void message(Bytes bytes);
  void wake();

 private:
  bool ignores_queries();
  void answer(const Query& query);
  void answer(const Query& query, const Rule& rule);
  void reply(const Query& query, const Rule& rule);
  void transfer(const Query& query, const Rule& rule);
  void frame_message(size_t start, const Shape& shape);
  void forge(const Spoof& spoof, const Query& query, Duration delay);
  void fixed(size_t start);
  void deliver(const Shape& shape, Action action);
  void answered(Duration delay);
  void hold(Bytes frame);
  void release();
  void emit(Action action);
  void say(View text, Duration delay = {});
  void end(Ending ending, Duration delay);
  Instant idle_until() const;
  void wake_when_idle();
  void wake_in(Duration delay) { out_.list.push_back({.act = Act::wake, .delay = delay}); }
  // Room for the length prefix; returns where the frame starts.
  size_t begin_frame() {
    size_t start = out_.bytes.size();
    out_.bytes.append(View("\0\0", prefix_size));
    return start;
  }
  // The octets from `start` on are the action's.
  void place(Action& action, size_t start) const {
    action.offset = static_cast<uint32_t>(start);
    action.length = static_cast<uint32_t>(out_.bytes.size() - start);
  }
  uint8_t* at(size_t offset) { return reinterpret_cast<uint8_t*>(out_.bytes.data()) + offset; }

  ListenerState& listener_;
  StreamState& state_;
  const TcpSettings& settings_;
  Instant now_;
  Actions& out_;
};

void Stream::accept() {
  state_.ordinal = ++listener_.connections;
  state_.active_at = state_.busy_until = now_;
  for (const TcpLine& line : listener_.plan->settings.tcp_lines) {
    if (!line.connection.holds(state_.ordinal) || !draw(listener_.rng, line.chance)) continue;
    for (const auto& change : line.changes) change(state_.settings);
  }
  if (settings_.banner == Banner::smtp) say(smtp_text);
  for (uint32_t i = 0; i < settings_.unsolicited; ++i) {
    size_t start = begin_frame();
    append_unsolicited(out_.bytes, listener_.rng);
    store_u16(at(start), static_cast<uint16_t>(out_.bytes.size() - start - prefix_size));
    Action action;
    place(action, start);
    emit(action);
  }
  if (settings_.end_after == 0) end(settings_.end, {});
  if (settings_.idle > Duration{}) wake_when_idle();
}

// What happens to a query on this connection whatever it asks.
bool Stream::ignores_queries() {
  if (state_.silent || state_.ended) return true;
  if (state_.queries == settings_.end_at) return end(settings_.end, {}), true;
  if (settings_.banner != Banner::none) {
    if (settings_.banner != Banner::smtp)
      say(settings_.banner == Banner::http ? http_text : tls_alert);
    return end(Ending::close, {}), true;
  }
  bool busy = state_.answers > 0 && now_ <= state_.busy_until;
  if (settings_.one_at_a_time == OneAtATime::off || !busy) return false;
  if (settings_.one_at_a_time == OneAtATime::close) end(Ending::close, {});
  return true;
}

void Stream::message(Bytes bytes) {
  ++state_.queries;
  ++listener_.counts.tcp_queries;
  state_.active_at = now_;
  if (ignores_queries()) return;
  Query query;
  QueryState parsed = query.parse(bytes);
  if (parsed == QueryState::good) [[likely]] {
    listener_.counts.edns_sizes.add(query.edns ? query.edns_size : 0);
    return answer(query);
  }
  ++listener_.counts.bad_queries;
  if (parsed == QueryState::runt || parsed == QueryState::not_a_query)
    return end(Ending::close, {});
  size_t start = begin_frame();
  append_header_only(out_.bytes, query, parsed == QueryState::malformed ? formerr : notimp);
  fixed(start);
}

void Stream::answer(const Query& query) {
  const Rule* rule =
      query.edns_version ? nullptr
                         : find_rule(listener_, {query, Transport::tcp, now_, state_.ordinal,
                                                 state_.queries});
  if (rule) return answer(query, *rule);
  if (!query.edns_version) ++listener_.counts.no_rule;
  size_t start = begin_frame();
  append_rcode(out_.bytes, query, query.edns_version ? badvers : refused);
  fixed(start);
}

void Stream::answer(const Query& query, const Rule& rule) {
  switch (rule.verb) {
    case Verb::drop: return;
    case Verb::close: return end(Ending::close, draw_delay(listener_.rng, rule));
    case Verb::reset: return end(Ending::reset, draw_delay(listener_.rng, rule));
    case Verb::transfer: return transfer(query, rule);
    case Verb::reply: return reply(query, rule);
  }
}

void Stream::reply(const Query& query, const Rule& rule) {
  size_t start = begin_frame();
  if (rule.plain_hash_a && !settings_.keepalive) {
    append_hash_a(out_.bytes, rule, query);
    return fixed(start);
  }
  ReplyOptions options;
  if (settings_.keepalive && (settings_.keepalive_unasked || query.has_option(keepalive_option)))
    options.keepalive = settings_.keepalive;
  append_reply(out_.bytes, rule, query, options, listener_.rng);
  frame_message(start, rule.shape);
  Action action{.delay = draw_delay(listener_.rng, rule),
                .pace = rule.shape.pace.plain() ? settings_.pace : rule.shape.pace};
  place(action, start);
  for (const Spoof& spoof : rule.shape.spoofs) forge(spoof, query, action.delay);
  deliver(rule.shape, action);
}

// In front of the reply. A connection is who it is: no forger has another port or address there.
void Stream::forge(const Spoof& spoof, const Query& query, Duration delay) {
  static const Shape plain;
  if (spoof.deform & (wrong_port | wrong_address)) return;
  for (uint32_t i = 0; i < spoof.count; ++i) {
    size_t start = begin_frame();
    append_forgery(out_.bytes, spoof.deform, query, listener_.rng);
    frame_message(start, plain);
    Action action{.delay = delay, .pace = settings_.pace};
    place(action, start);
    emit(action);
  }
}

void Stream::transfer(const Query& query, const Rule& rule) {
  size_t start = out_.bytes.size();
  append_transfer(out_.bytes, query, rule.transfer_records, rule.ttl);
  if (rule.shape.stop) out_.bytes.truncate(std::min(out_.bytes.size(), start + *rule.shape.stop));
  Action action{.delay = draw_delay(listener_.rng, rule),
                .pace = rule.shape.pace.plain() ? settings_.pace : rule.shape.pace};
  place(action, start);
  deliver(rule.shape, action);
}

// The length prefix in front of the message that starts behind it, true or not, and how much of
// both goes out.
void Stream::frame_message(size_t start, const Shape& shape) {
  int64_t length = static_cast<int64_t>(out_.bytes.size() - start - prefix_size);
  int64_t claimed = shape.prefix ? *shape.prefix : length + shape.prefix_error;
  store_u16(at(start), static_cast<uint16_t>(std::clamp<int64_t>(claimed, 0, max_message)));
  size_t most = shape.deform & no_body ? prefix_size : shape.stop.value_or(UINT32_MAX);
  if (out_.bytes.size() - start > most) out_.bytes.truncate(start + most);
}

void Stream::fixed(size_t start) {
  static const Shape plain;
  frame_message(start, plain);
  Action action{.pace = settings_.pace};
  place(action, start);
  deliver(plain, action);
}

// A frame as often as the shape says, and what follows it.
void Stream::deliver(const Shape& shape, Action action) {
  if (settings_.hold != Hold::none) {
    hold(out_.of(action));
  } else {
    for (uint32_t copy = 0; copy < shape.copies; ++copy) {
      emit(action);
      action.delay += shape.copies_gap;
    }
    action.delay -= shape.copies_gap;
  }
  answered(action.delay);
  if (shape.then != Ending::none) end(shape.then, action.delay);
}

void Stream::answered(Duration delay) {
  ++listener_.counts.tcp_replies;
  state_.busy_until = std::max(state_.busy_until, now_ + delay);
  if (++state_.answers == settings_.end_after) end(settings_.end, delay);
}

void Stream::hold(Bytes frame) {
  state_.held.append(frame);
  state_.held_sizes.push_back(static_cast<uint32_t>(frame.size()));
  if (state_.held_sizes.size() >= settings_.hold_count) return release();
  if (state_.held_sizes.size() > 1) return;
  state_.held_until = now_ + settings_.hold_most;
  wake_in(settings_.hold_most);
}

// What was held goes out in one piece, in the order of the setting.
void Stream::release() {
  std::vector<Bytes> frames;
  size_t offset = 0;
  for (uint32_t size : state_.held_sizes) {
    frames.push_back(state_.held.bytes().subspan(offset, size));
    offset += size;
  }
  switch (settings_.hold) {
    case Hold::none:
    case Hold::same_order: break;
    case Hold::reversed: std::reverse(frames.begin(), frames.end()); break;
    case Hold::shuffled:
      for (size_t i = frames.size(); i > 1; --i)
        std::swap(frames[i - 1], frames[listener_.rng.below(static_cast<uint32_t>(i))]);
      break;
    case Hold::swapped_ids: {
      if (frames.size() != 2 || std::min(frames[0].size(), frames[1].size()) < prefix_size + 2)
        break;
      uint8_t* all = reinterpret_cast<uint8_t*>(state_.held.data());
      std::swap_ranges(all + prefix_size, all + prefix_size + 2,
                       all + frames[0].size() + prefix_size);
      break;
    }
  }
  Action action{.offset = static_cast<uint32_t>(out_.bytes.size()),
                .length = static_cast<uint32_t>(state_.held.size()),
                .pace = settings_.pace};
  for (Bytes frame : frames) out_.bytes.append(frame);
  state_.held.clear();
  state_.held_sizes.clear();
  if (action.length) emit(action);
}

void Stream::emit(Action action) {
  if (action.length) out_.list.push_back(action);
}

void Stream::say(View text, Duration delay) {
  Action action{.offset = static_cast<uint32_t>(out_.bytes.size()),
                .length = static_cast<uint32_t>(text.size()),
                .delay = delay,
                .pace = settings_.pace};
  out_.bytes.append(text);
  emit(action);
}

void Stream::end(Ending ending, Duration delay) {
  if (state_.ended || ending == Ending::none) return;
  release();
  // Behind the last answer decided, so that as many arrive as were promised.
  delay = std::max(delay, state_.busy_until - now_);
  switch (ending) {
    case Ending::none: return;
    case Ending::silent: state_.silent = true; return;
    case Ending::close:
      state_.ended = true;
      return out_.list.push_back({.act = Act::close, .delay = delay});
    case Ending::reset:
      state_.ended = true;
      return out_.list.push_back({.act = Act::reset, .delay = delay});
    case Ending::half_close:
      state_.silent = true;
      return out_.list.push_back({.act = Act::half_close, .delay = delay});
    case Ending::deaf:
      state_.silent = true;
      return out_.list.push_back({.act = Act::deaf, .delay = delay});
  }
}

void Stream::wake() {
  if (!state_.held_sizes.empty() && now_ >= state_.held_until) release();
  if (settings_.idle == Duration{} || state_.ended || now_ < state_.idle_until) return;
  if (now_ >= idle_until()) end(Ending::close, {});
  else wake_when_idle();
}

Instant Stream::idle_until() const {
  return std::max(state_.active_at, state_.busy_until) + settings_.idle;
}

void Stream::wake_when_idle() {
  state_.idle_until = idle_until();
  wake_in(state_.idle_until - now_);
}

}  // namespace

void on_accept(ListenerState& listener, StreamState& stream, Instant now, Actions& out) {
  Stream(listener, stream, now, out).accept();
}

void on_message(ListenerState& listener, StreamState& stream, Bytes message, Instant now,
                Actions& out) {
  Stream(listener, stream, now, out).message(message);
}

void on_wake(ListenerState& listener, StreamState& stream, Instant now, Actions& out) {
  Stream(listener, stream, now, out).wake();
}

}  // namespace responder
