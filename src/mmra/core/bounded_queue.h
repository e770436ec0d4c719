#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace mmra {

/// A queue of at most `capacity` items between threads: push waits while it is full
/// (back-pressure), pop waits while it is empty. After close() pushes are refused and pops drain
/// what is left.
template <typename Item>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) {}

  /// False where the queue was closed; the item is then dropped.
  bool push(Item item) {
    std::unique_lock lock(mutex_);
    not_full_.wait(lock, [&] { return closed_ || items_.size() < capacity_; });
    if (closed_) return false;
    items_.push_back(std::move(item));
    not_empty_.notify_one();
    return true;
  }

  /// Empty where the queue is closed and drained.
  std::optional<Item> pop() {
    std::unique_lock lock(mutex_);
    not_empty_.wait(lock, [&] { return closed_ || !items_.empty(); });
    return take_first();
  }

  /// The next item where there is one, without waiting.
  std::optional<Item> try_pop() {
    const std::scoped_lock lock(mutex_);
    return take_first();
  }

  /// Closed, and nothing is left.
  [[nodiscard]] bool is_drained() const {
    const std::scoped_lock lock(mutex_);
    return closed_ && items_.empty();
  }

  /// At this moment.
  [[nodiscard]] bool is_empty() const {
    const std::scoped_lock lock(mutex_);
    return items_.empty();
  }

  void close() {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    not_full_.notify_all();
    not_empty_.notify_all();
  }

 private:
  std::optional<Item> take_first() {
    if (items_.empty()) return std::nullopt;
    std::optional<Item> item(std::move(items_.front()));
    items_.pop_front();
    not_full_.notify_one();
    return item;
  }

  std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable not_full_;
  std::condition_variable not_empty_;
  std::deque<Item> items_;
  bool closed_ = false;
};

}  // namespace mmra
