// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <iostream>
#include <string>

#include "device/plugin.h"

namespace {

// Suites are named Cuda..., or run once for each back end.
bool needs_gpu(const testing::TestInfo& test) {
  return std::string(test.test_suite_name()).find("Cuda") != std::string::npos ||
         std::string(test.name()).ends_with("/cuda");
}

// Takes the tests that need a GPU out of the filter; returns how many there are.
int leave_out_gpu_tests() {
  std::string names;
  int count = 0;
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  for (int s = 0; s < all.total_test_suite_count(); ++s) {
    const testing::TestSuite& suite = *all.GetTestSuite(s);
    for (int t = 0; t < suite.total_test_count(); ++t) {
      const testing::TestInfo& test = *suite.GetTestInfo(t);
      if (!needs_gpu(test)) continue;
      names += std::string(":") + test.test_suite_name() + "." + test.name();
      ++count;
    }
  }
  std::string& filter = testing::GTEST_FLAG(filter);
  filter += (filter.find('-') == std::string::npos ? "-" : "") + names;
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const int left_out = ctr::default_backend() == ctr::Backend::cuda ? 0 : leave_out_gpu_tests();
  const int failed = RUN_ALL_TESTS();
  if (left_out && !testing::GTEST_FLAG(list_tests))
    std::cout << "[  SKIPPED ] " << left_out << " tests that need a GPU: there is none\n";
  return failed;
}
