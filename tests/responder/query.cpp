#include "query.hpp"

#include <algorithm>

namespace responder {

using ringdns::load_u16;

namespace {
constexpr size_t header_size = 12, longest_name = 255;
constexpr uint16_t opt = 41;
}  // namespace

QueryState Query::parse(Bytes bytes) {
  packet = bytes;
  edns = dnssec_ok = false;
  edns_version = 0;
  edns_size = 512;
  options = {};
  if (packet.size() < header_size) return QueryState::runt;
  id = load_u16(packet.data());
  if (packet[2] & 0x80) return QueryState::not_a_query;
  if (packet[2] & 0x78) return QueryState::not_implemented;
  bool counts = load_u16(&packet[4]) == 1 && load_u16(&packet[6]) == 0;
  if (!counts || !parse_name() || !parse_additional()) return QueryState::malformed;
  return QueryState::good;
}

bool Query::parse_name() {
  const uint8_t* at = packet.data() + header_size;
  size_t room = std::min(packet.size() - header_size, longest_name);
  size_t length = 0;
  label_count = 0;
  while (true) {
    if (length >= room) return false;
    size_t label = at[length];
    if (label == 0) break;
    if (label > 63) return false;
    labels[label_count++] = static_cast<uint8_t>(length);
    length += label + 1;
  }
  name_length = static_cast<uint8_t>(++length);
  // Lengths of labels are below 'A', so the whole name folds as it is.
  for (size_t i = 0; i < length; ++i) folded[i] = fold(at[i]);
  size_t end = header_size + length + 4;
  if (end > packet.size()) return false;
  type = load_u16(at + length);
  rr_class = load_u16(at + length + 2);
  question_end = static_cast<uint16_t>(end);
  return true;
}

bool Query::parse_additional() {
  // IXFR carries the SOA that the client has (RFC 1995 3): not looked at.
  if (load_u16(&packet[8]) != 0) return true;
  uint16_t count = load_u16(&packet[10]);
  if (count == 0) return question_end == packet.size();
  Bytes rest = packet.subspan(question_end);
  if (count != 1 || rest.size() < 11 || rest[0] != 0 || load_u16(&rest[1]) != opt) return false;
  size_t length = load_u16(&rest[9]);
  if (rest.size() != 11 + length) return false;
  edns = true;
  edns_size = std::max<uint16_t>(load_u16(&rest[3]), 512);
  edns_version = rest[6];
  dnssec_ok = rest[7] & 0x80;
  options = rest.subspan(11);
  for (size_t at = 0; at < options.size();) {
    if (options.size() - at < 4) return false;
    at += 4u + load_u16(&options[at + 2]);
    if (at > options.size()) return false;
  }
  return true;
}

bool Query::has_option(uint16_t code) const {
  for (size_t at = 0; at < options.size(); at += 4u + load_u16(&options[at + 2]))
    if (load_u16(&options[at]) == code) return true;
  return false;
}

uint32_t name_hash(const Query& query) {
  constexpr uint32_t basis = 2166136261u, prime = 16777619u;
  uint32_t hash = basis;
  size_t label_end = query.folded[0] + 1u;
  for (size_t i = 1; i < query.name_length; ++i) {
    uint8_t octet = query.folded[i];
    if (i == label_end) {
      label_end += octet + 1u;
      octet = '.';
    }
    hash = (hash ^ octet) * prime;
  }
  if (query.name_length == 1) hash = (hash ^ '.') * prime;
  return hash;
}

}  // namespace responder
