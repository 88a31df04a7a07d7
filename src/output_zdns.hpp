// Z, zdns's JSON, in its parts. Keys stand in alphabetical order, as zdns has them.
#pragma once

#include "output_formats.hpp"
#include "ringdns/rdata.hpp"
#include "ringdns/text.hpp"

namespace ringdns {

// In quotes and escaped what append(out) appends: printable text.
template <class Append>
void append_json_text(Buffer& out, Append append) {
  out.append('"');
  const size_t start = out.size();
  append(out);
  escape_json(out, start);
  out.append('"');
}

// The members of one JSON object: added in any order, written in that of their keys.
class JsonMembers {
 public:
  void clear() { values_.clear(), count_ = 0; }

  // Appends the value. One that is nothing is no member; of a key's values the first stays.
  template <class Append>  // bool (Buffer&)
  bool add(std::string_view key, Append append) {
    const size_t start = values_.size();
    if (!append(values_)) return false;
    if (values_.size() > start) insert({key, start, values_.size()});
    return true;
  }
  template <class Append>  // void (Buffer&): printable text that is yet to be escaped
  void add_text(std::string_view key, Append append) {
    add(key, [&](Buffer& out) { return append_json_text(out, append), true; });
  }
  void add_number(std::string_view key, uint64_t number) {
    add(key, [&](Buffer& out) { return out.append_decimal(number), true; });
  }

  void write(Buffer& out) const;  // "{...}"

 private:
  struct Member {
    std::string_view key;
    size_t start, end;  // of its value
  };
  void insert(const Member& member);

  Buffer values_;
  std::array<Member, 20> members_;
  size_t count_ = 0;
};

// The members of a record's object that are of its type, as zdns names them: false, with only some
// of them there, where zdns does not know the type, or the rdata does not fit it.
bool add_zdns_rdata(JsonMembers& members, const Message& message, const Record& record);

// The parameters of SVCB and HTTPS, as the member svcparams.
bool add_service_parameters(JsonMembers& members, Rdata& rdata);

// The object of an OPT record.
void append_zdns_opt(Buffer& out, JsonMembers& members, const Message& message);

}  // namespace ringdns
