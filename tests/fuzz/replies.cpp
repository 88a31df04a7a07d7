// What a datagram is taken for: which lookup it answers (Udp::match), which one an ICMP error
// quotes. Input: lookups (a type, a name's text and a newline) up to an empty name; then datagrams
// of a port, a slot whose id it takes (or none), a length and octets.
#include "fuzz.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include "no_io.hpp"
#include "ringdns/transport.hpp"

using namespace ringdns;
using fuzz::require;

namespace {

constexpr uint32_t slots = 8;

class Sockets : public fuzz::NoIo {
 public:
  OpenedSocket open_datagram_socket(const SocketOptions& options, Token) override {
    return {{opened_++}, 0, 212992, options.bind};
  }

 private:
  uint32_t opened_ = 0;
};

uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? static_cast<uint8_t>(c + 32) : c; }

bool same_question(Bytes packet, const WireName& name, uint16_t type) {
  if (packet.size() < 12u + name.length + 4 || packet[4] != 0 || packet[5] != 1) return false;
  for (size_t i = 0; i < name.length; ++i)
    if (lower(packet[12 + i]) != lower(name.octets[i])) return false;
  const uint8_t* rest = &packet[12u + name.length];
  return rest[0] == type >> 8 && rest[1] == (type & 0xff) && rest[2] == 0 && rest[3] == 1;
}

// The same judgement by looking through all lookups.
Udp::Match expected(const Lookups& lookups, const std::vector<uint32_t>& started, Bytes packet,
                    uint32_t port) {
  if (packet.size() < 12) return {Verdict::runt};
  if (packet[2] < 0x80 || (packet[2] & 0x78) != 0) return {Verdict::not_a_reply};
  const auto holder = std::find_if(started.begin(), started.end(), [&](uint32_t slot) {
    return lookups.at(slot).port == port && lookups.at(slot).id == (packet[0] << 8 | packet[1]);
  });
  if (holder == started.end()) return {Verdict::unknown_id};
  const uint8_t rcode = packet[3] & 15;
  const bool no_question = packet[4] == 0 && packet[5] == 0;
  if (no_question && rcode != 0 && rcode != 3) return {Verdict::header_only, *holder};
  const bool same = same_question(packet, lookups.name(*holder), lookups.at(*holder).type);
  return {same ? Verdict::match : Verdict::wrong_question, *holder};
}

class Exchange {
 public:
  Exchange() {
    Options options;
    options.concurrency = slots;
    require(udp_.open(options, {true, true}).empty(), "sockets open");
  }

  void start_lookups(fuzz::Input& input) {
    while (lookups_.has_free() && !input.empty()) {
      const uint16_t type = input.u16();
      std::string text;
      for (uint8_t c = input.u8(); c != '\n' && !input.empty(); c = input.u8())
        text += static_cast<char>(c);
      WireName name;
      if (encode_name(text, name) != NameError::none) return;
      const uint32_t slot = lookups_.start(name, type, started_.size());
      udp_.acquire(slot, lookups_[slot]);
      require(taken_.emplace(lookups_[slot].port, lookups_[slot].id).second,
              "no id of a port is out twice");
      started_.push_back(slot);
      udp_.flush();  // which goes on to another port
    }
  }

  void receive(fuzz::Input& input) {
    const uint32_t port = input.u8() % (udp_.ports() + 1);
    const uint8_t whose = input.u8();
    const Bytes octets = input.take(input.u16());
    std::vector<uint8_t> packet(octets.begin(), octets.end());
    if (whose < started_.size() && packet.size() >= 2)
      store_u16(packet.data(), lookups_.at(started_[whose]).id);
    Completion completion{Event::datagram, false, 0, {port, 0, 1}, packet, nullptr};

    const Udp::Match got = udp_.match(completion);
    const Udp::Match wanted = expected(lookups_, started_, packet, port);
    require(got.verdict == wanted.verdict && got.slot == wanted.slot, "the reference's verdict");

    completion.event = Event::unreachable;
    const uint32_t quoted = udp_.match_quoted(completion);
    if (quoted == Lookups::none) return;
    require(lookups_.at(quoted).port == port && lookups_.at(quoted).id == load_u16(packet.data()),
            "an error quotes the id of the lookup that it ends");
  }

  void finish() {
    for (uint32_t slot : started_) udp_.release(lookups_.at(slot)), lookups_.finish(slot);
    taken_.clear();
    started_.clear();
  }

 private:
  Sockets io_;
  Rng rng_{Rng::Seed{}};
  Lookups lookups_{slots, false};
  Udp udp_{io_, rng_, lookups_, 1, 2};
  std::vector<uint32_t> started_;
  std::set<std::pair<uint16_t, uint16_t>> taken_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Exchange exchange;
  fuzz::Input input(data, size);
  exchange.start_lookups(input);
  while (!input.empty()) exchange.receive(input);
  exchange.finish();
  return 0;
}
