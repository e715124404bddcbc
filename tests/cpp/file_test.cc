// SPDX-License-Identifier: Apache-2.0
#include "io/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>

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
  std::string get(const std::string& name) const { return read_file(at(name), 1 << 24); }
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
  const RandomAccessFile file(at("a"));
  EXPECT_EQ(file.size(), int64_t{3} << 20);
  char two[4] = {};
  EXPECT_EQ(file.read_at(file.size() - 2, two, 4), 2u);
  EXPECT_EQ(two[1], text.back());
  EXPECT_EQ(file.read_at(file.size() + 5, two, 4), 0u);
}

TEST_F(File, ErrorsNamePathAndReason) {
  EXPECT_EQ(message_of([&] { RandomAccessFile f(at("none")); }),
            "cannot open \"" + at("none") + "\": No such file or directory");
  EXPECT_NE(message_of([&] { RandomAccessFile f(folder_.string()); }).find("not a regular file"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              OutputFile f("/dev/full");
              f.write("x", 1);
              f.close();
            }).find("No space left on device"),
            std::string::npos);
  put("file", "x");
  EXPECT_NE(message_of([&] { put("file/below", "y"); }).find("Not a directory"), std::string::npos);
  EXPECT_NE(message_of([&] { make_parents(at("file/below/more")); }).find("cannot create"),
            std::string::npos);
  EXPECT_NE(message_of([&] { read_file(at("file"), 0); }).find("has 1 bytes"), std::string::npos);
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
