#include "mmra/core/bounded_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace mmra {
namespace {

TEST(BoundedQueue, KeepsOrderAndDrainsAfterClose) {
  BoundedQueue<int> queue(3);
  EXPECT_TRUE(queue.push(1));
  EXPECT_TRUE(queue.push(2));
  queue.close();
  EXPECT_FALSE(queue.push(3));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(BoundedQueue, TakesWithoutWaitingWhatIsThere) {
  BoundedQueue<int> queue(1);
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  queue.push(1);
  std::jthread pusher([&] { queue.push(2); });
  EXPECT_EQ(queue.try_pop(), 1);
  EXPECT_EQ(queue.pop(), 2) << "there is room again";
  EXPECT_FALSE(queue.is_drained()) << "more may come";
  pusher.join();
  queue.push(3);
  queue.close();
  EXPECT_FALSE(queue.is_drained());
  EXPECT_EQ(queue.try_pop(), 3);
  EXPECT_TRUE(queue.is_drained());
}

TEST(BoundedQueue, AFullQueueHoldsThePusherBack) {
  BoundedQueue<int> queue(1);
  queue.push(1);
  std::atomic<bool> pushed{false};
  std::jthread pusher([&] {
    queue.push(2);
    pushed = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_FALSE(pushed);
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 2);
}

TEST(BoundedQueue, CloseWakesEverybody) {
  BoundedQueue<int> queue(1);
  queue.push(1);
  std::jthread pusher([&] { EXPECT_FALSE(queue.push(2)); });
  BoundedQueue<int> empty(1);
  std::jthread popper([&] { EXPECT_EQ(empty.pop(), std::nullopt); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  queue.close();
  empty.close();
}

}  // namespace
}  // namespace mmra
