#include "mmra/core/threads.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <thread>
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

TEST(Priority, IsLoweredOfOneThreadAlone) {
  const auto priority = [] { return getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())); };
  const int before = priority();
  int lowered = before;
  std::thread([&] {
    lower_priority_of_this_thread();
    lowered = priority();
  }).join();
  if (before < 19) {
    EXPECT_GT(lowered, before);
  }
  EXPECT_EQ(priority(), before);
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
