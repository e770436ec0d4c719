#include "mmra/core/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace mmra {
namespace {

TEST(ParallelFor, VisitsEveryIndexOnce) {
  for (const int num_threads : {1, 2, 5}) {
    for (const std::size_t count : {0U, 1U, 7U, 100U}) {
      std::vector<std::atomic<int>> visits(count);
      parallel_for(count, 3, num_threads, [&](std::size_t begin, std::size_t end) {
        ASSERT_LE(end - begin, 3U);
        for (std::size_t i = begin; i < end; ++i) ++visits[i];
      });
      for (const auto& visit : visits) EXPECT_EQ(visit, 1);
    }
  }
}

TEST(ParallelFor, RethrowsTheFirstFailure) {
  EXPECT_THROW(parallel_for(100, 1, 3,
                            [](std::size_t begin, std::size_t) {
                              if (begin == 42) throw std::runtime_error("42");
                            }),
               std::runtime_error);
}

TEST(AvailableProcessors, IsAtLeastOne) { EXPECT_GE(available_processors(), 1); }

}  // namespace
}  // namespace mmra
