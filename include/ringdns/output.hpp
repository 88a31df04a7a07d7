// Level 5: replies as bytes: massdns's formats F, S, L, J and B, and zdns's JSON, Z.
#pragma once

#include <memory>

#include "ringdns/address.hpp"
#include "ringdns/base.hpp"
#include "ringdns/buffer.hpp"
#include "ringdns/options.hpp"
#include "ringdns/stats.hpp"
#include "ringdns/wire.hpp"

namespace ringdns {

enum class Transport : uint8_t { udp, tcp };

struct Reply {
  const Message& message;  // indexed
  const Address& server;
  Transport transport;
  UnixTime received;
  // What was asked, for a message that has no question (RFC 5936 2.2.1, bare errors).
  Bytes asked_name{};  // wire form
  uint16_t asked_type = 0;
  bool transfer = false;  // a message of a zone's: all its records are wanted
  bool more = false;      // another message of the same answer follows
  Duration took{};        // since the lookup began
};

struct Failure {
  Bytes name;  // wire form
  uint16_t type;
  uint16_t rr_class;
  FailureReason reason;
  const Reply* last = nullptr;      // max_retries: what ended the last try
  const Address* server = nullptr;  // asked last, if any was
  Transport transport = Transport::udp;
  UnixTime ended{};
  Duration took{};
};

// An input line that cannot be asked.
struct Rejection {
  uint16_t type;
  std::string_view problem;
  UnixTime when;
};

// What Z appends are members of the object `results`, of which class Lines makes a line's object.
class Formatter {
 public:
  virtual ~Formatter() = default;
  virtual void append_preamble(Buffer&) {}  // once, at the start of the output
  virtual void append_reply(Buffer& out, const Reply& reply) = 0;
  virtual void append_failure(Buffer&, const Failure&) {}
  virtual void append_rejection(Buffer&, const Rejection&) {}
};

std::unique_ptr<Formatter> make_formatter(const OutputFormat& format);

}  // namespace ringdns
