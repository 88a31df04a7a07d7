// zdns's JSON: what became of one lookup, as a member of the object `results`.
#include "output_zdns.hpp"

#include <algorithm>
#include <chrono>

#include "ringdns/text.hpp"

namespace ringdns {

void JsonMembers::insert(const Member& member) {
  const auto end = members_.begin() + static_cast<ptrdiff_t>(count_);
  const auto place = std::find_if(members_.begin(), end,
                                  [&](const Member& other) { return other.key >= member.key; });
  if (place != end && place->key == member.key) return;
  ensure(count_ < members_.size(), "no record has as many members");
  std::copy_backward(place, end, end + 1);
  *place = member;
  ++count_;
}

void JsonMembers::write(Buffer& out) const {
  const char* separator = "{\"";
  for (const Member& member : std::span(members_).first(count_)) {
    out.append(separator);
    out.append(member.key);
    out.append("\":");
    out.append(values_.view().substr(member.start, member.end - member.start));
    separator = ",\"";
  }
  out.append('}');
}

namespace {

// ---- Times

// RFC 3339, in UTC, as Go writes it with all digits.
void append_timestamp(Buffer& out, UnixTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const uint64_t nanoseconds = static_cast<uint64_t>((time - day).count());
  const uint32_t second = static_cast<uint32_t>(nanoseconds / 1'000'000'000);
  append_padded(out, static_cast<uint32_t>(static_cast<int>(date.year())), 4);
  out.append('-');
  append_padded(out, static_cast<unsigned>(date.month()), 2);
  out.append('-');
  append_padded(out, static_cast<unsigned>(date.day()), 2);
  out.append('T');
  append_padded(out, second / 3600, 2);
  out.append(':');
  append_padded(out, second / 60 % 60, 2);
  out.append(':');
  append_padded(out, second % 60, 2);
  out.append('.');
  append_padded(out, static_cast<uint32_t>(nanoseconds % 1'000'000'000), 9);
  out.append('Z');
}

void append_seconds(Buffer& out, Duration duration) {
  const uint64_t nanoseconds = static_cast<uint64_t>(
      std::max<int64_t>(0, std::chrono::nanoseconds(duration).count()));
  out.append_decimal(nanoseconds / 1'000'000'000);
  out.append('.');
  append_padded(out, static_cast<uint32_t>(nanoseconds % 1'000'000'000), 9);
}

// ---- Records

// Owner names have no final dot in zdns; the root keeps its own.
bool append_owner(Buffer& out, const Message& message, const Record& record) {
  const size_t start = out.size();
  if (append_packet_name(out, message, record.owner) == 0) return false;
  if (out.size() > start + 1) out.truncate(out.size() - 1);
  return true;
}

enum class Appended : uint8_t { nothing, last, record };

// With its data in presentation form; last: read no further.
Appended append_plain(Buffer& out, const Message& message, const Record& record) {
  bool named = true, sound = true;
  out.append("{\"answer\":");
  append_json_text(out, [&](Buffer& to) { sound = append_rdata(to, message, record); });
  out.append(",\"class\":\"");
  append_class(out, record.rr_class);
  out.append("\",\"name\":");
  append_json_text(out, [&](Buffer& to) { named = append_owner(to, message, record); });
  out.append(",\"ttl\":");
  out.append_decimal(record.ttl);
  out.append(",\"type\":\"");
  append_type(out, record.type);
  out.append("\"}");
  return !named ? Appended::nothing : sound ? Appended::record : Appended::last;
}

Appended append_record(Buffer& out, JsonMembers& members, const Message& message,
                       const Record& record) {
  members.clear();
  if (!add_zdns_rdata(members, message, record)) return append_plain(out, message, record);
  bool named = true;
  members.add_text("name", [&](Buffer& to) { named = append_owner(to, message, record); });
  members.add_text("class", [&](Buffer& to) { append_class(to, record.rr_class); });
  members.add_text("type", [&](Buffer& to) { append_type(to, record.type); });
  members.add_number("ttl", record.ttl);
  members.write(out);
  return named ? Appended::record : Appended::nothing;
}

// The array of one section, or nothing where it is empty. False: read no further.
bool append_section(Buffer& out, JsonMembers& members, const Message& message, Section section) {
  static constexpr std::string_view keys[] = {"\"answers\":[", "\"authorities\":[",
                                              "\"additionals\":["};
  const size_t start = out.size();
  out.append(keys[static_cast<size_t>(section)]);
  const size_t empty = out.size();
  bool opt_is_due = section == Section::additional && message.has_opt(), go_on = true;
  const auto append_opt_before = [&](size_t offset) {
    if (!opt_is_due || message.opt().owner >= offset) return;
    opt_is_due = false;
    append_zdns_opt(out, members, message);
    out.append(',');
  };
  for (const Record& record : message.records()) {
    if (record.section != section) continue;
    append_opt_before(record.owner);
    const size_t before = out.size();
    const Appended appended = append_record(out, members, message, record);
    if (appended == Appended::nothing) out.truncate(before);
    else out.append(',');
    go_on = appended == Appended::record;
    if (!go_on) break;
  }
  append_opt_before(SIZE_MAX);
  if (out.size() == empty) {
    out.truncate(start);
  } else {
    out.truncate(out.size() - 1);
    out.append("],");
  }
  return go_on;
}

// In the packet's order, so that what cannot be read ends it as it ends the other formats; then
// the additional section comes first, as its key does.
void append_sections(Buffer& out, JsonMembers& members, const Message& message) {
  const size_t start = out.size();
  const bool go_on = append_section(out, members, message, Section::answer) &&
                     append_section(out, members, message, Section::authority);
  const size_t additionals = out.size();
  if (go_on) append_section(out, members, message, Section::additional);
  std::rotate(out.data() + start, out.data() + additionals, out.data() + out.size());
}

// ---- Results

void append_flag(Buffer& out, std::string_view key, bool value) {
  out.append(key);
  out.append(value ? "true" : "false");
}

void append_flags(Buffer& out, Header header) {
  out.append("\"flags\":{");
  append_flag(out, "\"authenticated\":", header.ad());
  append_flag(out, ",\"authoritative\":", header.aa());
  append_flag(out, ",\"checking_disabled\":", header.cd());
  out.append(",\"error_code\":");
  out.append_decimal(header.rcode());
  out.append(",\"opcode\":");
  out.append_decimal(header.opcode());
  append_flag(out, ",\"recursion_available\":", header.ra());
  append_flag(out, ",\"recursion_desired\":", header.rd());
  append_flag(out, ",\"response\":", header.qr());
  append_flag(out, ",\"truncated\":", header.tc());
  out.append("},");
}

// The rest of data; server: null where nobody was asked.
void append_source(Buffer& out, Transport transport, const Address* server) {
  out.append("\"protocol\":\"");
  if (server) out.append(transport == Transport::tcp ? "tcp" : "udp");
  out.append("\",\"resolver\":\"");
  if (server) append_endpoint(out, *server);
  out.append("\"},");
}

void append_key(Buffer& out, uint16_t type) {
  out.append('"');
  append_type(out, type);
  out.append("\":{");
}

class ZdnsFormatter : public Formatter {
 public:
  void append_reply(Buffer& out, const Reply& reply) override {
    append_message(out, reply);
    append_rcode(out, reply.message.rcode());
    append_end(out, reply.received);
  }

  void append_failure(Buffer& out, const Failure& failure) override {
    if (failure.last) {
      append_message(out, *failure.last, name(failure.reason));
      append_rcode(out, failure.last->message.rcode());
    } else {
      append_key(out, failure.type);
      out.append("\"data\":{");
      static constexpr std::array<uint8_t, header_size> no_header{};
      append_flags(out, Header(no_header));
      append_source(out, failure.transport, failure.server);
      append_duration(out, failure.took, name(failure.reason));
      out.append(status_of(failure.reason));
    }
    append_end(out, failure.ended);
  }

  void append_rejection(Buffer& out, const Rejection& rejection) override {
    append_key(out, rejection.type);
    append_duration(out, {}, rejection.problem);
    out.append("ILLEGAL_INPUT");
    append_end(out, rejection.when);
  }

 private:
  // zdns's word where there is no response code to tell.
  static std::string_view status_of(FailureReason reason) {
    switch (reason) {
      case FailureReason::timeout: return "TIMEOUT";
      case FailureReason::truncated: return "TRUNCATED";
      case FailureReason::max_retries:
      case FailureReason::unreachable:
      case FailureReason::interrupted:
      case FailureReason::no_resolver:
      case FailureReason::incomplete: return "ERROR";
    }
    return {};
  }

  void append_message(Buffer& out, const Reply& reply, std::string_view error = {}) {
    append_key(out, question_of(reply).type);
    out.append("\"data\":{");
    append_sections(out, members_, reply.message);
    append_flags(out, reply.message.header());
    append_source(out, reply.transport, &reply.server);
    append_duration(out, reply.took, error);
  }

  // Up to the status, whose closing quote is still to come.
  static void append_duration(Buffer& out, Duration took, std::string_view error) {
    out.append("\"duration\":");
    append_seconds(out, took);
    if (!error.empty()) {
      out.append(",\"error\":");
      append_json_text(out, [&](Buffer& to) { to.append(error); });
    }
    out.append(",\"status\":\"");
  }

  static void append_end(Buffer& out, UnixTime ended) {
    out.append("\",\"timestamp\":\"");
    append_timestamp(out, ended);
    out.append("\"}");
  }

  JsonMembers members_;
};

}  // namespace

std::unique_ptr<Formatter> make_zdns_formatter() { return std::make_unique<ZdnsFormatter>(); }

}  // namespace ringdns
