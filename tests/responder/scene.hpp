// What the unit tests share: a plan, one listener after it, queries, and its replies taken apart.
#pragma once

#include <doctest/doctest.h>

#include "respond.hpp"

namespace responder {

struct Ask {
  View name = "www.test.";
  uint16_t type = 1;
  uint16_t id = 0x1234;
  int edns_size = -1;  // -1: no OPT
  Octets options = {};
};

inline void put_u16(Octets& out, size_t v) {
  out.push_back(static_cast<uint8_t>(v >> 8));
  out.push_back(static_cast<uint8_t>(v));
}

inline Octets make_query(const Ask& ask) {
  Octets out;
  put_u16(out, ask.id);
  put_u16(out, 0x0100);
  for (int count : {1, 0, 0, ask.edns_size >= 0 ? 1 : 0}) put_u16(out, static_cast<size_t>(count));
  Octets name = parse_name(ask.name).value();
  out.insert(out.end(), name.begin(), name.end());
  put_u16(out, ask.type);
  put_u16(out, 1);
  if (ask.edns_size < 0) return out;
  out.push_back(0);
  put_u16(out, 41);
  put_u16(out, static_cast<size_t>(ask.edns_size));
  put_u16(out, 0), put_u16(out, 0);
  put_u16(out, ask.options.size());
  out.insert(out.end(), ask.options.begin(), ask.options.end());
  return out;
}

struct Sent {
  Act act;
  Octets bytes;
  Duration delay;
  Source source;
  Pace pace;
};

// A well-formed reply's parts; offsets where a test wants to look closer.
struct Reply {
  explicit Reply(Octets bytes) : all(std::move(bytes)) {
    REQUIRE(all.size() >= 12);
    id = u16(0);
    flags = u16(2);
    for (size_t i = 0; i < 4; ++i) counts[i] = u16(4 + 2 * i);
  }
  uint16_t u16(size_t at) const { return ringdns::load_u16(&all[at]); }
  uint32_t u32(size_t at) const { return ringdns::load_u32(&all[at]); }
  bool qr() const { return flags & 0x8000; }
  bool tc() const { return flags & 0x0200; }
  int rcode() const { return flags & 15; }
  Bytes tail(size_t from) const { return Bytes(all).subspan(from); }

  Octets all;
  uint16_t id, flags, counts[4];
};

struct Scene {
  explicit Scene(View text, uint64_t number = 1, uint64_t seed = 7)
      : parsed(parse_plan(text)),
        listener(plan_of(number), seed, number) {
    REQUIRE(parsed.error == "");
  }
  std::shared_ptr<const ListenerPlan> plan_of(uint64_t number) {
    return parsed.plan.for_listeners(number).back();
  }

  std::vector<Sent> take() {
    std::vector<Sent> sent;
    for (const Action& action : actions.list) {
      Bytes bytes = actions.of(action);
      sent.push_back({action.act, Octets(bytes.begin(), bytes.end()), action.delay, action.source,
                      action.pace});
    }
    actions.clear();
    return sent;
  }
  std::vector<Sent> udp_all(const Ask& ask) {
    Octets bytes = make_query(ask);
    on_datagram(listener, query, bytes, now, actions);
    return take();
  }
  Reply udp(const Ask& ask = {}) {
    auto sent = udp_all(ask);
    REQUIRE(sent.size() == 1);
    return Reply(sent[0].bytes);
  }
  bool udp_silent(const Ask& ask = {}) { return udp_all(ask).empty(); }

  std::vector<Sent> accept() {
    stream = StreamState{};
    on_accept(listener, stream, now, actions);
    return take();
  }
  std::vector<Sent> tcp_all(const Ask& ask = {}) {
    if (stream.ordinal == 0) accept();
    Octets bytes = make_query(ask);
    on_message(listener, stream, bytes, now, actions);
    return take();
  }
  // One reply, its length prefix checked and taken off.
  Reply tcp(const Ask& ask = {}) {
    auto sent = tcp_all(ask);
    REQUIRE(sent.size() == 1);
    REQUIRE(ringdns::load_u16(sent[0].bytes.data()) + 2u == sent[0].bytes.size());
    return Reply(Octets(sent[0].bytes.begin() + 2, sent[0].bytes.end()));
  }
  std::vector<Sent> wake(Duration later) {
    now += later;
    on_wake(listener, stream, now, actions);
    return take();
  }

  ParsedPlan parsed;
  ListenerState listener;
  StreamState stream;
  Query query;
  Actions actions;
  Instant now{std::chrono::hours(1)};
};

// Where the records begin in a reply to www.test.
inline constexpr size_t records_at = 12 + 10 + 4;

}  // namespace responder
