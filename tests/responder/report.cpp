#include "report.hpp"

#include <fcntl.h>
#include <linux/sock_diag.h>

#include <algorithm>
#include <map>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

namespace responder {
namespace {

// Everything counted for one listener, or for all together.
struct Sums {
  std::map<View, uint64_t> numbers;
  std::map<uint16_t, uint64_t> edns_sizes;
  std::vector<uint64_t> hits;
  uint64_t queries_least = UINT64_MAX, queries_most = 0, ended = 0, queries = 0;
};

uint64_t kernel_drops(int fd) {
  uint32_t memory[SK_MEMINFO_VARS] = {};
  socklen_t length = sizeof memory;
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length) != 0) return 0;
  return memory[SK_MEMINFO_DROPS];
}

Sums sums_of(const Listener& listener, const TcpServer& tcp_server) {
  const ListenerCounts& counts = listener.state.counts;
  const UdpCounts& udp = listener.udp_counts;
  TcpCounts tcp = tcp_server.counts_with_open(listener);
  Sums sums;
  sums.numbers = {
      {"udp_queries", counts.udp_queries},
      {"udp_replies", counts.udp_replies},
      {"udp_kernel_drops", kernel_drops(listener.udp.get())},
      {"udp_send_errors", udp.send_errors},
      {"udp_identical_outstanding", udp.identical_outstanding},
      {"udp_identical_same_port", udp.identical_same_port},
      {"udp_identical_resent", udp.identical_resent},
      {"lost_in", counts.lost_in},
      {"lost_out", counts.lost_out},
      {"bad_queries", counts.bad_queries},
      {"no_rule", counts.no_rule},
      {"tcp_accepts", tcp.accepts},
      {"tcp_open_now", tcp.open_now},
      {"tcp_open_max", tcp.open_most},
      {"tcp_queries", counts.tcp_queries},
      {"tcp_replies", counts.tcp_replies},
      {"tcp_pipelined_max", tcp.pipelined_most},
      {"fin_by_client", tcp.fin_by_client},
      {"fin_by_server", tcp.fin_by_server},
      {"rst_by_client", tcp.rst_by_client},
      {"rst_by_server", tcp.rst_by_server},
  };
  for (const auto& entry : counts.edns_sizes.entries()) sums.edns_sizes[entry.size] = entry.count;
  for (const auto& rule : listener.state.rules) sums.hits.push_back(rule.hits);
  sums.queries_least = tcp.queries_least;
  sums.queries_most = tcp.queries_most;
  sums.ended = tcp.ended;
  sums.queries = tcp.queries;
  return sums;
}

// What was pipelined on one connection is the largest over all listeners; all else adds up, but
// for the connections open at once, which only the server of them all knows.
void add(Sums& total, const Sums& one) {
  for (const auto& [name, value] : one.numbers) {
    uint64_t& sum = total.numbers[name];
    if (name == "tcp_pipelined_max") sum = std::max(sum, value);
    else sum += value;
  }
  for (const auto& [size, count] : one.edns_sizes) total.edns_sizes[size] += count;
  total.hits.resize(one.hits.size());
  for (size_t i = 0; i < one.hits.size(); ++i) total.hits[i] += one.hits[i];
  total.queries_least = std::min(total.queries_least, one.queries_least);
  total.queries_most = std::max(total.queries_most, one.queries_most);
  total.ended += one.ended;
  total.queries += one.queries;
}

void append_string(std::string& out, View text) {
  out += '"';
  for (char c : text) {
    unsigned char octet = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += '\\', out += c;
    else if (octet >= 0x20 && octet < 0x7f) out += c;
    else out += '?';
  }
  out += '"';
}

void append_sums(std::string& out, const Sums& sums, const Plan& plan) {
  for (const auto& [name, value] : sums.numbers) {
    append_string(out, name);
    out += ": " + std::to_string(value) + ", ";
  }
  double ended = static_cast<double>(std::max<uint64_t>(sums.ended, 1));
  double mean = static_cast<double>(sums.queries) / ended;
  out += "\"queries_per_connection\": {\"min\": " +
         std::to_string(sums.ended ? sums.queries_least : 0) +
         ", \"max\": " + std::to_string(sums.queries_most) + ", \"mean\": " + std::to_string(mean) +
         "}, \"edns_sizes\": {";
  View comma;
  for (const auto& [size, count] : sums.edns_sizes) {
    out += comma;
    out += '"' + (size ? std::to_string(size) : "none") + "\": " + std::to_string(count);
    comma = ", ";
  }
  out += "}, \"rule_hits\": {";
  comma = {};
  for (size_t i = 0; i < sums.hits.size(); ++i) {
    out += comma;
    out += '"' + std::to_string(plan.rules[i]->line) + "\": " + std::to_string(sums.hits[i]);
    comma = ", ";
  }
  out += "}";
}

}  // namespace

std::string make_report(const Plan& plan, const std::vector<Listener>& listeners,
                        const TcpServer& tcp) {
  Sums total;
  std::string each;
  for (const Listener& listener : listeners) {
    Sums sums = sums_of(listener, tcp);
    add(total, sums);
    each += each.empty() ? "\n    {\"address\": " : ",\n    {\"address\": ";
    append_string(each, address_text(listener.address));
    each += ", ";
    append_sums(each, sums, plan);
    each += "}";
  }
  total.numbers["tcp_open_max"] = tcp.open_most();
  std::string out = "{\n  \"totals\": {";
  append_sums(out, total, plan);
  out += "},\n  \"rules\": [";
  for (size_t i = 0; i < plan.rules.size(); ++i) {
    out += i ? ",\n    {\"line\": " : "\n    {\"line\": ";
    out += std::to_string(plan.rules[i]->line) + ", \"text\": ";
    append_string(out, plan.rules[i]->text);
    out += ", \"hits\": " + std::to_string(total.hits[i]) + "}";
  }
  return out + "\n  ],\n  \"listeners\": [" + each + "\n  ]\n}\n";
}

bool write_file(const std::string& path, View content) {
  std::string aside = path + ".new";
  Fd fd(::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd.valid()) return false;
  while (!content.empty()) {
    ssize_t written = ::write(fd.get(), content.data(), content.size());
    if (written < 0) return false;
    content.remove_prefix(static_cast<size_t>(written));
  }
  return ::rename(aside.c_str(), path.c_str()) == 0;
}

}  // namespace responder
