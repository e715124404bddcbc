// SPDX-License-Identifier: Apache-2.0
#include "data/reader.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "in_folder.h"
#include "io/local_file.h"
#include "memory_files.h"

namespace {

std::atomic<int> threads_left{INT_MAX};  // that the system still grants

}  // namespace

// Stands before the system's own.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                              void* argument) {
  static const auto create = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  if (threads_left-- <= 0) return EAGAIN;
  return create(thread, attributes, run, argument);
}

namespace ctr {
namespace {

// A Raw file whose sample i has label i and key i.
class Readers : public InFolder {
 protected:
  static constexpr int32_t kSamples = 103;

  void SetUp() override {
    InFolder::SetUp();
    path_ = at("data");
    write(kSamples);
  }

  void write(int32_t samples) const {
    write_atomically(path_, [&](OutputFile& file) {
      for (int32_t i = 0; i < samples; ++i) {
        const int32_t sample[] = {i, i};
        file.write(sample, sizeof sample);
      }
    });
  }

  ReaderSpec spec(int workers) const {
    ReaderSpec spec;
    spec.format = DataFormat::raw;
    spec.source = path_;
    spec.batch_size = 4;
    spec.sparse = {{"data", {1}, false}};
    spec.repeat = false;
    spec.num_workers = workers;
    return spec;
  }

  std::string path_;
};

std::vector<int64_t> take(Reader& reader, int batches) {
  std::vector<int64_t> keys;
  for (const Batch* batch; batches-- > 0 && (batch = reader.next());)
    keys.insert(keys.end(), batch->sparse[0].keys.begin(), batch->sparse[0].keys.end());
  return keys;
}

TEST_F(Readers, StartAndStopAtAnyMoment) {
  for (int i = 0; i < 100; ++i) {
    const auto reader = make_reader(spec(1 + i % 5));
    reader->start();
    const auto keys = take(*reader, i % 7);
    for (size_t k = 0; k < keys.size(); ++k) ASSERT_EQ(keys[k], static_cast<int64_t>(k));
    if (i % 2 == 0) continue;
    reader->start();
    ASSERT_EQ(take(*reader, 1000).size(), size_t{kSamples});
    ASSERT_TRUE(reader->at_end());
  }
}

TEST_F(Readers, NoAllocationOfBatchesOnceTheRingIsWarm) {
  ReaderSpec repeating = spec(2);
  repeating.repeat = true;
  const auto reader = make_reader(repeating);
  reader->start();
  std::vector<const float*> seen;
  for (int i = 0; i < 200; ++i) {
    const float* labels = reader->next()->labels.data();
    if (std::find(seen.begin(), seen.end(), labels) == seen.end()) seen.push_back(labels);
  }
  EXPECT_LE(seen.size(), size_t{2} * (static_cast<size_t>(repeating.prefetch) + 1));
}

TEST_F(Readers, StartsAllThreadsOrNone) {
  const auto reader = make_reader(spec(7));
  for (const int granted : {0, 1, 6}) {
    reader->start();
    take(*reader, 2);
    threads_left = granted;
    try {
      reader->start();
      ADD_FAILURE() << "started with " << granted << " threads";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::out_of_memory);
      const std::string text = fmt::format("cannot start reader thread {} of 7", granted + 1);
      EXPECT_NE(std::string(e.what()).find(text), std::string::npos) << e.what();
      EXPECT_NE(std::string(e.what()).find("num_workers"), std::string::npos) << e.what();
    }
    threads_left = INT_MAX;
    EXPECT_FALSE(reader->started());
    EXPECT_THROW(reader->next(), Error);
    reader->start();
    EXPECT_EQ(take(*reader, 1000).size(), size_t{kSamples});
  }
}

TEST_F(Readers, FilesComeFromTheFileSystemThatIsGiven) {
  const auto files = std::make_shared<MemoryFiles>();
  files->write("far://data", [](OutputFile& file) {
    for (int32_t i = 0; i < 7; ++i) {
      const int32_t sample[] = {i, i};
      file.write(sample, sizeof sample);
    }
  });
  ReaderSpec far = spec(2);
  far.files = files;
  far.source = "far://data";
  const auto reader = make_reader(far);
  reader->start();
  EXPECT_EQ(take(*reader, 100), (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6}));
}

TEST_F(Readers, BatchesTakeNoMoreThanTheirBytes) {
  write(40000);
  for (const int64_t batches : {1, 3, 5, 100}) {
    ReaderSpec bounded = spec(6);
    bounded.batch_size = 100;
    bounded.repeat = true;
    const auto bytes = [](const Batch& b) {  // by what a warm batch holds
      return static_cast<int64_t>(4 * b.labels.capacity() +
                                  8 * (b.sparse[0].offsets.capacity() + b.sparse[0].keys.capacity()));
    };
    const auto probe = make_reader(bounded);
    probe->start();
    bounded.prefetch_bytes = batches * bytes(*probe->next());
    const auto reader = make_reader(bounded);
    reader->start();
    std::set<const Batch*> seen;
    for (int i = 0; i < 300; ++i) {
      const Batch* batch = reader->next();
      ASSERT_EQ(batch->sparse[0].keys.front(), 100 * (i % 400));
      seen.insert(batch);
    }
    // One batch is the consumer's, and one more is always being filled.
    EXPECT_LE(std::ssize(seen), std::max<int64_t>(2, std::min<int64_t>(batches, 6 * bounded.prefetch + 1)));
  }
}

TEST_F(Readers, AFileThatShrinksWhileItIsReadIsAnError) {
  ReaderSpec repeating = spec(3);
  repeating.repeat = true;
  const auto reader = make_reader(repeating);
  reader->start();
  take(*reader, 3);
  std::filesystem::resize_file(path_, 100);
  EXPECT_THROW(take(*reader, 1000), Error);
  EXPECT_THROW(take(*reader, 1), Error);
}

}  // namespace
}  // namespace ctr
