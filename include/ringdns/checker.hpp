// Level 8: `--check-resolvers`: asks each resolver of a list the questions that vetting.hpp judges
// by. One query at a time to each, up to -s resolvers at once, each question up to three times.
#pragma once

#include <vector>

#include "ringdns/transport.hpp"
#include "ringdns/vetting.hpp"

namespace ringdns {

struct CheckQuestions {
  std::vector<WireName> names;  // 1 to max_check_names
  std::vector<WireName> zones;  // at most max_check_zones; room for a label of 16 in each
};

class Checker {
 public:
  static constexpr uint8_t socket_token = 1, query_token = 2;  // kinds of Udp's completions
  static constexpr uint8_t tries = 3;

  Checker(const Options& options, Io& io, Rng& rng, Lookups& lookups, Udp& udp,
          const std::vector<Address>& resolvers, const CheckQuestions& questions);

  bool finished() const { return next_ == resolvers_.size() && lookups_.in_flight() == 0; }
  Instant next_deadline() const { return lookups_.any_ready() ? now_ : lookups_.next_deadline(); }
  uint32_t expected() const { return lookups_.in_flight(); }
  void send();                    // before each wait()
  void advance(const Turn& turn); // after it

  std::span<const CheckedReplies> replies() const { return replies_; }  // as resolvers

 private:
  // What a slot asks: its resolver, and which of the questions.
  struct Task {
    uint32_t resolver = 0;
    uint32_t question = 0;
  };
  uint32_t question_count() const;
  bool is_edns(uint32_t question) const { return question + 1 == question_count(); }
  CheckedReply& reply_of(const Task& task);
  WireName name_of(uint32_t question);
  void begin(Task task);
  void go_on(uint32_t slot);
  void ask(uint32_t slot);
  void on_datagram(const Completion& completion);
  void on_silence(uint32_t slot);

  const Options& options_;
  Io& io_;
  Rng& rng_;
  Lookups& lookups_;
  Udp& udp_;
  const std::vector<Address>& resolvers_;
  const CheckQuestions& questions_;
  std::vector<CheckedReplies> replies_;
  std::vector<Task> tasks_;  // by slot
  Message message_;
  size_t next_ = 0;          // resolver that is yet to be begun
  Instant now_{};
};

// The whole of it, from lists to exit code: 0 when a resolver is good.
int check_resolvers(const Options& options);

}  // namespace ringdns
