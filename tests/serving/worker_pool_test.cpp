#include "mmra/serving/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "mmra/serving/slots.h"

namespace mmra::serving {
namespace {

TEST(WorkerPool, RefusesWhatDoesNotFitAndFinishesWhatItTook) {
  WorkerPool pool(1, 2);
  std::promise<void> started;
  std::promise<void> go;
  std::atomic<int> done = 0;
  ASSERT_TRUE(pool.try_submit([&] {
    started.set_value();
    go.get_future().wait();
    ++done;
  }));
  started.get_future().wait();
  EXPECT_TRUE(pool.try_submit([&] { ++done; }));
  EXPECT_TRUE(pool.try_submit([&] { ++done; }));
  EXPECT_FALSE(pool.try_submit([&] { ++done; }));
  EXPECT_EQ(pool.num_queued(), 2U);
  go.set_value();
  pool.finish();
  EXPECT_EQ(done, 3);
  EXPECT_FALSE(pool.try_submit([&] { ++done; }));
}

TEST(Slots, AreFreeAgainWhenTheirPointersAreGone) {
  Slots slots(1);
  auto first = slots.try_take();
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(slots.try_take(), nullptr);
  auto copy = first;
  first.reset();
  EXPECT_EQ(slots.num_free(), 0U);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(slots.wait_and_take(stop.get_token()), nullptr);
  std::thread later([&copy] { copy.reset(); });
  EXPECT_NE(slots.wait_and_take({}), nullptr);
  later.join();
  EXPECT_EQ(slots.num_free(), 1U);
}

}  // namespace
}  // namespace mmra::serving
