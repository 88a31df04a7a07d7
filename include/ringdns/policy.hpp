// Level 5: what a verified reply means for its lookup. Pure, so that it is tested exhaustively.
#pragma once

#include "ringdns/lookups.hpp"

namespace ringdns {

struct ReplyFacts {
  uint16_t rcode = 0;            // extended where there is an OPT
  bool truncated = false;        // TC, or cut to our receive buffer
  bool has_opt = false;
  bool from_current = true;      // from the resolver asked last, not from one given up on
  bool rcode_unacceptable = false;  // in the --retry set
};

enum class Action : uint8_t {
  accept,
  ignore,              // a late failure of a resolver already given up on
  resend_no_options,   // same resolver, no charge: options off (tcp.md 10)
  resend_plain,        // same resolver, no charge: EDNS off
  resend_full,         // a try; what was cut was asked for with 512 octets: ask with all we take
  truncated,           // cannot be completed
  retry,               // a try; another resolver
};

inline Action decide(const Lookup& lookup, const ReplyFacts& reply) {
  // Order of checks: tcp.md "Lookup": EDNS rcode, TC, rcode policy, body.
  bool sent_edns = lookup.advertised != 0;
  bool edns_rejected = reply.rcode == rcode::formerr || reply.rcode == rcode::notimp ||
                       reply.rcode == rcode::badvers;
  if (reply.from_current && sent_edns && edns_rejected) {
    bool knows_edns = reply.has_opt && reply.rcode == rcode::formerr;
    return knows_edns && lookup.edns == EdnsLevel::full ? Action::resend_no_options
                                                        : Action::resend_plain;
  }
  if (reply.truncated) {
    if (!reply.from_current) return Action::ignore;
    return lookup.small ? Action::resend_full : Action::truncated;
  }
  if (reply.rcode_unacceptable) return reply.from_current ? Action::retry : Action::ignore;
  return Action::accept;
}

}  // namespace ringdns
