#include "reply.hpp"

#include <algorithm>

namespace responder {
namespace {

using ringdns::load_u16;
using ringdns::Rng;
using ringdns::store_u16;
using ringdns::store_u32;

constexpr size_t header_size = 12, max_message = 65535;
constexpr uint16_t a = 1, ns = 2, cname = 5, soa = 6, txt = 16, aaaa = 28, dname = 39, any = 255;
constexpr uint16_t opt = 41, internet = 1;
constexpr uint16_t nsid_option = 3, keepalive_option = 11;
constexpr uint16_t our_edns_size = 1232;
constexpr std::string_view nsid = "responder";
constexpr uint8_t qr_bit = 0x80, aa_bit = 0x04, tc_bit = 0x02, rd_bit = 0x01;
constexpr uint8_t ra_bit = 0x80, ad_bit = 0x20, cd_bit = 0x10;

// Writes into room that the caller has made sure of.
class Pen {
 public:
  explicit Pen(char* at) : start_(reinterpret_cast<uint8_t*>(at)), at_(start_) {}
  void u8(uint8_t v) { *at_++ = v; }
  void u16(uint16_t v) { store_u16(at_, v), at_ += 2; }
  void u32(uint32_t v) { store_u32(at_, v), at_ += 4; }
  void copy(Bytes bytes) {
    if (!bytes.empty()) std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }
  void fill(size_t count, uint8_t v) { std::memset(at_, v, count), at_ += count; }
  size_t size() const { return static_cast<size_t>(at_ - start_); }
  uint8_t* at(size_t offset) const { return start_ + offset; }
  void cut(size_t size) { at_ = start_ + size; }

 private:
  uint8_t* start_;
  uint8_t* at_;
};

uint8_t flags_high(const Query& query, bool aa) {
  return static_cast<uint8_t>(qr_bit | (aa ? aa_bit : 0) | (query.packet[2] & rd_bit));
}

void write_opt(Pen& pen, const Query& query, uint16_t rcode,
               std::optional<uint16_t> keepalive = {}) {
  pen.u8(0);
  pen.u16(opt);
  pen.u16(our_edns_size);
  pen.u8(static_cast<uint8_t>(rcode >> 4));
  pen.u8(0);
  pen.u16(query.dnssec_ok ? 0x8000 : 0);
  size_t length_at = pen.size();
  pen.u16(0);
  if (query.has_option(nsid_option)) {
    pen.u16(nsid_option);
    pen.u16(nsid.size());
    pen.copy({reinterpret_cast<const uint8_t*>(nsid.data()), nsid.size()});
  }
  if (keepalive) {
    pen.u16(keepalive_option);
    pen.u16(2);
    pen.u16(*keepalive);
  }
  store_u16(pen.at(length_at), static_cast<uint16_t>(pen.size() - length_at - 2));
}

// One message after a rule.
class Writer {
 public:
  Writer(Pen& pen, const Rule& rule, const Query& query, const ReplyOptions& options)
      : pen_(pen), rule_(rule), shape_(rule.shape), query_(query), options_(options) {}

  void write(Rng& rng);

 private:
  bool has(Deform bit) const { return shape_.deform & bit; }
  bool wanted(const RecordSpec& record) const;
  void write_header();
  void write_question();
  void write_records();
  void write_record(const RecordSpec& record);
  void write_default_answer();
  void write_owner(const RecordSpec& record);
  void write_bad_name(BadName kind);
  void write_rdata(const RecordSpec& record);
  void write_sized_txt(uint32_t size);
  size_t opt_size() const;
  bool with_opt() const { return has(force_opt) || (query_.edns && !has(no_opt)); }
  void write_opts();
  void write_counts();
  void deform(Rng& rng);

