// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "in_folder.h"
#include "io/object_store.h"
#include "memory_files.h"

namespace ctr {
namespace {

struct Died : std::runtime_error {
  Died() : runtime_error("the process died") {}
};

// A store in memory whose process dies after some more requests that change something.
class MemoryStore final : public ObjectStore {
 public:
  std::unique_ptr<RandomAccessFile> open(const std::string& path) const override { return files.open(path); }
  Kind kind(const std::string& path) const override {
    return files.is_directory(path) ? Kind::directory : files.exists(path) ? Kind::file : Kind::nothing;
  }
  std::vector<std::string> list(const std::string& directory) const override { return files.list(directory); }
  std::unique_ptr<OutputFile> create(const std::string& path) const override {
    live();
    return std::make_unique<Upload>(*this, path);
  }
  void move(const std::string& from, const std::string& to) const override {
    live();
    const std::string content = files.read(from, 1 << 20);
    files.write(to, [&](OutputFile& file) { file.write(content.data(), content.size()); });
    live();  // a copy, then a removal
    files.remove_all(from);
  }
  void remove(const std::string& path) const override {
    live();
    files.remove_all(path);
  }

  MemoryFiles files;
  mutable int requests_left = 1000000;

 private:
  class Upload final : public OutputFile {
   public:
    Upload(const MemoryStore& store, std::string path) : store_(store), path_(std::move(path)) {}

   private:
    void put(const void* data, size_t bytes) override {
      content_.append(static_cast<const char*>(data), bytes);
    }
    void finish() override {
      store_.live();
      store_.files.write(path_, [&](OutputFile& file) { file.write(content_.data(), content_.size()); });
    }
    const MemoryStore& store_;
    std::string path_, content_;
  };

  void live() const {
    if (requests_left-- <= 0) throw Died();
  }
};

void put(OutputFile& file, const std::string& text) { file.write(text.data(), text.size()); }

void save(const FileSystem& files, const std::string& text) {
  const auto together = files.begin("far://d/s");
  together->add_file("far://d/a", [&](OutputFile& file) { put(file, text); });
  together->add_directory("far://d/e", [&](const Transaction::CreateFile& create) {
    const auto x = create("x"), y = create("y");
    put(*x, text);
    put(*y, text);
    x->close();
    y->close();
  });
  together->commit();
}

MemoryFiles::Contents saved(const std::string& text) {
  return {{"far://d/a", text}, {"far://d/e/x", text}, {"far://d/e/y", text}};
}

TEST(RemoteFiles, ASaveIsWholeWhereverTheProcessDies) {
  int whole = 0;
  for (int requests = 0; whole < 2; ++requests) {
    const auto store = std::make_shared<MemoryStore>();
    save(*make_remote_files(store), "old");
    ASSERT_EQ(store->files.contents(), saved("old"));
    store->requests_left = requests;
    try {
      save(*make_remote_files(store), "new");
      ++whole;
    } catch (const Died&) {
    }
    store->requests_left = 1000000;
    const Files reader = make_remote_files(store);
    reader->recover("far://d/e");
    auto contents = store->files.contents();
    std::erase_if(contents, [](const auto& file) { return file.first.ends_with(".tmp"); });
    EXPECT_TRUE(contents == saved("old") || contents == saved("new")) << requests;
    save(*reader, "next");  // takes up what was left
    EXPECT_EQ(store->files.contents(), saved("next")) << requests;
  }
}

TEST(RemoteFiles, WritingReplacesOrLeaves) {
  const auto store = std::make_shared<MemoryStore>();
  const Files files = make_remote_files(store);
  files->write("far://f", [](OutputFile& file) { put(file, "old"); });
  EXPECT_THROW(files->write("far://f",
                            [](OutputFile& file) {
                              put(file, "half");
                              fail(ErrorKind::io, "no more");
                            }),
               Error);
  EXPECT_EQ(files->read("far://f", 100), "old");
  files->append("far://f", " and new");
  files->append("far://g", "begun");
  EXPECT_EQ(files->read("far://f", 100), "old and new");
  EXPECT_EQ(files->read("far://g", 100), "begun");
  EXPECT_THROW(files->read("far://f", 5), Error);
}

TEST(RemoteFiles, JournalsThatLeadElsewhereAreNone) {
  for (const char* line : {"../b", "/b", "x/../../b", ""}) {
    const auto store = std::make_shared<MemoryStore>();
    const Files files = make_remote_files(store);
    for (const char* path : {"far://b.tmp", "far://d/b.tmp", "far://d/x/b.tmp"})
      store->files.write(path, [](OutputFile& file) { put(file, "bad"); });
    const std::string text = fmt::format("hugectr remote transaction 1\n{}\nend\n", line);
    store->files.write("far://d/s.journal", [&](OutputFile& file) { put(file, text); });
    const auto before = store->files.contents();
    files->recover("far://d/b");
    EXPECT_EQ(store->files.contents(), before) << line;
  }
}

class ByScheme : public InFolder {};

TEST_F(ByScheme, PathsDecideWhereFilesAre) {
  const auto store = std::make_shared<MemoryStore>();
  const Files files = make_files_by_scheme(make_remote_files(store));
  for (const std::string& path : {std::string("far://x"), at("x"), at("run:1")})
    files->write(path, [&](OutputFile& file) { put(file, path); });
  EXPECT_EQ(store->files.contents(), (MemoryFiles::Contents{{"far://x", "far://x"}}));
  EXPECT_EQ(files->read("far://x", 100), "far://x");
  EXPECT_EQ(local_files()->read(at("run:1"), 1000), at("run:1"));
}

}  // namespace
}  // namespace ctr
