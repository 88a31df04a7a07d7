#include "ringdns/io.hpp"

namespace ringdns {

IoResult make_io(IoChoice choice, uint32_t concurrency) {
  if (choice == IoChoice::epoll) return make_io_epoll(concurrency);
  IoResult ring = make_io_uring(concurrency);
  if (ring.io || choice == IoChoice::io_uring) return ring;
  IoResult epoll = make_io_epoll(concurrency);
  epoll.why = epoll.io ? ring.why + "; using epoll" : ring.why + "; " + epoll.why;
  return epoll;
}

}  // namespace ringdns
