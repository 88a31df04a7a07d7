// What a plan file says (README.md documents the language): rules for queries, and settings of
// listeners and connections. A plan is parsed once and then only read.
#pragma once

#include <functional>
#include <memory>

#include "text.hpp"

namespace responder {

enum class Transport : uint8_t { udp = 1, tcp = 2 };

constexpr uint64_t always = uint64_t{1} << 32;  // a share of 100 %

// When a rule applies, besides its pattern. All must hold.
struct Conditions {
  enum class Edns : uint8_t { any, with, without };
  std::vector<uint16_t> types;  // empty: every type
  std::optional<uint16_t> rr_class;
  std::optional<Transport> over;
  Edns edns = Edns::any;
  std::optional<uint16_t> option;   // an EDNS option the query carries
  std::optional<Range> edns_size;   // 512 for a query without EDNS
  std::optional<Range> connection;  // ordinal of the connection on its listener, from 1
  std::optional<Range> position;    // ordinal of the query on its connection, from 1
  std::optional<Range> tries;       // how often this listener was asked this question
  std::optional<Range> elapsed;     // nanoseconds since the listener's first query
  uint64_t share = always;          // of the names
  uint64_t chance = always;         // of the queries
  // Of the queries for which all the above hold:
  uint64_t first = UINT64_MAX, after = 0, every = 1;
  uint64_t over_rate = 0;  // those beyond so many a second; 0: all
  friend bool operator==(const Conditions&, const Conditions&) = default;
};

enum class Kind : uint8_t { fixed, hash_a, hash_aaaa, sized_txt };
enum class Part : uint8_t { answer, authority, additional };

struct RecordSpec {
  Part part = Part::answer;
  Octets owner;  // empty: the question's name
  uint16_t type = 0;
  std::optional<uint32_t> ttl;
  std::optional<uint16_t> rr_class;  // the query's
  Kind kind = Kind::fixed;
  Octets rdata;
  uint32_t size = 0;  // sized_txt: octets of the whole message
};

// How a reply is put out of shape. Words of the plan map to these one to one.
enum Deform : uint32_t {
  wrong_id = 1u << 0,
  wrong_name = 1u << 1,
  wrong_type = 1u << 2,
  wrong_class = 1u << 3,
  not_a_reply = 1u << 4,
  wrong_opcode = 1u << 5,
  no_question = 1u << 6,
  two_questions = 1u << 7,
  flip_case = 1u << 8,
  header_only = 1u << 9,
  set_tc = 1u << 10,
  no_aa = 1u << 11,
  no_ra = 1u << 12,
  no_opt = 1u << 13,
  force_opt = 1u << 14,
  two_opts = 1u << 15,
  huge_counts = 1u << 16,
  rdlength_past_end = 1u << 17,
  oversize = 1u << 18,
  as_is = 1u << 19,
  no_body = 1u << 20,
  wrong_port = 1u << 21,
  wrong_address = 1u << 22,
  set_ad = 1u << 23,
  set_cd = 1u << 24,
};

enum class BadName : uint8_t { none, self, loop, forward, past_end, long_label, long_name };
enum class Body : uint8_t { empty, full, cut };  // of a truncated reply
enum class Verb : uint8_t { reply, drop, transfer, close, reset };
enum class Ending : uint8_t { none, close, reset, half_close, silent, deaf };

// How a message's octets leave on a stream: the first `first` of them (0: no special first
// piece), then `piece` at a time (0: the rest at once), `gap` apart.
struct Pace {
  uint32_t first = 0, piece = 0;
  Duration gap{};
  bool plain() const { return first == 0 && piece == 0; }
  friend bool operator==(const Pace&, const Pace&) = default;
};

struct Spoof {
  uint32_t count = 0;
  uint32_t deform = 0;  // what is wrong with it: it tells another answer
  friend bool operator==(const Spoof&, const Spoof&) = default;
};

struct Shape {
  uint32_t deform = 0;
  BadName bad_owner = BadName::none, bad_rdata = BadName::none;
  std::optional<uint16_t> runt;         // the message's first octets only
  uint32_t cut = 0;                     // octets taken off its end
  uint32_t trailing = 0;                // octets added to its end
  uint32_t drop_above = UINT32_MAX;     // UDP: larger replies vanish
  std::vector<Spoof> spoofs;            // forged replies before it
  uint32_t copies = 1;
  Duration copies_gap{};
  std::optional<Duration> late_full;    // UDP: the untruncated reply follows so much later
  std::optional<uint16_t> prefix;       // TCP: the length prefix's value
  int32_t prefix_error = 0;             // TCP: added to the true length
  std::optional<uint32_t> stop;         // TCP: so many octets, prefix included, and no more
  Pace pace;
  Ending then = Ending::none;
  friend bool operator==(const Shape&, const Shape&) = default;
};

struct Rule {
  uint32_t id = 0;  // its place in the plan
  uint32_t line = 0;
  std::string text;
  Octets name;          // folded wire form of the pattern, less "*."
  bool below = false;   // "*.name": what is below it; otherwise the name alone
  bool every_name = false;
  Conditions when;
  Duration delay_least{}, delay_most{};
  Verb verb = Verb::reply;
  uint16_t rcode = 0;
  std::optional<Body> truncate;  // over UDP
  uint32_t transfer_records = 0;
  uint32_t ttl = 300;
  bool default_answer = false;   // A and AAAA by hash, whichever is asked
  std::vector<RecordSpec> records;
  Shape shape;

