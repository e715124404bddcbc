// SPDX-License-Identifier: Apache-2.0
#include "io/local_transaction.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/interrupt.h"
#include "in_folder.h"

namespace ctr {
namespace {

namespace fs = std::filesystem;

class TransactionTest : public InFolder {
 protected:
  static void put(OutputFile& file, const std::string& text) { file.write(text.data(), text.size()); }
  static void create(const std::string& path, const std::string& text) {
    LocalOutputFile file(path);
    put(file, text);
    file.close();
  }
  static std::string content(const std::string& path) { return local_files()->read(path, 1000); }

  void add_both(Transaction& t, const std::string& text) const {
    t.add_file(at("a"), [&](OutputFile& f) { put(f, text); });
    t.add_directory(at("d"), [&](const Transaction::CreateFile& make) {
      const auto file = make("x");
      put(*file, text);
      file->close();
    });
  }
};

TEST_F(TransactionTest, CommitReplacesFilesAndDirectories) {
  for (const char* text : {"old", "new"}) {
    LocalTransaction t(at("save"));
    add_both(t, text);
    t.commit();
    EXPECT_EQ(content(at("a")), text);
    EXPECT_EQ(content(at("d/x")), text);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()),
            2);  // nothing left behind
}

TEST_F(TransactionTest, WithoutCommitTheOldContentStays) {
  create(at("a"), "old");
  {
    LocalTransaction t(at("save"));
    add_both(t, "new");
  }
  EXPECT_EQ(content(at("a")), "old");
  EXPECT_FALSE(exists(at("d")));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(TransactionTest, AnErrorWhileFillingLeavesEverything) {
  create(at("a"), "old");
  LocalTransaction t(at("save"));
  EXPECT_THROW(t.add_file(at("a"), [](OutputFile&) { fail(ErrorKind::io, "disk full"); }), Error);
  EXPECT_EQ(content(at("a")), "old");
}

TEST_F(TransactionTest, RecoveryCompletesAJournaledCommit) {
  create(at("a"), "old");
  create(at("a.tmp"), "new");
  fs::create_directories(at("d"));
  create(at("d/x"), "old");
  fs::create_directories(at("d.tmp"));
  create(at("d.tmp/x"), "new");
  create(at("save.journal"), "hugectr transaction 1\na.tmp\ta\nd.tmp\td\nend\n");
  recover_transactions(at("d"));
  EXPECT_EQ(content(at("a")), "new");
  EXPECT_EQ(content(at("d/x")), "new");
  EXPECT_FALSE(exists(at("save.journal")));
}

TEST_F(TransactionTest, RecoveryIgnoresForeignAndCutJournals) {
  create(at("a"), "old");
  create(at("a.tmp"), "new");
  create(at("cut.journal"), "hugectr transaction 1\na.tmp\ta\n");
  create(at("outside.journal"), "hugectr transaction 1\n../a.tmp\t../a\nend\n");
  create(at("foreign.journal"), "something else");
  recover_transactions(at("a"));
  EXPECT_EQ(content(at("a")), "old");
  EXPECT_TRUE(exists(at("foreign.journal")));
}

TEST_F(TransactionTest, RecoveryLeavesOtherTransactionsAlone) {
  create(at("a"), "old");
  create(at("a.tmp"), "new");
  create(at("save.journal"), "hugectr transaction 1\na.tmp\ta\nend\n");
  create(at("large.journal"), std::string(size_t{2} << 20, 'x'));
  fs::create_directories(at("folder.journal"));
  recover_transactions(at("b"));
  EXPECT_EQ(content(at("a")), "old");
  EXPECT_TRUE(exists(at("save.journal")));
}

TEST_F(TransactionTest, ANewSaveCompletesAnInterruptedOneFirst) {
  create(at("a"), "old");
  create(at("a.tmp"), "new");
  create(at("save.journal"), "hugectr transaction 1\na.tmp\ta\nend\n");
  { LocalTransaction t(at("save")); }
  EXPECT_EQ(content(at("a")), "new");
  EXPECT_FALSE(exists(at("save.journal")));
}

TEST_F(TransactionTest, AStaleJournalDoesNotPublishHalfOfTheNextSave) {
  create(at("a"), "old");
  create(at("save.journal"), "hugectr transaction 1\na.tmp\ta\nend\n");  // carried out, not yet removed
  if (const pid_t child = ::fork(); child == 0) {
    LocalTransaction t(at("save"));
    t.add_file(at("a"), [](OutputFile& f) { put(f, "new"); });
    ::_exit(0);  // killed before commit
  } else {
    ::waitpid(child, nullptr, 0);
  }
  recover_transactions(at("a"));
  EXPECT_EQ(content(at("a")), "old");
}

TEST_F(TransactionTest, SaversAndRecoverersOfOneFolderRunTogether) {
  std::atomic<bool> done = false;
  std::thread loader([&] {
    while (!done) {
      recover_transactions(at("a"));
      recover_transactions(at("d"));
    }
  });
  const auto save = [&](const std::string& name, const std::string& text) {
    for (int i = 0; i < 50; ++i) {
      LocalTransaction t(at(name));
      add_both(t, text);
      t.commit();
    }
  };
  std::thread other(save, "save", "other");
  save("save", "new");
  other.join();
  done = true;
  loader.join();
  EXPECT_EQ(content(at("a")), content(at("d/x")));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 2);
}

TEST_F(TransactionTest, KindOfTheTargetMustNotChange) {
  fs::create_directories(at("a"));
  LocalTransaction t(at("save"));
  EXPECT_THROW(t.add_file(at("a"), [](OutputFile&) {}), Error);
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0666), 0);
  EXPECT_THROW(t.add_file(at("pipe"), [](OutputFile&) {}), Error);
}

