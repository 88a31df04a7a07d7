#include "io_epoll.hpp"
#include "io_uring.hpp"
#include "support.hpp"

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
      // What kernels before 6.0 do without.
      {"io_uring, single receives",
       [](uint32_t concurrency) {
         RingFeatures features;
         features.deferred_task_work = features.multishot = features.send_to = false;
         features.skip_success = features.registered_files = false;
         return make_io_uring(concurrency, features);
       }},
      // Queues and buffers that run out all the time.
      {"io_uring, tiny queues",
       [](uint32_t) {
         RingFeatures features;
         features.receive_buffers = 4;
         features.queue_entries = 32;
         return make_io_uring(16, features);
       }},
      {"io_uring, no segmentation",
       [](uint32_t concurrency) {
         RingFeatures features;
         features.segmentation = false;
         features.deferred_task_work = false;
         return make_io_uring(concurrency, features);
       }},
  };
  return list;
}

}  // namespace

const std::vector<Implementation>& implementations() {
  static const std::vector<Implementation> permitted = [] {
    std::vector<Implementation> list;
    for (const Implementation& one : all()) {
      IoResult made = one.make(16);
      if (made.io)
        list.push_back(one);
      else
        std::fprintf(stderr, "%s is skipped: %s\n", one.name.c_str(), made.why.c_str());
    }
    return list;
  }();
  return permitted;
}

}  // namespace contract
