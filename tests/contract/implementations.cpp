#include "io_epoll.hpp"
#include "io_uring.hpp"
#include "simulated.hpp"

namespace contract {

namespace {

const std::vector<Implementation>& all() {
  static const std::vector<Implementation> list = {
      {"epoll", [](uint32_t concurrency) { return make_io_epoll(concurrency); }},
      // With nothing that newer kernels have; pipes by readiness alone.
      {"epoll of an old kernel",
       [](uint32_t concurrency) {
         return make_io_epoll(concurrency, EpollFeatures{false, false, false, false});
       }},
      {"io_uring", [](uint32_t concurrency) { return make_io_uring(concurrency); }},
      {"io_uring without multishot",
       [](uint32_t concurrency) { return make_io_uring(concurrency, {.multishot = false}); }},
      {"io_uring of an old kernel",
       [](uint32_t concurrency) {
         RingFeatures least{false, false, false, false, false, false, 0, 0};
         return make_io_uring(concurrency, least);
       }},
      {"io_uring with next to no memory",
       [](uint32_t concurrency) {
         return make_io_uring(concurrency, {.receive_buffers = 4, .queue_entries = 32});
       }},
      // Which is what makes the simulation's word worth something.
      {"simulation", [](uint32_t) { return IoResult{simulated()->make_io(), {}}; }, true},
  };
  return list;
}

}  // namespace

const std::vector<Implementation>& implementations() {
  static const std::vector<Implementation> permitted = [] {
    std::vector<Implementation> list;
    for (const Implementation& one : all()) {
      IoResult made;
      if (!one.simulated) made = one.make(16);
      if (made.io || one.simulated)
        list.push_back(one);
      else
        std::fprintf(stderr, "%s is skipped: %s\n", one.name.c_str(), made.why.c_str());
    }
    return list;
  }();
  return permitted;
}

}  // namespace contract
