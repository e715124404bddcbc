// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/file_system.h"

namespace ctr {

// What a store of files elsewhere can do, one request a call. Paths are as the user wrote them.
class ObjectStore {
 public:
  enum class Kind { nothing, file, directory };

  virtual ~ObjectStore() = default;
  virtual std::unique_ptr<RandomAccessFile> open(const std::string& path) const = 0;
  virtual Kind kind(const std::string& path) const = 0;
  // Names in the directory, in any order; none where there is no such directory.
  virtual std::vector<std::string> list(const std::string& directory) const = 0;
  // Creates or replaces a file, which need not be whole before it is closed.
  virtual std::unique_ptr<OutputFile> create(const std::string& path) const = 0;
  virtual void move(const std::string& from, const std::string& to) const = 0;  // a file; replaces `to`
  virtual void remove(const std::string& path) const = 0;  // no error when there is nothing
};

// Files of a store. What is replaced is written under another name first and then moved; several files
// together are moved one by one, after a journal that says which, so that a save that was interrupted in
// between is completed by the next process that reads or writes there. There are no locks: two processes must
// not save under one name at the same time.
Files make_remote_files(std::shared_ptr<const ObjectStore> store);

// Files of this machine, and, for paths that begin with `scheme://`, those of `remote`.
Files make_files_by_scheme(Files remote);

}  // namespace ctr
