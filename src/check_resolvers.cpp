#include <algorithm>
#include <cstring>

#include "ringdns/checker.hpp"
#include "ringdns/ending.hpp"
#include "ringdns/replaced_file.hpp"
#include "ringdns/resolvers.hpp"
#include "ringdns/setup.hpp"

namespace ringdns {
namespace {

constexpr size_t random_label = 17;  // octets that a random name adds to its zone

// A comma list as names; returns what is wrong with it.
std::string parse_names(const char* option, std::string_view list, size_t most, size_t longest,
                        std::vector<WireName>& out) {
  while (!list.empty()) {
    std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), item.size() + 1));
    WireName name;
    NameError error = encode_name(item, name);
    if (error == NameError::none && name.length > longest) error = NameError::name_too_long;
    if (error != NameError::none)
      return std::string(option) + ": " + std::string(describe(error));
    if (out.size() == most)
      return std::string(option) + ": more than " + std::to_string(most) + " names";
    out.push_back(name);
  }
  return out.empty() ? std::string(option) + ": no name" : "";
}

void append_json(Buffer& out, const std::string& resolver, const Findings& findings) {
  out.append("{\"resolver\":\"" + resolver + "\",\"good\":");
  out.append(first_fault(findings) == check_count ? "true" : "false");
  for (size_t i = 0; i < check_count; ++i) {
    out.append(",\"");
    out.append(name_of(static_cast<Check>(i)));
    out.append("\":\"");
    out.append(describe(findings[i]));
    out.append("\"");
  }
  out.append("}\n");
}

// The list's addresses and the trusted ones behind them; returns what is wrong.
std::string read_lists(const Options& options, std::vector<Address>& addresses, size_t& listed) {
  for (const std::string* source : {&options.resolvers, &options.trusted}) {
    const std::string& from = *source;
    if (source == &options.trusted && from.empty()) break;
    Outcome<ResolverList> list = read_resolvers(from);
    if (!list.value) return list.error;
    if (list.value->addresses.empty()) return "no usable resolver in " + from;
    for (const ResolverListProblem& problem : list.value->problems)
      complain(from + ": line " + std::to_string(problem.line) + " is no address: " + problem.text);
    const std::vector<Address>& found = list.value->addresses;
    if (addresses.empty()) listed = found.size();
    addresses.insert(addresses.end(), found.begin(), found.end());
  }
  return {};
}

int report(const Options& options, const std::vector<Address>& addresses, size_t listed,
           std::span<const CheckedReplies> replies, const Fd& output) {
  std::span<const CheckedReplies> list = replies.first(listed);
  Expectation expected = options.trusted.empty() ? expect_of_majority(list)
                                                 : expect_of_trusted(replies.subspan(listed));
  Buffer out;
  size_t good = 0;
  for (size_t i = 0; i < listed; ++i) {
    Findings findings = judge(list[i], expected);
    size_t fault = first_fault(findings);
    std::string resolver = addresses[i].text();
    good += fault == check_count;
    if (options.format.kind == OutputFormat::Kind::json)
      append_json(out, resolver, findings);
    else if (fault == check_count)
      out.append(resolver + "\n");
    if (fault != check_count && !options.quiet)
      complain(resolver + " " + std::string(fault_of(static_cast<Check>(fault))));
  }
  if (int error = write_all(output, out.bytes()))
    return complain("writing to " + options.outfile + " failed: " + std::strerror(error));
  return good > 0 ? 0 : 1;
}

}  // namespace

int check_resolvers(const Options& options) {
  std::vector<Address> addresses;
  size_t listed = 0;
  CheckQuestions questions;
  std::string error = read_lists(options, addresses, listed);
  if (error.empty())
    error = parse_names("--check-names", options.check_names, max_check_names, max_name,
                        questions.names);
  if (error.empty())
    error = parse_names("--check-zones", options.check_zones, max_check_zones,
                        max_name - random_label, questions.zones);
  if (!error.empty()) return complain(error);
  Outcome<Fd> output = open_output(options.outfile);
  if (!output.value) return complain(output.error);

  raise_descriptor_limit();
  IoResult made = make_io(options.io, options.concurrency);
  if (!made.io) return complain(made.why);
  Rng rng(random_seed());
  Lookups lookups(options.concurrency, false);
  Udp udp(*made.io, rng, lookups, Checker::socket_token, Checker::query_token);
  Udp::Families families;
  for (const Address& address : addresses)
    (address.is_ipv4() ? families.ipv4 : families.ipv6) = true;
  error = udp.open(options, families);
  if (!error.empty()) return complain(error);
  for (const Address& address : addresses)
    if (!udp.can_reach(address))
      return complain("this host has no socket for " + address.text());
  std::vector<std::string> notices;
  error = drop_privileges(options, notices);
  if (!error.empty()) return complain(error);

  Checker checker(options, *made.io, rng, lookups, udp, addresses, questions);
  checker.advance(made.io->wait({}, 0));  // the time
  for (checker.send(); !checker.finished(); checker.send())
    checker.advance(made.io->wait(checker.next_deadline(), checker.expected()));
  return report(options, addresses, listed, checker.replies(), *output.value);
}

}  // namespace ringdns
