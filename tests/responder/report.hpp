// What happened, as JSON, for tests to hold against what the client claims.
#pragma once

#include "tcp_server.hpp"

namespace responder {

std::string make_report(const Plan& plan, const std::vector<Listener>& listeners,
                        const TcpServer& tcp);

// The whole file or nothing: written aside, then renamed. False, with errno, when it fails.
bool write_file(const std::string& path, View content);

}  // namespace responder
