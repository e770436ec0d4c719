#include "mmra/plus/stacked_trees.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "mmra/core/error.h"

namespace mmra::plus {
namespace {

using baselines::Booster;
using baselines::TreeRows;

constexpr int kCrossFolds = 5;

std::vector<Booster::Parameter> parameters_of(const TreeSettings& settings, std::uint64_t seed,
                                              int num_threads) {
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
          {"nthread", std::to_string(num_threads)}};
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
struct HeldOut {
  std::vector<std::size_t> rows;  ///< of the fold
  std::unique_ptr<TreeRows> held;
  std::unique_ptr<TreeRows> others;
  std::optional<Booster> booster;
};

HeldOut hold_out(int fold, const FeatureMatrix& features, const std::vector<float>& targets,
                 std::span<const std::int32_t> folds, const TreeSettings& settings,
                 std::uint64_t seed, int num_threads) {
  HeldOut held;
  std::vector<std::size_t> others;
  std::vector<float> labels;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (folds[i] % kCrossFolds == fold) {
      held.rows.push_back(i);
    } else {
      others.push_back(i);
      labels.push_back(targets[i]);
    }
  }
  if (held.rows.empty() || others.empty()) return held;
  held.held =
      std::make_unique<TreeRows>(take_rows(features, held.rows), std::vector<float>{}, num_threads);
  held.others = std::make_unique<TreeRows>(take_rows(features, others), labels, num_threads);
  held.booster.emplace(parameters_of(settings, seed, num_threads),
                       std::vector<const TreeRows*>{held.others.get(), held.held.get()});
  return held;
}

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
  std::vector<HeldOut> parts;
  for (int fold = 0; fold < kCrossFolds; ++fold) {
    HeldOut held = hold_out(fold, features, targets, folds, settings, seed, num_threads);
    if (held.booster) parts.push_back(std::move(held));
  }
  CrossValidation best;
  best.mean_squared_error = std::numeric_limits<double>::infinity();
  std::vector<double> errors(targets.size());
  progress.begin("choosing the number of trees", settings.max_rounds);
  for (int round = 0; round < settings.max_rounds; ++round) {
    if (stop.stop_requested()) throw Interrupted();
    double sum = 0.0;
    for (HeldOut& part : parts) {
      part.booster->update(round, *part.others);
      const std::vector<float> values = part.booster->predict(*part.held);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double error = static_cast<double>(values[i]) - targets[part.rows[i]];
        errors[part.rows[i]] = error * error;
        sum += error * error;
      }
    }
    progress.advance(1);
    const double mean = sum / static_cast<double>(targets.size());
    if (mean < best.mean_squared_error) best = {round + 1, mean, errors};
    if (round + 1 - best.num_rounds >= settings.patience) break;
  }
  progress.end();
  return best;
}

Booster grow_trees(const FeatureMatrix& features, const std::vector<float>& targets,
                   const TreeSettings& settings, std::uint64_t seed, int num_threads,
                   const std::stop_token& stop, ProgressSink& progress) {
  const TreeRows rows(features, targets, num_threads);
  Booster booster(parameters_of(settings, seed, num_threads), {&rows});
  progress.begin("growing trees", settings.num_rounds);
  for (int round = 0; round < settings.num_rounds; ++round) {
    if (stop.stop_requested()) throw Interrupted();
    booster.update(round, rows);
    progress.advance(1);
  }
  progress.end();
  // What is saved is what predicts, and needs no rows.
  return Booster(booster.save_to_bytes(), "XGBoost's model", num_threads);
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