TEST_F(TransactionTest, OtherFilesInADirectoryStay) {
  fs::create_directories(at("d/notes"));
  create(at("d/notes/day"), "fine");
  create(at("d/readme"), "mine");
  create(at("d/x"), "old");
  LocalTransaction t(at("save"));
  add_both(t, "new");
  t.commit();
  EXPECT_EQ(content(at("d/x")), "new");
  EXPECT_EQ(content(at("d/readme")), "mine");
  EXPECT_EQ(content(at("d/notes/day")), "fine");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 2);
}

// What a crash after each rename of a commit leaves.
TEST_F(TransactionTest, RecoveryKeepsOtherFilesWhereverTheCommitStopped) {
  for (int stop = 0; stop < 4; ++stop) {
    fs::create_directories(at("d"));
    for (const char* name : {"x", "readme", "notes"}) create(at("d/") + name, "old");
    fs::create_directories(at("d.tmp"));
    create(at("d.tmp/x"), "new");
    create(at("save.journal"), "hugectr transaction 1\nd.tmp\td\nend\n");
    if (stop > 0) fs::rename(at("d"), at(".d.replaced"));
    if (stop > 1) fs::rename(at("d.tmp"), at("d"));
    if (stop > 2) fs::rename(at(".d.replaced/readme"), at("d/readme"));
    recover_transactions(at("d"));
    EXPECT_EQ(content(at("d/x")), "new") << stop;
    EXPECT_EQ(content(at("d/readme")), "old") << stop;
    EXPECT_EQ(content(at("d/notes")), "old") << stop;
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1) << stop;
    fs::remove_all(at("d"));
  }
}

TEST_F(TransactionTest, JournalsThatArePipesAreNone) {
  create(at("a"), "old");
  ASSERT_EQ(::mkfifo(at("other.journal").c_str(), 0666), 0);
  recover_transactions(at("a"));
  EXPECT_EQ(content(at("a")), "old");
  EXPECT_THROW(LocalTransaction(at("other")), Error);
}

TEST_F(TransactionTest, AWaitForALockCanBeInterrupted) {
  std::optional<LocalTransaction> first(at("save"));
  set_interrupt_check([] { throw std::runtime_error("interrupted"); });
  EXPECT_THROW(LocalTransaction(at("save")), std::runtime_error);
  set_interrupt_check({});
  std::thread second([&] {
    LocalTransaction t(at("save"));
    add_both(t, "second");
    t.commit();
  });
  add_both(*first, "first");
  first->commit();
  first.reset();
  second.join();
  EXPECT_EQ(content(at("a")), "second");
}

}  // namespace
}  // namespace ctr
