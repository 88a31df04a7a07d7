// A packet's records as we list them and as ares_dns_parse does (c-ares 1.28 and later). Input: the
// packet. c-ares refuses a message for one record it does not like, and knows fewer types: what
// both take must be the same. How much that was is told at the end.
#include <ares.h>
#include <arpa/inet.h>

#include "fuzz.hpp"
#include "ringdns/rdata.hpp"
#include "ringdns/text.hpp"

using namespace ringdns;
using fuzz::require;

namespace {

struct Counts {
  uint64_t both = 0, ours_only = 0, theirs_only = 0, neither = 0;
  uint64_t records = 0, fields = 0, raw = 0, unfit = 0, strict = 0;
  ~Counts() {
    std::fprintf(stderr, "messages: %lu taken by both, %lu by us only, %lu by c-ares only, "
                 "%lu by neither\n", both, ours_only, theirs_only, neither);
    std::fprintf(stderr, "records: %lu the same, of which %lu field by field, %lu of types that "
                 "c-ares does not know,\n  %lu whose rdata we show in the form of RFC 3597; "
                 "%lu owners that only c-ares reads\n", records, fields, raw, unfit, strict);
  }
};
Counts counts;

Bytes as_bytes(const unsigned char* data, size_t length) { return {data, length}; }
Bytes as_bytes(const char* text) {
  return {reinterpret_cast<const uint8_t*>(text), std::strlen(text)};
}

// Does the name, where its pointers lead, run on into itself or behind? c-ares reads such names;
// for us a pointer leads to a prior occurrence of a name (RFC 1035 4.1.4).
bool runs_into_itself(Bytes packet, size_t at) {
  size_t end = packet.size();  // behind the name; all there is while no pointer came
  for (int pointers = 0; pointers < 200 && at < end;) {
    const uint8_t length = packet[at];
    if (length == 0) return false;
    if (length < 0xc0) {
      at += 1u + length;
      continue;
    }
    if (at + 2 > end) return true;
    if (pointers++ == 0) end = at + 2;
    at = load_u16(&packet[at]) & 0x3fff;
  }
  return true;
}

void append_their_name(Buffer& out, const char* text) {
  WireName name;
  require(encode_name(*text ? text : ".", name) == NameError::none, "c-ares tells a name");
  append_name(out, name.bytes());
}

// One field of theirs as it stands in our line. False: it has another form there.
bool append_field(Buffer& out, const ares_dns_rr_t* rr, ares_dns_rr_key_t key) {
  size_t length = 0;
  switch (ares_dns_rr_key_datatype(key)) {
    case ARES_DATATYPE_INADDR:
      append_ipv4(out, reinterpret_cast<const uint8_t*>(ares_dns_rr_get_addr(rr, key)));
      return true;
    case ARES_DATATYPE_INADDR6:
      append_ipv6(out, reinterpret_cast<const uint8_t*>(ares_dns_rr_get_addr6(rr, key)));
      return true;
    case ARES_DATATYPE_U8: out.append_decimal(ares_dns_rr_get_u8(rr, key)); return true;
    case ARES_DATATYPE_U16: out.append_decimal(ares_dns_rr_get_u16(rr, key)); return true;
    case ARES_DATATYPE_U32: out.append_decimal(ares_dns_rr_get_u32(rr, key)); return true;
    case ARES_DATATYPE_NAME:
      if (key == ARES_RR_URI_TARGET)  // for c-ares a name, for RFC 7553 a text
        append_quoted(out, as_bytes(ares_dns_rr_get_str(rr, key)));
      else
        append_their_name(out, ares_dns_rr_get_str(rr, key));
      return true;
    case ARES_DATATYPE_STR:
      if (key == ARES_RR_CAA_TAG) return out.append(ares_dns_rr_get_str(rr, key)), true;
      append_quoted(out, as_bytes(ares_dns_rr_get_str(rr, key)));
      return true;
    case ARES_DATATYPE_BINP: {
      const unsigned char* data = ares_dns_rr_get_bin(rr, key, &length);
      append_quoted(out, as_bytes(data, length));
      return true;
    }
    case ARES_DATATYPE_BIN: {
      const unsigned char* data = ares_dns_rr_get_bin(rr, key, &length);
      append_hex(out, as_bytes(data, length));
      return key == ARES_RR_TLSA_DATA;
    }
    case ARES_DATATYPE_ABINP:
      for (size_t i = 0; i < ares_dns_rr_get_abin_cnt(rr, key); ++i) {
        const unsigned char* data = ares_dns_rr_get_abin(rr, key, i, &length);
        if (i) out.append(' ');
        append_quoted(out, as_bytes(data, length));
      }
      return true;
    case ARES_DATATYPE_OPT: return false;
  }
  return false;
}

enum class Rendered : uint8_t { whole, start };  // whole: all fields; start: those before one of
                                                 // another form

Rendered append_theirs(Buffer& out, const ares_dns_rr_t* rr) {
  size_t count = 0;
  const ares_dns_rr_key_t* keys = ares_dns_rr_get_keys(ares_dns_rr_get_type(rr), &count);
  for (size_t i = 0; i < count; ++i) {
    const size_t start = out.size();
    if (i) out.append(' ');
    if (append_field(out, rr, keys[i])) continue;
    out.truncate(start);
    return Rendered::start;
  }
  return Rendered::whole;
}

void compare_rdata(const Message& message, const Record& record, const ares_dns_rr_t* rr) {
  if (ares_dns_rr_get_type(rr) == ARES_REC_TYPE_RAW_RR) {
    size_t length = 0;
    const unsigned char* data = ares_dns_rr_get_bin(rr, ARES_RR_RAW_RR_DATA, &length);
    const Bytes ours = message.packet().subspan(record.rdata, record.rdata_length);
    require(fuzz::text_of(ours) == fuzz::text_of(as_bytes(data, length)), "the same rdata");
    ++counts.raw;
    return;
  }
  // Other classes have other forms, and SIG (24) has a time where c-ares has a number.
  if (record.rr_class != rr_class::internet || record.type == 24) return;
  Buffer ours, theirs;
  append_rdata(ours, message, record);
  if (ours.view().starts_with("\\# ")) return void(++counts.unfit);
  const bool whole = append_theirs(theirs, rr) == Rendered::whole;
  const bool same = whole ? ours.view() == theirs.view() : ours.view().starts_with(theirs.view());
  if (!same)
    std::fprintf(stderr, "TYPE%u\nours:   %.*s\ntheirs: %.*s\n", record.type,
                 static_cast<int>(ours.size()), ours.data(), static_cast<int>(theirs.size()),
                 theirs.data());
  require(same, "the same fields");
  ++counts.fields;
}

uint16_t type_of(const ares_dns_rr_t* rr) {
  return ares_dns_rr_get_type(rr) == ARES_REC_TYPE_RAW_RR
             ? ares_dns_rr_get_u16(rr, ARES_RR_RAW_RR_TYPE)
             : static_cast<uint16_t>(ares_dns_rr_get_type(rr));
}

// False: our listing ends before this record.
bool compare_record(const Message& message, const Record& record, const ares_dns_rr_t* rr) {
  require(record.type == type_of(rr), "the same type");
  require(record.rr_class == ares_dns_rr_get_class(rr), "the same class");
  require(record.ttl == ares_dns_rr_get_ttl(rr), "the same TTL");
  Buffer ours, theirs;
  if (append_packet_name(ours, message, record.owner) == 0) {
    require(runs_into_itself(message.packet(), record.owner), "an owner that c-ares can read");
    ++counts.strict;
    return false;
  }
  append_their_name(theirs, ares_dns_rr_get_name(rr));
  require(ours.view() == theirs.view(), "the same owner");
  compare_rdata(message, record, rr);
  ++counts.records;
  return true;
}

void compare(const Message& message, ares_dns_record_t* parsed) {
  size_t next = 0;
  for (ares_dns_section_t section :
       {ARES_SECTION_ANSWER, ARES_SECTION_AUTHORITY, ARES_SECTION_ADDITIONAL})
    for (size_t i = 0; i < ares_dns_record_rr_cnt(parsed, section); ++i) {
      const ares_dns_rr_t* rr = ares_dns_record_rr_get(parsed, section, i);
      if (ares_dns_rr_get_type(rr) == ARES_REC_TYPE_OPT) continue;
      require(next < message.records().size(), "no record more");
      const Record& record = message.records()[next++];
      require(static_cast<int>(record.section) + 1 == static_cast<int>(section),
              "the same section");
      if (!compare_record(message, record, rr)) return;
    }
  require(next == message.records().size(), "no record less");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Message message;
  const bool ours = message.index({data, size});
  ares_dns_record_t* parsed = nullptr;
  const bool theirs = ares_dns_parse(data, size, 0, &parsed) == ARES_SUCCESS;
  if (ours && theirs) compare(message, parsed);
  ++(ours ? theirs ? counts.both : counts.ours_only
          : theirs ? counts.theirs_only : counts.neither);
  ares_dns_record_destroy(parsed);
  return 0;
}
