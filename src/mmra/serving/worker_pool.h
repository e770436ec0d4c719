#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace mmra::serving {

/// A few threads and a bounded queue before them: what does not fit is refused at once, so that
/// whoever asks can be told to come again.
class WorkerPool {
 public:
  WorkerPool(int num_threads, std::size_t capacity);
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  ~WorkerPool();

  /// False where the queue is full, or finish() was called. A task must not throw.
  [[nodiscard]] bool try_submit(std::function<void()> task);
  /// Does what is queued, then ends the threads. May be called twice.
  void finish();
  [[nodiscard]] std::size_t num_queued() const;

 private:
  void work();

  std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool finishing_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace mmra::serving
