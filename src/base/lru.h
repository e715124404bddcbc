// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <utility>

namespace ctr {

// At most so many values by key. A further one takes the place of the one that nobody has asked for longest
// among those that may go.
template <class Key, class Value>
class LruCache {
 public:
  explicit LruCache(size_t limit) : limit_(limit) {}

  // Null where there is none; otherwise the value has just been used.
  Value* find(const Key& key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return &found->second->second;
  }

  // For a key that is not there. Values that `stays` says true of are kept beyond the limit.
  template <class Stays, class... Args>
  Value& add(const Key& key, const Stays& stays, Args&&... args) {
    for (auto last = entries_.end(); entries_.size() >= limit_ && last != entries_.begin();) {
      if (stays((--last)->second)) continue;
      places_.erase(last->first);
      last = entries_.erase(last);
    }
    entries_.emplace_front(std::piecewise_construct, std::forward_as_tuple(key),
                           std::forward_as_tuple(std::forward<Args>(args)...));
    places_.emplace(key, entries_.begin());
    return entries_.front().second;
  }

  size_t size() const { return entries_.size(); }

 private:
  using Entries = std::list<std::pair<const Key, Value>>;

  size_t limit_;
  Entries entries_;  // the last used first
  std::map<Key, typename Entries::iterator> places_;
};

}  // namespace ctr
