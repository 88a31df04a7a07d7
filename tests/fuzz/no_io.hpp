// The seam without a kernel: nothing is opened, nothing comes. Targets override what they need.
#pragma once

#include "ringdns/io.hpp"

namespace fuzz {

class NoIo : public ringdns::Io {
 public:
  const char* name() const override { return "none"; }
  OpenedSocket open_datagram_socket(const ringdns::SocketOptions&, ringdns::Token) override {
    return {};
  }
  void send_datagrams(std::span<const ringdns::Datagram>) override {}
  ringdns::StreamId open_stream(ringdns::Fd) override { return {}; }
  void read(ringdns::StreamId, ringdns::MutableBytes, ringdns::Token) override {}
  void write(ringdns::StreamId, ringdns::Bytes, ringdns::Token) override {}
  void close_stream(ringdns::StreamId) override {}
  OpenedConnection connect(const ringdns::ConnectOptions&, ringdns::Token) override { return {}; }
  void set_receiving(ringdns::StreamId, bool) override {}
  void close_connection(ringdns::StreamId, ringdns::CloseKind) override {}
  ringdns::Turn wait(ringdns::Instant, uint32_t) override { return {}; }
};

}  // namespace fuzz