  bool unconditional = false;  // nothing to check but name and type
  bool plain_hash_a = false;   // and nothing to do but `answer A hash`: the fast path
};

enum class Hold : uint8_t { none, same_order, reversed, shuffled, swapped_ids };
enum class Banner : uint8_t { none, http, tls, smtp };
enum class OneAtATime : uint8_t { off, ignore, close };

// How one connection is treated. Lines of a plan fill in what they name, the later the stronger.
struct TcpSettings {
  Ending end = Ending::none;
  uint64_t end_after = UINT64_MAX;  // that many answers
  uint64_t end_at = UINT64_MAX;     // the arrival of that query, which stays unanswered
  Banner banner = Banner::none;
  uint32_t unsolicited = 0;
  Hold hold = Hold::none;
  uint32_t hold_count = 0;
  Duration hold_most{};
  OneAtATime one_at_a_time = OneAtATime::off;
  std::optional<uint16_t> keepalive;  // units of 100 ms, RFC 7828
  bool keepalive_unasked = false;
  Duration idle{};                    // 0: never
  Pace pace;
};

// One `tcp` line: what it changes, and for which connections.
struct TcpLine {
  Range connection{1, UINT64_MAX};
  uint64_t chance = always;
  std::vector<std::function<void(TcpSettings&)>> changes;
};

enum class Door : uint8_t { open, refuse, blackhole };

struct ListenerSettings {
  uint64_t loss_in = 0, loss_out = 0;  // thresholds out of 2^32
  Door udp = Door::open, tcp = Door::open;
  std::vector<TcpLine> tcp_lines;
};

// Rules by the deepest node of the name tree that a name meets, so that a query costs one look-up
// a label and a walk along the few rules that can match it, however long the plan.
class RuleTree {
 public:
  // `rules` in order of precedence.
  explicit RuleTree(const std::vector<const Rule*>& rules);
  // Candidates for a folded wire name, first to last. `labels` are the offsets of its labels.
  std::span<const Rule* const> candidates(Bytes name, std::span<const uint8_t> labels) const;

 private:
  struct Node {
    std::string name;
    uint64_t hash;
    std::vector<const Rule*> exact, below;
  };
  const Node* find(Bytes suffix, uint64_t hash) const;

  std::vector<Node> nodes_;      // the root first
  std::vector<uint32_t> slots_;  // open addressing over the names' hashes: a node, or none
  size_t deepest_ = 0;           // labels of the longest pattern
};

// What one listener does.
struct ListenerPlan {
  ListenerPlan(std::vector<const Rule*> ordered, ListenerSettings given, size_t rules_in_plan);
  ListenerSettings settings;
  RuleTree tree;
  size_t rule_ids;  // those of its rules are below this
  bool counts_tries = false;
};

struct Plan {
  struct Section {
    Range servers{1, UINT64_MAX};
    bool general = true;
    std::vector<const Rule*> rules;
    std::vector<std::function<void(ListenerSettings&)>> changes;
  };
  std::vector<std::unique_ptr<Rule>> rules;  // in the file's order
  std::vector<Section> sections;             // likewise

  // One plan for each of so many listeners; equal ones are shared. A server's own sections come
  // before the general rules, and their settings override the general ones.
  std::vector<std::shared_ptr<const ListenerPlan>> for_listeners(size_t count) const;
};

struct ParsedPlan {
  Plan plan;
  std::string error;  // "line 3: ..."; empty when the plan is good
};
ParsedPlan parse_plan(View text);

}  // namespace responder
