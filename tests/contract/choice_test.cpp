// make_io(): which implementation one gets.
#include "support.hpp"

using namespace contract;

TEST_CASE("epoll is what one gets who asks for it") {
  IoResult made = make_io(IoChoice::epoll, 100);
  REQUIRE(made.io);
  CHECK(made.io->name() == std::string("epoll"));
  CHECK(made.why.empty());
}

TEST_CASE("by itself it is io_uring, else epoll with one line of explanation") {
  IoResult ring = make_io(IoChoice::io_uring, 100);
  IoResult automatic = make_io(IoChoice::automatic, 100);
  REQUIRE(automatic.io);
  if (ring.io) {
    CHECK(ring.io->name() == std::string("io_uring"));
    CHECK(automatic.io->name() == std::string("io_uring"));
    CHECK(automatic.why.empty());
  } else {
    CHECK(automatic.io->name() == std::string("epoll"));
    CHECK(!ring.why.empty());
    CHECK(automatic.why.find(ring.why) == 0);
    CHECK(automatic.why.find('\n') == std::string::npos);
  }
}
