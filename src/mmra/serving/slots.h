#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <stop_token>

namespace mmra::serving {

/// A number of places for things that weigh (uploads on disk, decoded clips in memory). A place is
/// free again when the pointer and its copies are gone. Thread-safe; places may outlive the object.
class Slots {
 public:
  explicit Slots(std::size_t count) : state_(std::make_shared<State>()) { state_->free = count; }

  /// Null where all are taken.
  [[nodiscard]] std::shared_ptr<void> try_take() {
    const std::scoped_lock lock(state_->mutex);
    if (state_->free == 0) return nullptr;
    return take();
  }

  /// Waits for one; null when `stop` asks.
  [[nodiscard]] std::shared_ptr<void> wait_and_take(const std::stop_token& stop) {
    std::unique_lock lock(state_->mutex);
    while (state_->free == 0) {
      if (stop.stop_requested()) return nullptr;
      state_->changed.wait_for(lock, std::chrono::milliseconds(50));
    }
    return take();
  }

  [[nodiscard]] std::size_t num_free() const {
    const std::scoped_lock lock(state_->mutex);
    return state_->free;
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t free = 0;
  };
  std::shared_ptr<void> take() {
    --state_->free;
    return {state_.get(), [state = state_](void*) {
              const std::scoped_lock lock(state->mutex);
              ++state->free;
              state->changed.notify_one();
            }};
  }

  std::shared_ptr<State> state_;
};

}  // namespace mmra::serving
