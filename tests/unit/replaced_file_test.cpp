#include <doctest/doctest.h>

#include <stdlib.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "ringdns/replaced_file.hpp"

using namespace ringdns;

namespace {

struct Directory {
  std::string path = "/tmp/ringdns-unit-XXXXXX";
  Directory() { REQUIRE(mkdtemp(path.data())); }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string file() const { return path + "/file"; }
  void write(const std::string& name, std::string_view text) const {
    std::ofstream(path + "/" + name) << text;
  }
  size_t files() const {
    auto all = std::filesystem::directory_iterator(path);
    return static_cast<size_t>(std::distance(begin(all), end(all)));
  }
};

int replace(ReplacedFile& file, std::string_view text) {
  return file.replace({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

std::array<std::string, 2> contents(const ReplacedFile& file) {
  std::array<std::string, 2> read;
  CHECK(file.read(read) == 0);
  return read;
}

}  // namespace

TEST_CASE("what is no plain file is not replaced by one") {
  Directory directory;
  for (std::string_view name : {"pipe", "pipe.tmp"}) {
    std::string path = directory.path + "/" + std::string(name);
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    for (ReplacedFile::Way way : {ReplacedFile::Way::rename, ReplacedFile::Way::in_turn}) {
      ReplacedFile file;
      CHECK(file.open(directory.path + "/pipe", way).find("no plain file") != std::string::npos);
    }
    CHECK(std::filesystem::is_fifo(path));
    std::filesystem::remove(path);
  }
}

TEST_CASE("by renaming, the file is replaced whole, and a temporary one left behind is no matter") {
  Directory directory;
  ReplacedFile file;
  REQUIRE(file.open(directory.file(), ReplacedFile::Way::rename).empty());
  CHECK(contents(file)[0].empty());
  const std::string large(300'000, 'x');
  CHECK(replace(file, large) == 0);
  CHECK(contents(file) == std::array<std::string, 2>{large, ""});
  directory.write("file.tmp", "half of");
  CHECK(contents(file) == std::array<std::string, 2>{large, "half of"});
  CHECK(replace(file, "second") == 0);
  CHECK(contents(file) == std::array<std::string, 2>{"second", ""});
  CHECK(directory.files() == 1);
}

TEST_CASE("in turn, the newer one is never the one that is written") {
  Directory directory;
  directory.write("file", "was there");
  ReplacedFile file;
  REQUIRE(file.open(directory.file(), ReplacedFile::Way::in_turn).empty());
  CHECK(contents(file) == std::array<std::string, 2>{"was there", ""});
  CHECK(replace(file, "first, a long one") == 0);
  CHECK(contents(file) == std::array<std::string, 2>{"was there", "first, a long one"});
  CHECK(replace(file, "second") == 0);
  CHECK(replace(file, "third") == 0);
  CHECK(contents(file) == std::array<std::string, 2>{"second", "third"});

  ReplacedFile again;
  REQUIRE(again.open(directory.file(), ReplacedFile::Way::in_turn).empty());
  again.set_newer(1);
  CHECK(replace(again, "fourth") == 0);
  CHECK(contents(again) == std::array<std::string, 2>{"fourth", "third"});
}

TEST_CASE("a link in the temporary file's place is not followed") {
  Directory directory;
  directory.write("other", "somebody's");
  std::filesystem::create_symlink(directory.path + "/other", directory.file() + ".tmp");
  ReplacedFile in_turn, by_rename;
  CHECK_FALSE(in_turn.open(directory.file(), ReplacedFile::Way::in_turn).empty());
  REQUIRE(by_rename.open(directory.file(), ReplacedFile::Way::rename).empty());
  CHECK(replace(by_rename, "ours") == 0);
  std::string text;
  std::getline(std::ifstream(directory.path + "/other"), text);
  CHECK(text == "somebody's");
}

TEST_CASE("what cannot be written is told, and where it was open, the directory's name is no matter") {
  ReplacedFile file;
  CHECK(file.open("/nonexistent/file", ReplacedFile::Way::rename) ==
        "cannot open /nonexistent/file for writing: No such file or directory");
  Directory directory;
  REQUIRE(file.open(directory.file(), ReplacedFile::Way::rename).empty());
  std::filesystem::rename(directory.path, directory.path + "-moved");
  CHECK(replace(file, "text") == 0);
  std::filesystem::remove_all(directory.path + "-moved");
  CHECK(replace(file, "text") == ENOENT);
}
