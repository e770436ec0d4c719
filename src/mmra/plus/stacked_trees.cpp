#include "mmra/plus/stacked_trees.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>
#include <utility>

#include "mmra/core/error.h"

namespace mmra::plus {
namespace {

using baselines::Booster;
using baselines::TreeRows;

constexpr int kCrossFolds = 5;
constexpr int kRoundsAtATime = 20;
// A booster grows on one thread, several side by side: XGBoost's own threads wait for each other in
// every small step, and what they sum would depend on their number.
constexpr int kThreads = 1;

std::vector<Booster::Parameter> parameters_of(const TreeSettings& settings, std::uint64_t seed) {
  return {{"objective", "reg:squarederror"},
          {"tree_method", "hist"},
          {"eta", std::to_string(settings.learning_rate)},
          {"max_depth", std::to_string(settings.max_depth)},
          {"min_child_weight", std::to_string(settings.min_child_weight)},
          {"subsample", std::to_string(settings.subsample)},
          {"colsample_bytree", std::to_string(settings.column_share)},
          {"lambda", std::to_string(settings.l2)},
          {"max_bin", std::to_string(settings.max_bins)},
          {"seed", std::to_string(seed & 0x7FFFFFFFU)},
          {"nthread", std::to_string(kThreads)}};
}

FeatureMatrix take_rows(const FeatureMatrix& features, const std::vector<std::size_t>& rows) {
  FeatureMatrix taken{rows.size(), features.width, {}};
  taken.values.reserve(rows.size() * features.width);
  for (const std::size_t row : rows) {
    const auto values = features.row(row);
    taken.values.insert(taken.values.end(), values.begin(), values.end());
  }
  return taken;
}

/// Trees that one fold is held out from.
class HeldOut {
 public:
  HeldOut(int fold, const FeatureMatrix& features, const std::vector<float>& targets,
          std::span<const std::int32_t> folds, const TreeSettings& settings, std::uint64_t seed) {
    std::vector<std::size_t> others;
    std::vector<float> labels;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (folds[i] % kCrossFolds == fold) {
        rows_.push_back(i);
        held_labels_.push_back(targets[i]);
      } else {
        others.push_back(i);
        labels.push_back(targets[i]);
      }
    }
    if (rows_.empty() || others.empty()) return;
    held_ = std::make_unique<TreeRows>(take_rows(features, rows_), std::vector<float>{}, kThreads);
    others_ = std::make_unique<TreeRows>(take_rows(features, others), labels, kThreads);
    booster_.emplace(parameters_of(settings, seed),
                     std::vector<const TreeRows*>{others_.get(), held_.get()});
  }

  [[nodiscard]] bool is_empty() const { return !booster_; }
  [[nodiscard]] const std::vector<std::size_t>& rows() const { return rows_; }
  /// Of the held-out rows after round `index` of the last grow().
  [[nodiscard]] const std::vector<double>& squared_errors(std::size_t index) const {
    return squared_errors_[index];
  }

  void grow(int first_round, int num_rounds, const std::stop_token& stop) {
    squared_errors_.clear();
    for (int round = first_round; round < first_round + num_rounds; ++round) {
      if (stop.stop_requested()) throw Interrupted();
      booster_->update(round, *others_);
      const std::vector<float> values = booster_->predict(*held_);
      auto& errors = squared_errors_.emplace_back();
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double error = static_cast<double>(values[i]) - held_labels_[i];
        errors.push_back(error * error);
      }
    }
  }

 private:
  std::vector<std::size_t> rows_;  ///< of the fold
  std::vector<float> held_labels_;
  std::unique_ptr<TreeRows> held_;
  std::unique_ptr<TreeRows> others_;
  std::optional<Booster> booster_;
  std::vector<std::vector<double>> squared_errors_;
};

/// Where the folds' threads wait: for one of the places to run in, and for each other. A mutex and
/// a condition, not the standard library's semaphore and barrier: in GCC 12 a waiter of those can
/// miss what it waits for and sleep for ever (its bug 104928).
class Crossing {
 public:
  Crossing(int num_places, int num_threads) : places_(num_places), num_threads_(num_threads) {}