  Pen& pen_;
  const Rule& rule_;
  const Shape& shape_;
  const Query& query_;
  const ReplyOptions& options_;
  uint16_t counts_[4] = {};
  size_t last_record_ = 0;    // where the last record starts
  size_t last_rdlength_ = 0;  // 0: there is no record
};

void Writer::write(Rng& rng) {
  write_header();
  if (!has(header_only)) {
    if (!has(no_question)) write_question();
    if (!options_.truncated || options_.body != Body::empty) write_records();
    if (options_.truncated && options_.body == Body::cut) {
      // In the middle of the last record, its count kept.
      if (last_rdlength_) pen_.cut((last_rdlength_ + 2 + pen_.size()) / 2);
    } else if (with_opt()) {
      write_opts();
    }
  }
  write_counts();
  deform(rng);
}

void Writer::write_header() {
  bool tc = options_.truncated || has(set_tc);
  uint8_t opcode = has(wrong_opcode) ? 2 << 3 : 0;
  pen_.u16(query_.id);
  pen_.u8(static_cast<uint8_t>(flags_high(query_, !has(no_aa)) | (tc ? tc_bit : 0) | opcode));
  pen_.u8(static_cast<uint8_t>((has(no_ra) ? 0 : ra_bit) | (has(set_ad) ? ad_bit : 0) |
                               (has(set_cd) ? cd_bit : 0) | (rule_.rcode & 0x0f)));
  pen_.fill(8, 0);
}

void Writer::write_question() {
  Bytes question = query_.packet.subspan(header_size, query_.question_end - header_size);
  pen_.copy(question);
  if (has(two_questions)) pen_.copy(question);
  counts_[0] = has(two_questions) ? 2 : 1;
}

// A server gives what was asked for: the question's type, or what leads to it.
bool Writer::wanted(const RecordSpec& record) const {
  return record.part != Part::answer || has(as_is) || record.type == query_.type ||
         query_.type == any || record.type == cname || record.type == dname;
}

void Writer::write_records() {
  for (Part part : {Part::answer, Part::authority, Part::additional}) {
    if (part == Part::answer && rule_.default_answer) write_default_answer();
    for (const RecordSpec& record : rule_.records)
      if (record.part == part && wanted(record)) write_record(record);
  }
}

void Writer::write_default_answer() {
  RecordSpec record;
  record.kind = query_.type == aaaa ? Kind::hash_aaaa : Kind::hash_a;
  record.type = record.kind == Kind::hash_aaaa ? aaaa : a;
  if (wanted(record)) write_record(record);
}

void Writer::write_record(const RecordSpec& record) {
  size_t start = pen_.size();
  if (start + record.owner.size() + record.rdata.size() + opt_size() + 700 > max_message) return;
  last_record_ = start;
  write_owner(record);
  pen_.u16(record.type);
  pen_.u16(record.rr_class.value_or(query_.rr_class == any ? internet : query_.rr_class));
  pen_.u32(record.ttl.value_or(rule_.ttl));
  last_rdlength_ = pen_.size();
  pen_.u16(0);
  write_rdata(record);
  store_u16(pen_.at(last_rdlength_), static_cast<uint16_t>(pen_.size() - last_rdlength_ - 2));
  ++counts_[1 + static_cast<size_t>(record.part)];
}

void Writer::write_owner(const RecordSpec& record) {
  if (shape_.bad_owner != BadName::none) return write_bad_name(shape_.bad_owner);
  if (!record.owner.empty()) return pen_.copy(record.owner);
  if (counts_[0]) return pen_.u16(0xc000 | header_size);
  pen_.copy(query_.packet.subspan(header_size, query_.name_length));
}

void Writer::write_bad_name(BadName kind) {
  constexpr uint16_t pointer = 0xc000, farthest = 0x3fff;
  uint16_t here = static_cast<uint16_t>(std::min<size_t>(pen_.size(), farthest - 4));
  switch (kind) {
    case BadName::none: return;
    case BadName::self: return pen_.u16(pointer | here);
    case BadName::loop:  // a label, then back to it
      pen_.u8(1);
      pen_.u8('a');
      return pen_.u16(pointer | here);
    case BadName::forward:  // to the pointer right behind, which points back
      pen_.u8(1);
      pen_.u8('a');
      return pen_.u16(static_cast<uint16_t>(pointer | (here + 4)));
    case BadName::past_end: return pen_.u16(pointer | farthest);
    case BadName::long_label:  // 0x40 is no length (RFC 1035 4.1.4 reserves it)
      pen_.u8(64);
      pen_.fill(64, 'a');
      return pen_.u8(0);
    case BadName::long_name:
      for (int label = 0; label < 5; ++label) {
        pen_.u8(63);
        pen_.fill(63, 'a');
      }
      return pen_.u8(0);
  }
}

void Writer::write_rdata(const RecordSpec& record) {
  if (shape_.bad_rdata != BadName::none) return write_bad_name(shape_.bad_rdata);
  switch (record.kind) {
    case Kind::fixed: return pen_.copy(record.rdata);
    case Kind::hash_a: return pen_.u32(10u << 24 | (name_hash(query_) & 0xffffff));
    case Kind::hash_aaaa:
      pen_.u32(0x20010db8);
      pen_.fill(8, 0);
      return pen_.u32(name_hash(query_));
    case Kind::sized_txt: return write_sized_txt(record.size);
  }
}

// Fills the message up to `size` octets, the OPT record to come included.
void Writer::write_sized_txt(uint32_t size) {
  size_t taken = pen_.size() + opt_size();
  size_t left = std::max<size_t>(size > taken ? size - taken : 0, 1);
  uint8_t letter = 'a';
  while (left) {
    size_t string = std::min<size_t>(left - 1, 255);
    pen_.u8(static_cast<uint8_t>(string));
    pen_.fill(string, letter);
    letter = letter == 'z' ? 'a' : static_cast<uint8_t>(letter + 1);
    left -= string + 1;
  }
}

size_t Writer::opt_size() const {
  if (!with_opt()) return 0;
  size_t one = 11 + (query_.has_option(nsid_option) ? 4 + nsid.size() : 0) +
               (options_.keepalive ? 6 : 0);
  return has(two_opts) ? 2 * one : one;
}

void Writer::write_opts() {
  for (int left = has(two_opts) ? 2 : 1; left; --left) {
    write_opt(pen_, query_, rule_.rcode, options_.keepalive);
    ++counts_[3];
  }
}

void Writer::write_counts() {
  for (size_t i = 0; i < 4; ++i)
    store_u16(pen_.at(4 + 2 * i), has(huge_counts) && i > 0 ? 0xffff : counts_[i]);
}

void Writer::deform(Rng& rng) {
  bool question = counts_[0] != 0;
  size_t name_end = header_size + query_.name_length;
  if (has(wrong_id))
    store_u16(pen_.at(0), static_cast<uint16_t>(query_.id + 1 + rng.below(65535)));
  if (has(not_a_reply)) *pen_.at(2) &= static_cast<uint8_t>(~qr_bit);
  // Another letter of the same label; the root becomes no name at all, so its type changes.
  if (question && has(wrong_name) && query_.name_length > 1)
    *pen_.at(header_size + 1) = fold(*pen_.at(header_size + 1)) == 'x' ? 'y' : 'x';
  if (question && (has(wrong_type) || (has(wrong_name) && query_.name_length == 1)))
    store_u16(pen_.at(name_end), query_.type == ns ? soa : ns);
  if (question && has(wrong_class)) store_u16(pen_.at(name_end + 2), query_.rr_class == 3 ? 4 : 3);
  if (question && has(flip_case))
    for (size_t at = header_size; at < name_end; ++at) {
      uint8_t folded = fold(*pen_.at(at));
      if (folded >= 'a' && folded <= 'z') *pen_.at(at) ^= 0x20;
    }
  if (has(rdlength_past_end) && last_rdlength_)
    store_u16(pen_.at(last_rdlength_), static_cast<uint16_t>(pen_.size() - last_rdlength_ + 1000));
  for (uint32_t i = 0; i < shape_.trailing && pen_.size() < max_message; ++i)
    pen_.u8(static_cast<uint8_t>(rng.next()));
  if (shape_.cut) pen_.cut(pen_.size() - std::min<size_t>(shape_.cut, pen_.size()));
  if (shape_.runt && *shape_.runt < pen_.size()) pen_.cut(*shape_.runt);
}

}  // namespace

size_t append_reply(Buffer& out, const Rule& rule, const Query& query, const ReplyOptions& options,
                    Rng& rng) {
  Pen pen(out.reserve(max_message + 1024));
  Writer(pen, rule, query, options).write(rng);
  out.commit(pen.size());
  return pen.size();
}

size_t append_forgery(Buffer& out, uint32_t deform, const Query& query, Rng& rng) {
  static Rule rule = [] {
    Rule forger;
    forger.records.resize(2);
    forger.records[0].type = a;
    forger.records[0].rdata = {192, 0, 2, 66};
    forger.records[1].type = aaaa;
    forger.records[1].rdata = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x66};
    return forger;
  }();
  rule.shape.deform = deform;
  return append_reply(out, rule, query, {}, rng);
}

