// massdns's JSON: one object a line. All of it is ASCII: names and rdata are escaped by the rules
// of zone files (\DDD) before those of JSON apply.
#include "output_formats.hpp"
#include "ringdns/rdata.hpp"
#include "ringdns/text.hpp"

namespace ringdns {

namespace {

void append_json_name(Buffer& out, Bytes wire_name) {
  const size_t start = out.size();
  append_name(out, wire_name);
  escape_json(out, start);
}

bool append_json_packet_name(Buffer& out, const Message& message, size_t offset) {
  const size_t start = out.size();
  if (append_packet_name(out, message, offset) == 0) return false;
  escape_json(out, start);
  return true;
}

bool append_json_rdata(Buffer& out, const Message& message, const Record& record) {
  const size_t start = out.size();
  const bool sound = append_rdata(out, message, record);
  escape_json(out, start);
  return sound;
}

// ---- TXT and its like: data is all strings joined, as massdns has it; strings has each.

// Takes the next string; the backslash alone is special in it, as there are no quotes around it.
bool append_json_string(Buffer& out, Rdata& rdata) {
  Bytes bytes;
  if (!rdata.take_counted(bytes)) return false;
  const size_t start = out.size();
  append_escaped(out, bytes, "\\");
  escape_json(out, start);
  return true;
}

// The record's last keys, or nothing where these are no strings.
bool append_strings(Buffer& out, const Message& message, const Record& record) {
  const Layout* layout = find_layout(record.type, record.rr_class);
  if (!layout || !is_strings(*layout) || record.rdata_length == 0) return false;
  const size_t start = out.size();
  for (Rdata rdata(message, record); rdata.left() > 0;) {
    if (append_json_string(out, rdata)) continue;
    out.truncate(start);
    return false;
  }
  out.append("\",\"strings\":[");
  const char* separator = "\"";
  for (Rdata rdata(message, record); rdata.left() > 0; separator = ",\"") {
    out.append(separator);
    append_json_string(out, rdata);
    out.append('"');
  }
  out.append("]}");
  return true;
}

// ---- Records

std::string_view section_key(Section section) {
  switch (section) {
    case Section::answer: return "\"answers\":[";
    case Section::authority: return "\"authorities\":[";
    case Section::additional: return "\"additionals\":[";
  }
  return {};
}

enum class Appended : uint8_t { nothing, last, record };

// last: read no further.
Appended append_record(Buffer& out, const Message& message, const Record& record) {
  out.append("{\"ttl\":");
  out.append_decimal(record.ttl);
  out.append(",\"type\":\"");
  append_type(out, record.type);
  out.append("\",\"class\":\"");
  append_class(out, record.rr_class);
  out.append("\",\"name\":\"");
  if (!append_json_packet_name(out, message, record.owner)) return Appended::nothing;
  out.append("\",\"data\":\"");
  if (append_strings(out, message, record)) return Appended::record;
  const bool sound = append_json_rdata(out, message, record);
  out.append("\"}");
  return sound ? Appended::record : Appended::last;
}

void append_records(Buffer& out, const Message& message) {
  const Record* last = nullptr;
  for (const Record& record : message.records()) {
    const size_t start = out.size();
    if (last && last->section == record.section) {
      out.append(',');
    } else {
      if (last) out.append("],");
      out.append(section_key(record.section));
    }
    const Appended appended = append_record(out, message, record);
    if (appended == Appended::nothing) {
      out.truncate(start);
      break;
    }
    last = &record;
    if (appended == Appended::last) break;
  }
  if (last) out.append(']');
}

// ---- Replies

// massdns's notion of a referral: name servers of the very name that was asked for.
bool has_referral(const Message& message) {
  for (const Record& record : message.records()) {
    if (record.section != Section::authority || record.type != type::ns) continue;
    const OwnerMatch owner = match_owner(message, record.owner);
    if (owner == OwnerMatch::malformed) return false;
    if (owner == OwnerMatch::question) return true;
  }
  return false;
}

void append_flags(Buffer& out, Header header) {
  const size_t start = out.size();
  if (header.aa()) out.append("\"aa\",");
  if (header.tc()) out.append("\"tc\",");
  if (header.rd()) out.append("\"rd\",");
  if (header.ra()) out.append("\"ra\",");
  if (header.ad()) out.append("\"ad\",");
  if (header.cd()) out.append("\"cd\",");
  if (out.size() > start) out.truncate(out.size() - 1);
}

class JsonFormatter : public Formatter {
 public:
  explicit JsonFormatter(const OutputFormat& format)
      : only_answers_or_referrals_(format.only_answers_or_referrals), failures_(format.failures) {}

  void append_reply(Buffer& out, const Reply& reply) override {
    const Message& message = reply.message;
    if (only_answers_or_referrals_ && !has_answer(message) && !has_referral(message)) return;
    const Asked asked = question_of(reply);
    append_question(out, asked.name, asked.type, asked.rr_class);
    out.append("\",\"status\":\"");
    append_rcode(out, message.rcode());
    out.append("\",\"rx_ts\":");
    out.append_decimal(static_cast<uint64_t>(reply.received.time_since_epoch().count()));
    out.append(",\"data\":{");
    append_records(out, message);
    out.append("},\"flags\":[");
    append_flags(out, message.header());
    out.append("],\"resolver\":\"");
    append_endpoint(out, reply.server);
    out.append(reply.transport == Transport::tcp ? "\",\"proto\":\"TCP\"}\n"
                                                 : "\",\"proto\":\"UDP\"}\n");
  }

  void append_failure(Buffer& out, const Failure& failure) override {
    if (!failures_) return;
    append_question(out, failure.name, failure.type, failure.rr_class);
    out.append("\",\"error\":\"");
    out.append(name(failure.reason));
    out.append("\"}\n");
  }

 private:
  // Up to the class, whose closing quote is still to come.
  static void append_question(Buffer& out, Bytes name, uint16_t type, uint16_t rr_class) {
    out.append("{\"name\":\"");
    append_json_name(out, name);
    out.append("\",\"type\":\"");
    append_type(out, type);
    out.append("\",\"class\":\"");
    append_class(out, rr_class);
  }

  const bool only_answers_or_referrals_, failures_;
};

}  // namespace

std::unique_ptr<Formatter> make_json_formatter(const OutputFormat& format) {
  return std::make_unique<JsonFormatter>(format);
}

}  // namespace ringdns
