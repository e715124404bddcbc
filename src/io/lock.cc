// SPDX-License-Identifier: Apache-2.0
#include "io/lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

#include "base/interrupt.h"
#include "base/log.h"
#include "io/system_calls.h"

namespace ctr {
namespace {

bool is_still_there(const FileDescriptor& fd, const std::string& path) {
  struct stat opened, named;
  return ::fstat(fd.get(), &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

void wait_for_lock(const FileDescriptor& fd, const std::string& path, const std::string& shown) {
  std::chrono::milliseconds pause{1};
  bool said = false;
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) fail_system("lock", shown);
    if (pause == kInterruptInterval && !std::exchange(said, true))
      log::info("waiting for the writer that holds the lock of \"{}\"", path);
    std::this_thread::sleep_for(pause);
    check_interrupt();
    pause = std::min(2 * pause, kInterruptInterval);
  }
}

}  // namespace

FileDescriptor lock_file(const std::string& path, bool create, const std::string& shown) {
  for (;;) {
    FileDescriptor fd = create ? open_file(path, O_RDWR | O_CREAT, shown, "create")
                               : open_if_there(path, O_RDONLY, shown, "open");
    if (fd.get() < 0) return fd;
    wait_for_lock(fd, path, shown);
    if (is_still_there(fd, path)) return fd;
    if (!create) return FileDescriptor(-1);  // its owner finished and removed it
  }
}

}  // namespace ctr
