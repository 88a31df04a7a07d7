// Level 4: the options of OPT records (RFC 6891 6.1.2): ours, and what we read of a server's.
#pragma once

#include <optional>
#include <vector>

#include "ringdns/base.hpp"
#include "ringdns/options.hpp"

namespace ringdns {

// The option list of our queries' OPT record: NSID (RFC 5001), client subnet (RFC 7871).
std::vector<uint8_t> encode_edns_options(const Options& options);

// The same and an empty edns-tcp-keepalive (RFC 7828 3.2.1): for a connection's first query.
std::vector<uint8_t> with_keepalive(Bytes options);

// A reply's edns-tcp-keepalive timeout, in units of 100 ms.
std::optional<uint16_t> find_keepalive(Bytes options);

}  // namespace ringdns
