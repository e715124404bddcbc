// SPDX-License-Identifier: Apache-2.0
#include "io/file_system.h"
#include "io/local_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "base/error.h"
#include "in_folder.h"

namespace ctr {
namespace {

namespace fs = std::filesystem;

class File : public InFolder {
 protected:
  void put(const std::string& name, const std::string& text) {
    write_atomically(at(name), [&](OutputFile& f) { f.write(text.data(), text.size()); });
  }
  std::string get(const std::string& name) const { return local_files()->read(at(name), 1 << 24); }
  std::vector<std::string> entries() const {
    std::vector<std::string> names;
    for (const auto& e : fs::directory_iterator(folder_)) names.push_back(e.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
};

template <class F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::io);
    return e.what();
  }
  return "no error";
}

using Names = std::vector<std::string>;

TEST_F(File, ReadsWhatWasWritten) {
  std::string text(3 << 20, 'x');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7);
  write_atomically(at("a"), [&](OutputFile& f) {
    for (size_t i = 0, n = 1; i < text.size(); i += n, n = n * 3 + 1)
      f.write(text.data() + i, std::min(n, text.size() - i));
  });
  EXPECT_EQ(get("a"), text);
  const LocalFile file(at("a"));
  EXPECT_EQ(file.size(), int64_t{3} << 20);
  char two[4] = {};
  EXPECT_EQ(file.read_at(file.size() - 2, two, 4), 2u);
  EXPECT_EQ(two[1], text.back());
  EXPECT_EQ(file.read_at(file.size() + 5, two, 4), 0u);
}

TEST_F(File, ErrorsNamePathAndReason) {
  EXPECT_EQ(message_of([&] { LocalFile f(at("none")); }),
            "cannot open \"" + at("none") + "\": No such file or directory");
  EXPECT_NE(message_of([&] { LocalFile f(folder_.string()); }).find("not a regular file"), std::string::npos);
  EXPECT_NE(message_of([&] {
              LocalOutputFile f("/dev/full");
              f.write("x", 1);
              f.close();
            }).find("No space left on device"),
            std::string::npos);
  put("file", "x");
  EXPECT_NE(message_of([&] { put("file/below", "y"); }).find("Not a directory"), std::string::npos);
  EXPECT_NE(message_of([&] { make_parents(at("file/below/more")); }).find("cannot create"),
            std::string::npos);
  EXPECT_NE(message_of([&] { local_files()->read(at("file"), 0); }).find("has 1 bytes"), std::string::npos);
}

TEST_F(File, PipesAndSocketsAreRefusedAtOnce) {
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0666), 0);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{AF_UNIX, ""};
  ASSERT_LT(at("socket").size(), sizeof address.sun_path);
  at("socket").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const std::string reason = "not a regular file";
  for (const char* name : {"pipe", "socket"}) {
    EXPECT_NE(message_of([&] { get(name); }).find(reason), std::string::npos) << name;
    EXPECT_NE(message_of([&] { LocalOutputFile f(at(name)); }).find(reason), std::string::npos) << name;
    EXPECT_NE(message_of([&] { put(name, "x"); }).find(reason), std::string::npos) << name;
  }
  ::close(fd);
  EXPECT_NE(message_of([&] { local_files()->read("/dev/zero", 1); }).find(reason), std::string::npos);
  EXPECT_EQ(entries(), (Names{"pipe", "socket"}));
}

TEST_F(File, DevicesAreWrittenAndStay) {
  write_atomically("/dev/null", [](OutputFile& f) { f.write("x", 1); });
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(File, ALinkStaysALink) {
  put("a", "old");
  fs::create_symlink("a", at("link"));
  fs::create_symlink("link", at("second"));
  fs::create_symlink("missing", at("dangling"));
  put("second", "new");
  put("dangling", "made");
  EXPECT_EQ(get("a"), "new");
  EXPECT_EQ(get("missing"), "made");
  EXPECT_TRUE(fs::is_symlink(at("second")) && fs::is_symlink(at("link")) && fs::is_symlink(at("dangling")));
}

TEST_F(File, WritersOfOneFileFollowEachOther) {
  const std::string texts[] = {std::string(1 << 16, 'a'), std::string(1 << 16, 'b')};
  std::vector<std::thread> writers;
  for (const std::string& text : texts)
    writers.emplace_back([&] {
      for (int i = 0; i < 30; ++i) put("x", text);
    });
  for (auto& writer : writers) writer.join();
  EXPECT_TRUE(get("x") == texts[0] || get("x") == texts[1]);
  EXPECT_EQ(entries(), Names{"x"});
}

TEST_F(File, AFailedWriteLeavesTheOldContent) {
  put("a", "old");
  EXPECT_THROW(write_atomically(at("a"),
                                [&](OutputFile& f) {
                                  f.write("new", 3);
                                  fail(ErrorKind::internal, "stop");
                                }),
               Error);
  // A file size limit behaves like a full disk: the write fails half way.
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit;
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{4096, limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string message = message_of([&] { put("a", std::string(100000, 'n')); });
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(message, "cannot write \"" + at("a") + "\": File too large");
  EXPECT_EQ(get("a"), "old");
  EXPECT_EQ(entries(), Names{"a"});
}

}  // namespace
}  // namespace ctr