size_t append_hash_a(Buffer& out, const Rule& rule, const Query& query) {
  Pen pen(out.reserve(1024));
  pen.u16(query.id);
  pen.u8(flags_high(query, true));
  pen.u8(ra_bit);
  pen.u16(1);
  pen.u16(query.type == a ? 1 : 0);
  pen.u16(0);
  pen.u16(query.edns ? 1 : 0);
  pen.copy(query.packet.subspan(header_size, query.question_end - header_size));
  if (query.type == a) {
    pen.u16(0xc000 | header_size);
    pen.u16(a);
    pen.u16(query.rr_class);
    pen.u32(rule.records[0].ttl.value_or(rule.ttl));
    pen.u16(4);
    pen.u32(10u << 24 | (name_hash(query) & 0xffffff));
  }
  if (query.edns) write_opt(pen, query, 0);
  out.commit(pen.size());
  return pen.size();
}

size_t append_header_only(Buffer& out, const Query& query, uint16_t rcode) {
  Pen pen(out.reserve(header_size));
  pen.u16(query.id);
  // The query's opcode comes back, too.
  pen.u8(static_cast<uint8_t>(qr_bit | (query.packet[2] & (0x78 | rd_bit))));
  pen.u8(static_cast<uint8_t>(ra_bit | (rcode & 0x0f)));
  pen.fill(8, 0);
  out.commit(pen.size());
  return pen.size();
}

