#include "ringdns/edns.hpp"

#include "ringdns/codes.hpp"

namespace ringdns {

namespace {
constexpr uint8_t nsid_code = 3, client_subnet_code = 8, keepalive_code = 11;
}

std::vector<uint8_t> encode_edns_options(const Options& options) {
  std::vector<uint8_t> out;
  out.reserve(64);
  if (options.nsid) out.insert(out.end(), {0, nsid_code, 0, 0});
  if (options.ecs) {
    bool ipv4 = options.ecs->address.is_ipv4();
    uint8_t octets = static_cast<uint8_t>((options.ecs->length + 7) / 8);
    Bytes address = options.ecs->address.octets();
    out.insert(out.end(), {0, client_subnet_code, 0, static_cast<uint8_t>(4 + octets), 0,
                           static_cast<uint8_t>(ipv4 ? 1 : 2), options.ecs->length, 0});
    out.insert(out.end(), address.begin(), address.begin() + octets);
  }
  return out;
}

std::vector<uint8_t> with_keepalive(Bytes options) {
  std::vector<uint8_t> out;
  out.reserve(options.size() + 4);
  out.assign(options.begin(), options.end());
  for (uint8_t octet : {uint8_t{0}, keepalive_code, uint8_t{0}, uint8_t{0}}) out.push_back(octet);
  return out;
}

std::optional<uint16_t> find_keepalive(Bytes options) {
  while (options.size() >= 4) {
    uint16_t code = load_u16(options.data()), length = load_u16(options.data() + 2);
    if (options.size() - 4u < length) return std::nullopt;
    if (code == keepalive_code && length == 2) return load_u16(options.data() + 4);
    options = options.subspan(4u + length);
  }
  return std::nullopt;
}

}  // namespace ringdns