  /// Calls body() when a place is free; body must not throw.
  template <typename Body>
  void in_a_place(const Body& body) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return places_ > 0; });
    --places_;
    lock.unlock();
    body();
    lock.lock();
    ++places_;
    changed_.notify_all();
  }

  /// Waits until all threads have come; the last calls look() before any goes on.
  template <typename Look>
  void meet(const Look& look) {
    std::unique_lock lock(mutex_);
    if (++num_come_ == num_threads_) {
      look();
      num_come_ = 0;
      ++num_meetings_;
      changed_.notify_all();
      return;
    }
    changed_.wait(lock, [&, meeting = num_meetings_] { return num_meetings_ != meeting; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int places_;
  int num_threads_;
  int num_come_ = 0;
  std::uint64_t num_meetings_ = 0;
};

/// All folds' trees, round by round, and the best round so far. XGBoost keeps a booster's known
/// rows and its random numbers by thread, so each fold has a thread of its own, of which
/// `num_threads` run at a time: nothing depends on their number. They meet after every few rounds,
/// where one of them looks whether to go on.
class CrossValidator {
 public:
  CrossValidator(const FeatureMatrix& features, const std::vector<float>& targets,
                 std::span<const std::int32_t> folds, const TreeSettings& settings,
                 std::uint64_t seed, std::stop_token stop, ProgressSink& progress)
      : features_(features),
        targets_(targets),
        folds_(folds),
        settings_(settings),
        seed_(seed),
        stop_(std::move(stop)),
        progress_(progress),
        parts_(kCrossFolds),
        errors_(targets.size()) {
    best_.mean_squared_error = std::numeric_limits<double>::infinity();
  }

  CrossValidation run(int num_threads) {
    Crossing crossing(std::clamp(num_threads, 1, kCrossFolds), kCrossFolds);
    {
      std::vector<std::jthread> workers;
      workers.reserve(kCrossFolds);
      for (int fold = 0; fold < kCrossFolds; ++fold) {
        workers.emplace_back([&, fold] {
          while (!finished_) {
            crossing.in_a_place([&] { grow(fold); });
            crossing.meet([&] { look(); });
          }
        });
      }
    }
    if (failure_) std::rethrow_exception(failure_);
    return std::move(best_);
  }

 private:
  void grow(int fold) {
    try {
      auto& part = parts_[static_cast<std::size_t>(fold)];
      if (!part) part.emplace(fold, features_, targets_, folds_, settings_, seed_);
      if (!part->is_empty()) part->grow(first_, num_rounds(), stop_);
    } catch (...) {
      const std::scoped_lock lock(failure_mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  }

  [[nodiscard]] int num_rounds() const {
    return std::min(kRoundsAtATime, settings_.max_rounds - first_);
  }

  /// Between two meetings: nobody else runs.
  void look() {
    finished_ = true;
    if (failure_) return;
    const int count = num_rounds();
    progress_.advance(count);
    for (int index = 0; index < count; ++index) {
      for (const auto& part : parts_) {
        if (part->is_empty()) continue;
        const auto& of_part = part->squared_errors(static_cast<std::size_t>(index));
        for (std::size_t i = 0; i < of_part.size(); ++i) errors_[part->rows()[i]] = of_part[i];
      }
      const double mean = std::accumulate(errors_.begin(), errors_.end(), 0.0) /
                          static_cast<double>(errors_.size());
      if (mean < best_.mean_squared_error) best_ = {first_ + index + 1, mean, errors_};
    }
    first_ += count;
    finished_ = first_ >= settings_.max_rounds || first_ - best_.num_rounds >= settings_.patience;
  }

  const FeatureMatrix& features_;
  const std::vector<float>& targets_;
  std::span<const std::int32_t> folds_;
  const TreeSettings& settings_;
  std::uint64_t seed_;
  std::stop_token stop_;
  ProgressSink& progress_;
  std::vector<std::optional<HeldOut>> parts_;
  std::vector<double> errors_;
  CrossValidation best_;
  int first_ = 0;  ///< round of the next
  bool finished_ = false;
  std::exception_ptr failure_;
  std::mutex failure_mutex_;
};

}  // namespace

FeatureMatrix select_parts(const FeatureMatrix& features, std::span<const Part> part_of_feature,
                           const Parts& parts) {
  std::vector<std::size_t> kept;
  for (std::size_t j = 0; j < part_of_feature.size(); ++j) {
    if (has_part(parts, part_of_feature[j])) kept.push_back(j);
  }
  FeatureMatrix selected{features.num_rows, kept.size(), {}};
  selected.values.reserve(features.num_rows * kept.size());
  for (std::size_t i = 0; i < features.num_rows; ++i) {
    const auto row = features.row(i);
    for (const std::size_t j : kept) selected.values.push_back(row[j]);
  }
  return selected;
}

CrossValidation cross_validate(const FeatureMatrix& features, const std::vector<float>& targets,
                               std::span<const std::int32_t> folds, const TreeSettings& settings,
                               std::uint64_t seed, int num_threads, const std::stop_token& stop,
                               ProgressSink& progress) {
  progress.begin("choosing the number of trees", std::nullopt);
  CrossValidation best =
      CrossValidator(features, targets, folds, settings, seed, stop, progress).run(num_threads);
  progress.end();
  return best;
}

Booster grow_trees(const FeatureMatrix& features, const std::vector<float>& targets,
                   const TreeSettings& settings, std::uint64_t seed, const std::stop_token& stop,
                   ProgressSink& progress) {
  const TreeRows rows(features, targets, kThreads);
  Booster booster(parameters_of(settings, seed), {&rows});
  progress.begin("growing trees", settings.num_rounds);
  for (int round = 0; round < settings.num_rounds; ++round) {
    if (stop.stop_requested()) throw Interrupted();
    booster.update(round, rows);
    progress.advance(1);
  }
  progress.end();
  // What is saved is what predicts, and needs no rows.
  return Booster(booster.save_to_bytes(), "XGBoost's model", kThreads);
}

PairedGain paired_gain(std::span<const double> with, std::span<const double> without) {
  const double n = static_cast<double>(with.size());
  PairedGain gain;
  for (std::size_t i = 0; i < with.size(); ++i) gain.mean += (without[i] - with[i]) / n;
  double squares = 0.0;
  for (std::size_t i = 0; i < with.size(); ++i) {
    const double deviation = without[i] - with[i] - gain.mean;
    squares += deviation * deviation;
  }
  gain.standard_error = n > 1.0 ? std::sqrt(squares / (n - 1.0) / n) : 0.0;
  return gain;
}

}  // namespace mmra::plus
