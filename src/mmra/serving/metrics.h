#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace mmra::serving {

/// Counts what the server does, for Prometheus (text format 0.0.4). Thread-safe.
class Metrics {
 public:
  /// `route` is the path as in openapi.json, never what a stranger sent.
  void note_response(std::string_view route, std::string_view method, int status, double seconds);
  void note_batch(std::size_t num_queries) {
    ++num_batches_;
    num_batched_ += num_queries;
  }
  void note_reload(bool succeeded) { ++(succeeded ? num_reloads_ : num_failed_reloads_); }
  void note_refused_video() { ++num_refused_videos_; }
  void note_write() { ++num_writes_; }

  /// `gauges` by full name (with labels where there are any): what is known elsewhere.
  [[nodiscard]] std::string to_text(const std::map<std::string, double>& gauges) const;

 private:
  // Upper bounds in seconds; above the last is +Inf.
  static constexpr std::array<double, 10> kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025,
                                                     0.1,   0.25,   1.0,   5.0,  30.0};
  struct Histogram {
    std::array<std::uint64_t, kBounds.size() + 1> counts{};
    double sum_s = 0.0;
  };
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, std::uint64_t> responses_;  ///< labels, status
  std::map<std::string, Histogram> durations_;                      ///< by labels
  std::atomic<std::uint64_t> num_batches_ = 0;
  std::atomic<std::uint64_t> num_batched_ = 0;
  std::atomic<std::uint64_t> num_reloads_ = 0;
  std::atomic<std::uint64_t> num_failed_reloads_ = 0;
  std::atomic<std::uint64_t> num_refused_videos_ = 0;
  std::atomic<std::uint64_t> num_writes_ = 0;
};

}  // namespace mmra::serving
