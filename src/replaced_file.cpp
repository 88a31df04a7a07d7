#include "ringdns/replaced_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace ringdns {

namespace {

constexpr mode_t readable_by_all = 0666;  // as umask permits
// A link that somebody else put there is not followed: the directory may be everybody's.
constexpr int own = O_CLOEXEC | O_NOFOLLOW;

}  // namespace

int read_all(const Fd& file, std::string& out) {
  constexpr size_t step = 256 * 1024;
  for (;;) {
    size_t size = out.size();
    out.resize(size + step);
    ssize_t got = ::read(file.get(), out.data() + size, step);
    out.resize(size + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return 0;
    if (got < 0 && errno != EINTR) return errno;
  }
}

int write_all(const Fd& file, Bytes bytes) {
  while (!bytes.empty()) {
    ssize_t written = write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return 0;
}

std::string ReplacedFile::open(const std::string& path, Way way) {
  auto failure = [&] { return "cannot open " + path + " for writing: " + std::strerror(errno); };
  size_t slash = path.rfind('/');
  std::string directory = slash == path.npos ? "." : path.substr(0, slash + 1);
  names_[0] = slash == path.npos ? path : path.substr(slash + 1);
  names_[1] = names_[0] + ".tmp";
  way_ = way;
  directory_ = Fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory_.valid()) return failure();
  // A device, say, would be replaced by a file.
  for (const std::string& name : names_) {
    struct stat there {};
    bool exists = fstatat(directory_.get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
    bool removed = S_ISLNK(there.st_mode) && &name == &names_[1] && way == Way::rename;
    if (exists && !S_ISREG(there.st_mode) && !removed)
      return "cannot write to " + path + ": there is something that is no plain file";
  }
  if (way == Way::rename) return {};
  for (size_t i = 0; i < names_.size(); ++i) {
    open_[i] = Fd(openat(directory_.get(), names_[i].c_str(), O_RDWR | O_CREAT | own,
                         readable_by_all));
    if (!open_[i].valid()) return failure();
  }
  return {};
}

int ReplacedFile::read(std::array<std::string, 2>& contents) const {
  for (size_t i = 0; i < names_.size(); ++i) {
    contents[i].clear();
    Fd file(openat(directory_.get(), names_[i].c_str(), O_RDONLY | own));
    if (!file.valid() && errno == ENOENT) continue;
    if (!file.valid()) return errno;
    if (int error = read_all(file, contents[i])) return error;
  }
  return 0;
}

int ReplacedFile::replace(Bytes content) {
  return way_ == Way::rename ? rename_over(content) : rewrite(content);
}

int ReplacedFile::rename_over(Bytes content) {
  const char* temporary = names_[1].c_str();
  if (unlinkat(directory_.get(), temporary, 0) != 0 && errno != ENOENT) return errno;
  Fd file(openat(directory_.get(), temporary, O_WRONLY | O_CREAT | O_EXCL | own, readable_by_all));
  if (!file.valid()) return errno;
  if (int error = write_all(file, content)) return error;
  if (fdatasync(file.get()) != 0) return errno;
  int directory = directory_.get();
  return renameat(directory, temporary, directory, names_[0].c_str()) == 0 ? 0 : errno;
}

int ReplacedFile::rewrite(Bytes content) {
  const Fd& file = open_[1 - newer_];
  if (ftruncate(file.get(), 0) != 0 || lseek(file.get(), 0, SEEK_SET) != 0) return errno;
  if (int error = write_all(file, content)) return error;
  if (fdatasync(file.get()) != 0) return errno;
  newer_ = 1 - newer_;
  return 0;
}

}  // namespace ringdns
