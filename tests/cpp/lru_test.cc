// SPDX-License-Identifier: Apache-2.0
#include "base/lru.h"

#include <gtest/gtest.h>

#include <string>

namespace ctr {
namespace {

const auto nobody = [](const std::string&) { return false; };

TEST(Lru, TheOneNotUsedForLongestGoes) {
  LruCache<int, std::string> cache(3);
  for (int key : {1, 2, 3}) cache.add(key, nobody, std::to_string(key));
  EXPECT_EQ(*cache.find(1), "1");
  cache.add(4, nobody, "4");
  EXPECT_EQ(cache.size(), 3u);
  EXPECT_EQ(cache.find(2), nullptr);
  for (int key : {1, 3, 4}) EXPECT_EQ(*cache.find(key), std::to_string(key));
}

TEST(Lru, SomeStayBeyondTheLimit) {
  LruCache<int, std::string> cache(2);
  const auto a_stays = [](const std::string& value) { return value == "a"; };
  for (int key : {1, 2, 3}) cache.add(key, a_stays, "a");
  EXPECT_EQ(cache.size(), 3u);
  cache.add(4, a_stays, "b");
  cache.add(5, a_stays, "c");
  EXPECT_EQ(cache.find(4), nullptr);
  for (int key : {1, 2, 3, 5}) EXPECT_NE(cache.find(key), nullptr);
  cache.add(6, nobody, "d");
  EXPECT_EQ(cache.size(), 2u);
}

}  // namespace
}  // namespace ctr
