#pragma once

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "mmra/distributed/communicator.h"

namespace mmra::testing {

/// Ranks that are threads of one process.
class ThreadGroup {
 public:
  explicit ThreadGroup(int size) : size_(size), inboxes_(static_cast<std::size_t>(size)) {}
  [[nodiscard]] int size() const { return size_; }

  /// Waits until all are here; the last one calls `act` before any goes on.
  void meet(const std::function<void()>& act = [] {}) {
    std::unique_lock lock(mutex_);
    const std::size_t round = round_;
    if (++num_here_ < size_) {
      changed_.wait(lock, [&] { return round_ != round; });
      return;
    }
    act();
    num_here_ = 0;
    ++round_;
    changed_.notify_all();
  }

  std::vector<std::vector<double>> values_;
  std::string bytes_;

  void put(int to, distributed::Message message) {
    const std::scoped_lock lock(mutex_);
    inboxes_[static_cast<std::size_t>(to)].push_back(std::move(message));
  }
  std::optional<distributed::Message> take(int rank) {
    const std::scoped_lock lock(mutex_);
    auto& inbox = inboxes_[static_cast<std::size_t>(rank)];
    if (inbox.empty()) return std::nullopt;
    distributed::Message message = std::move(inbox.front());
    inbox.pop_front();
    return message;
  }

 private:
  int size_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int num_here_ = 0;
  std::size_t round_ = 0;
  std::vector<std::deque<distributed::Message>> inboxes_;
};

class ThreadCommunicator final : public distributed::Communicator {
 public:
  ThreadCommunicator(ThreadGroup& group, int rank) : group_(group), rank_(rank) {}

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return group_.size(); }
  void all_reduce_sum(std::span<double> values) override {
    group_.meet([&] { group_.values_.assign(static_cast<std::size_t>(size()), {}); });
    group_.values_[static_cast<std::size_t>(rank_)].assign(values.begin(), values.end());
    group_.meet();
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = 0.0;
      for (const auto& each : group_.values_) values[i] += each.at(i);
    }
    group_.meet();
  }
  void broadcast(std::string& bytes, int root) override {
    if (rank_ == root) group_.bytes_ = bytes;
    group_.meet();
    bytes = group_.bytes_;
    group_.meet();
  }
  void send(int to, std::string_view bytes) override {
    group_.put(to, {rank_, std::string(bytes)});
  }
  [[nodiscard]] std::optional<distributed::Message> try_receive() override {
    return group_.take(rank_);
  }
  void barrier() override { group_.meet(); }
  [[noreturn]] void abort(int status) noexcept override { std::_Exit(status); }

 private:
  ThreadGroup& group_;
  int rank_;
};

/// Runs `body` on `size` ranks at once and waits for all; rethrows what the first of them threw.
/// (What only one of them throws leaves the others waiting where they meet.)
inline void run_on_threads(int size,
                           const std::function<void(distributed::Communicator& ranks)>& body) {
  ThreadGroup group(size);
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(size));
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] {
        ThreadCommunicator ranks(group, rank);
        try {
          body(ranks);
        } catch (...) {
          failures[static_cast<std::size_t>(rank)] = std::current_exception();
        }
      });
    }
  }
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace mmra::testing
