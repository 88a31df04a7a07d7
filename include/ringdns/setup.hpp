// Level 6: what happens once, before a run: files, signals, privileges, randomness.
#pragma once

#include <optional>
#include <string>

#include "ringdns/base.hpp"
#include "ringdns/options.hpp"
#include "ringdns/resolvers.hpp"
#include "ringdns/rng.hpp"

namespace ringdns {

// A value, or one line that says why there is none.
template <class T>
struct Outcome {
  std::optional<T> value;
  std::string error;
};

// "what: why", of an errno.
std::string failure(const std::string& what, int error);

// "-" is stdin. A directory is an error.
Outcome<Fd> open_input(const std::string& path);
// "-" is stdout. Created, emptied, or, to keep what is there, appended to; readable by all, as umask
// permits.
Outcome<Fd> open_output(const std::string& path, bool keep = false);
Outcome<Fd> open_standard_error();
// Regular files only; 0 for anything else.
uint64_t file_size(const Fd& fd);

// What would be written to a file that is read, or that something else is written to; empty: nothing.
std::string shared_file(const Options& options);

// Reads and parses the list that `-r` names.
Outcome<ResolverList> read_resolvers(const std::string& source);
// Reads a file of addresses of the same form; an error names what they are.
Outcome<ResolverList> read_addresses(const std::string& path, const std::string& what);

// From here on SIGINT and SIGTERM are read from this descriptor, and SIGPIPE and SIGXFSZ are
// ignored: a closed pipe or a file size limit is an error of the write.
Outcome<Fd> take_signals();

// From here on an allocation that fails (RLIMIT_AS) ends the process, with a line that says why.
void end_without_memory();

// As many descriptors as the system lets us have.
void raise_descriptor_limit();

// When root: become the user and group named, for good. Returns what went wrong. A host without
// such an account gets the numeric nobody (65534), said in notices.
std::string drop_privileges(const Options& options, std::vector<std::string>& notices);

// From here on this process is killed with the one that started it.
void die_with_parent();

Rng::Seed random_seed();

}  // namespace ringdns
