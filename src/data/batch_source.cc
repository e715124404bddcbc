// SPDX-License-Identifier: Apache-2.0
#include "data/batch_source.h"

#include <algorithm>
#include <numeric>

#include "base/log.h"

namespace ctr {
namespace {

class FileListSource final : public BatchSource {
 public:
  FileListSource(const SampleLayout& layout, FileSequence sequence,
                 std::shared_ptr<const std::vector<std::string>> files, OpenSampleFile open)
      : writer_(layout), sequence_(sequence), files_(std::move(files)), open_(std::move(open)) {}

  bool fill(Batch& batch) override {
    writer_.begin(batch);
    while (writer_.room() > 0 && (file_ || open_next())) {
      const int64_t before = writer_.size();
      if (!file_->read(writer_)) file_.reset();
      if (writer_.size() > before) sequence_.found_samples();
    }
    writer_.finish();
    return writer_.size() > 0;
  }

 private:
  bool open_next() {
    while (!file_) {
      const auto index = sequence_.next();
      if (!index) return false;
      file_ = open_((*files_)[*index]);
    }
    return true;
  }

  BatchWriter writer_;
  FileSequence sequence_;
  std::shared_ptr<const std::vector<std::string>> files_;
  OpenSampleFile open_;
  std::unique_ptr<SampleFile> file_;
};

}  // namespace

void ReadTask::warn(const std::string& problem) {
  {
    std::lock_guard lock(mutex_);
    problem_ = problem;
    if (!warned_.insert(problem).second) return;
  }
  log::warning("{}", problem);
}

std::shared_ptr<ReadTask> ReadTask::again(const std::string& source) const {
  auto task = std::make_shared<ReadTask>(spec, layout);
  if (!source.empty()) task->spec.source = source;
  task->starts = starts + 1;
  std::lock_guard lock(mutex_);
  task->warned_ = warned_;
  return task;
}

std::string ReadTask::last_problem() const {
  std::lock_guard lock(mutex_);
  return problem_;
}

FileSequence::FileSequence(size_t worker, size_t workers, size_t files, bool repeat)
    : next_(worker),
      step_(workers),
      files_(files),
      pass_(files / std::gcd(files, workers)),
      repeat_(repeat) {}

std::optional<size_t> FileSequence::next() {
  if (repeat_ ? barren_ == pass_ : next_ >= files_) return std::nullopt;
  ++barren_;
  const size_t index = next_;
  next_ = repeat_ ? (next_ + step_) % files_ : next_ + step_;
  return index;
}

BatchSources make_file_sources(ReadTask& task, std::vector<std::string> files, OpenSampleFile open) {
  const auto shared = std::make_shared<const std::vector<std::string>>(std::move(files));
  const size_t workers = worker_count(task, static_cast<int64_t>(shared->size()), "data files");
  BatchSources sources;
  for (size_t w = 0; w < workers; ++w)
    sources.push_back(std::make_unique<FileListSource>(
        task.layout, FileSequence(w, workers, shared->size(), task.spec.repeat), shared, open));
  return sources;
}

size_t worker_count(const ReadTask& task, int64_t parts, const char* what) {
  // The releases did not ask for num_workers with Parquet: scripts leave it at its default.
  if (task.spec.num_workers > parts && task.spec.format != DataFormat::parquet)
    log::warn_once(fmt::format("\"{}\" has {} {}: using {} of {} reader workers", task.spec.source, parts,
                               what, parts, task.spec.num_workers));
  return static_cast<size_t>(std::min<int64_t>(task.spec.num_workers, parts));
}

}  // namespace ctr
