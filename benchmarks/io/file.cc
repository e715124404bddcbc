// SPDX-License-Identifier: Apache-2.0
#include "io/local_file.h"

#include <unistd.h>

#include <filesystem>
#include <vector>

#include "bench.h"

namespace ctr::bench {

void file_rates(int) {
  heading("files of 64 MiB in the temporary directory");
  constexpr size_t kBytes = size_t{64} << 20, kPiece = size_t{1} << 20;
  constexpr double kGigabytes = 1e-9 * kBytes;
  const std::string path =
      std::filesystem::temp_directory_path() / ("hugectr_bench_" + std::to_string(getpid()));
  std::vector<std::byte> piece(kPiece, std::byte{1});
  const auto write = [&] {
    write_atomically(path, [&](OutputFile& file) {
      for (size_t done = 0; done < kBytes; done += kPiece) file.write(piece.data(), kPiece);
    });
  };
  row("write, sync and rename", time_runs(write), kGigabytes, "GB");
  const LocalFile file(path);
  const auto read = [&] {
    for (size_t at = 0; at < kBytes; at += kPiece)
      file.read_at(static_cast<int64_t>(at), piece.data(), kPiece);
  };
  row("read from the page cache", time_runs(read), kGigabytes, "GB");
  remove_all(path);
}

}  // namespace ctr::bench
