#include "mmra/distributed/communicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "distributed/thread_ranks.h"
#include "expect_error.h"

namespace mmra::distributed {
namespace {

using testing::run_on_threads;

TEST(ShareOf, DividesAllItemsInOrderAndEvenly) {
  for (const std::size_t total : {0U, 1U, 2U, 5U, 64U, 1001U}) {
    for (const int size : {1, 2, 3, 7}) {
      std::size_t next = 0;
      for (int rank = 0; rank < size; ++rank) {
        const Share share = share_of(total, rank, size);
        EXPECT_EQ(share.begin, next);
        EXPECT_LE(share.count, total / static_cast<std::size_t>(size) + 1);
        EXPECT_GE(share.count, total / static_cast<std::size_t>(size));
        next += share.count;
      }
      EXPECT_EQ(next, total);
    }
  }
}

TEST(SingleCommunicator, IsAlone) {
  const auto single = make_single_communicator();
  EXPECT_EQ(single->rank(), 0);
  EXPECT_EQ(single->size(), 1);
  std::vector<double> values = {1.0, 2.0};
  single->all_reduce_sum(values);
  EXPECT_THAT(values, ::testing::ElementsAre(1.0, 2.0));
  std::string bytes = "same";
  single->broadcast(bytes, 0);
  EXPECT_EQ(bytes, "same");
  EXPECT_FALSE(single->try_receive());
  EXPECT_TRUE(any_of(*single, true));
  EXPECT_FALSE(any_of(*single, false));
  testing::expect_error(ErrorKind::kInternal, "alone", [&] { single->send(1, "x"); });
}

TEST(AnyOf, IsTrueOnAllWhereItIsOnOne) {
  std::atomic<int> num_true = 0;
  run_on_threads(3, [&](Communicator& ranks) {
    if (any_of(ranks, ranks.rank() == 2)) ++num_true;
    if (any_of(ranks, false)) num_true += 100;
  });
  EXPECT_EQ(num_true, 3);
}

}  // namespace
}  // namespace mmra::distributed
