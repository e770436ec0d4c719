#pragma once

#include <chrono>
#include <stop_token>
#include <utility>

#include "mmra/core/error.h"

namespace mmra::media {

/// The wall-clock budget of one file and the request to stop, asked between packets and inside
/// FFmpeg's reads.
class Watch {
 public:
  Watch(double budget_s, std::stop_token stop)
      : budget_(budget_s), start_(Clock::now()), stop_(std::move(stop)) {}

  [[nodiscard]] bool expired() const { return Clock::now() - start_ > budget_; }
  [[nodiscard]] bool stop_requested() const { return stop_.stop_requested(); }
  /// Throws Interrupted where a stop was requested.
  void throw_if_stopped() const {
    if (stop_requested()) throw Interrupted();
  }
  [[nodiscard]] double budget_s() const { return budget_.count(); }

 private:
  using Clock = std::chrono::steady_clock;
  std::chrono::duration<double> budget_;
  Clock::time_point start_;
  std::stop_token stop_;
};

}  // namespace mmra::media