size_t append_rcode(Buffer& out, const Query& query, uint16_t rcode) {
  Pen pen(out.reserve(1024));
  pen.u16(query.id);
  pen.u8(flags_high(query, false));
  pen.u8(static_cast<uint8_t>(ra_bit | (rcode & 0x0f)));
  pen.u16(1);
  pen.u32(0);
  pen.u16(query.edns ? 1 : 0);
  pen.copy(query.packet.subspan(header_size, query.question_end - header_size));
  if (query.edns) write_opt(pen, query, rcode);
  out.commit(pen.size());
  return pen.size();
}

size_t append_unsolicited(Buffer& out, Rng& rng) {
  constexpr uint8_t rest[] = {0x84, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 5, 'n', 'e', 'v', 'e', 'r',
                              5,    'a',  's', 'k', 'e', 'd', 0, 0, 1, 0, 1};
  Pen pen(out.reserve(2 + sizeof rest));
  pen.u16(static_cast<uint16_t>(rng.next()));
  pen.copy(rest);
  out.commit(pen.size());
  return pen.size();
}

namespace {

// The messages of one transfer, a new one begun whenever one is full.
class Transfer {
 public:
  Transfer(Buffer& out, const Query& query, uint32_t ttl) : out_(out), query_(query), ttl_(ttl) {}

  void add(uint16_t type, std::string_view label, Bytes rdata) {
    constexpr size_t full = 16000;
    if (!open_ || out_.size() - start_ > full) begin();
    Pen pen(out_.reserve(label.size() + rdata.size() + 16));
    if (!label.empty()) {
      pen.u8(static_cast<uint8_t>(label.size()));
      pen.copy({reinterpret_cast<const uint8_t*>(label.data()), label.size()});
    }
    pen.u16(0xc000 | header_size);
    pen.u16(type);
    pen.u16(internet);
    pen.u32(ttl_);
    pen.u16(static_cast<uint16_t>(rdata.size()));
    pen.copy(rdata);
    out_.commit(pen.size());
    ++records_;
  }
  void finish() {
    uint8_t* message = reinterpret_cast<uint8_t*>(out_.data()) + start_;
    store_u16(message, static_cast<uint16_t>(out_.size() - start_ - 2));
    store_u16(message + 2 + 6, records_);
  }

 private:
  void begin() {
    if (open_) finish();
    open_ = true;
    start_ = out_.size();
    records_ = 0;
    Pen pen(out_.reserve(1024));
    pen.u16(0);
    pen.u16(query_.id);
    pen.u8(flags_high(query_, true));
    pen.u8(0);
    pen.u16(1);
    pen.fill(6, 0);
    pen.copy(query_.packet.subspan(header_size, query_.question_end - header_size));
    out_.commit(pen.size());
  }

  Buffer& out_;
  const Query& query_;
  uint32_t ttl_;
  bool open_ = false;
  size_t start_ = 0;
  uint16_t records_ = 0;
};

}  // namespace

void append_transfer(Buffer& out, const Query& query, uint32_t records, uint32_t ttl) {
  // "ns.<zone> host.<zone> 1 3600 600 86400 300", the zone by a pointer
  constexpr uint8_t soa_rdata[] = {2,    'n',  's', 0xc0, 12, 4,  'h', 'o',  's',  't', 0xc0,
                                   12,   0,    0,   0,    1,  0,  0,   0x0e, 0x10, 0,   0,
                                   0x02, 0x58, 0,   1,    0x51, 0x80, 0, 0,    0x01, 0x2c};
  Transfer transfer(out, query, ttl);
  transfer.add(soa, {}, soa_rdata);
  for (uint32_t i = 0; i < records; ++i) {
    uint8_t address[4] = {10};
    for (int octet = 1; octet < 4; ++octet)
      address[octet] = static_cast<uint8_t>(i >> 8 * (3 - octet));
    transfer.add(a, join("r", std::to_string(i)), address);
  }
  transfer.add(soa, {}, soa_rdata);
  transfer.finish();
}

}  // namespace responder
