// Level 2: DNS messages out of a TCP stream: two octets of length before each (RFC 1035 4.2.2),
// in whatever pieces the octets come.
#pragma once

#include "ringdns/buffer.hpp"

namespace ringdns {

class Framing {
 public:
  enum class Outcome : uint8_t {
    ok,          // all octets were taken; a part of a message may be held
    stopped,     // deliver said so; the rest of the octets is dropped
    bad_length,  // a length below a DNS header: nothing after it can be trusted
  };

  // Hands each complete message to deliver(Bytes), which returns whether to go on. Messages that
  // lie whole in `bytes` are handed over from there, without a copy. Memory grows with the octets
  // that came, never with a length that was only announced.
  template <class F>
  Outcome take(Bytes bytes, F&& deliver) {
    while (!bytes.empty()) {
      if (held_.empty()) {
        while (bytes.size() >= prefix) {
          size_t length = load_u16(bytes.data());
          if (length < least_length) return Outcome::bad_length;
          if (bytes.size() - prefix < length) break;
          Bytes message = bytes.subspan(prefix, length);
          bytes = bytes.subspan(prefix + length);
          if (!deliver(message)) return Outcome::stopped;
        }
        held_.append(bytes);
        return Outcome::ok;
      }
      size_t wanted = prefix;
      if (held_.size() >= prefix) {
        size_t length = load_u16(held_.bytes().data());
        if (length < least_length) return Outcome::bad_length;
        wanted += length;
      }
      size_t taken = std::min(wanted - held_.size(), bytes.size());
      held_.append(bytes.first(taken));
      bytes = bytes.subspan(taken);
      bool whole = wanted > prefix && held_.size() == wanted;
      if (whole && !deliver_held(deliver)) return Outcome::stopped;
    }
    return Outcome::ok;
  }

  size_t memory() const { return held_.capacity(); }  // octets
  bool partial() const { return !held_.empty(); }
  void reset() { held_ = Buffer(); }

 private:
  static constexpr size_t prefix = 2;
  static constexpr size_t least_length = 12;
  static constexpr size_t kept = 4096;  // what a connection may hold on to between messages

  template <class F>
  bool deliver_held(F&& deliver) {
    bool go_on = deliver(held_.bytes().subspan(prefix));
    held_.clear();
    if (held_.capacity() > kept) held_ = Buffer();
    return go_on;
  }

  Buffer held_;
};

}  // namespace ringdns
