// Replies as octets, whole or out of shape. Written apart from src/wire.cpp on purpose.
#pragma once

#include "plan.hpp"
#include "query.hpp"
#include "ringdns/buffer.hpp"
#include "ringdns/rng.hpp"

namespace responder {

using ringdns::Buffer;

struct ReplyOptions {
  bool truncated = false;              // the rule's or the size's truncation applies
  Body body = Body::empty;             // of a truncated reply
  std::optional<uint16_t> keepalive{}; // edns-tcp-keepalive's TIMEOUT, RFC 7828
};

// Each appends one message, without a stream's length prefix, and returns its size.
size_t append_reply(Buffer& out, const Rule& rule, const Query& query, const ReplyOptions& options,
                    ringdns::Rng& rng);
// What a forger would have the asker believe: other addresses. `deform` is what gives it away.
size_t append_forgery(Buffer& out, uint32_t deform, const Query& query, ringdns::Rng& rng);
// The plain `answer A hash` in a handful of stores.
size_t append_hash_a(Buffer& out, const Rule& rule, const Query& query);
// A bare header.
size_t append_header_only(Buffer& out, const Query& query, uint16_t rcode);
// Header and question, and OPT when asked with one.
size_t append_rcode(Buffer& out, const Query& query, uint16_t rcode);
// A reply to a question nobody asked.
size_t append_unsolicited(Buffer& out, ringdns::Rng& rng);

// A zone transfer's messages, each behind its length prefix: an SOA, `records` addresses, the SOA.
void append_transfer(Buffer& out, const Query& query, uint32_t records, uint32_t ttl);

}  // namespace responder
