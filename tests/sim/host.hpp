// The simulated host's streams: the names on stdin, what is written, and signals.
#pragma once

#include <string>

#include "kernel.hpp"
#include "scenario.hpp"

namespace sim {

// Shared by a seed's streams.
struct Host {
  Host(const Scenario& of) : scenario(of), faults(of.faults), dice(of.seed, Stream::host) {}
  const Scenario& scenario;
  Faults faults;
  Dice dice;
};

class Input final : public Channel {
 public:
  explicit Input(Host& host) : host_(host) {}
  Instant ready(Instant now) override;
  int32_t read(MutableBytes into) override;

 private:
  Host& host_;
  size_t at_ = 0;
};

// stdout, the error log, or stderr.
class Output final : public Channel {
 public:
  Output(Host& host, double Faults::*slow) : host_(host), slow_(slow) {}
  // Writing fails behind so many octets.
  void fail_at(size_t octets, int error) { fail_at_ = octets, error_ = error; }
  Instant ready(Instant now) override;
  int32_t write(Bytes bytes) override;

  const std::string& text() const { return text_; }
  size_t whole_writes() const { return whole_writes_; }  // octets of those that succeeded

 private:
  Host& host_;
  double Faults::*slow_;
  std::string text_;
  size_t fail_at_ = SIZE_MAX, whole_writes_ = 0;
  int error_ = 0;
  bool failed_ = false;
};

class Signals final : public Channel {
 public:
  explicit Signals(const Scenario& scenario) : scenario_(scenario) {}
  Instant ready(Instant now) override;
  int32_t read(MutableBytes into) override;

 private:
  const Scenario& scenario_;
  size_t next_ = 0;
};

}  // namespace sim
