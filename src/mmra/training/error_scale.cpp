#include "mmra/training/error_scale.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <string>

#include "mmra/core/error.h"

namespace mmra::training {
namespace {

constexpr std::size_t kNumSignals = kErrorSignals.size();
constexpr std::size_t kMinRows = 50;
constexpr std::size_t kNumFolds = 5;
// What is 0 or 1 must be either in so many rows to say anything: else a single row's error would
// speak for all clips with a video in a bank of titles.
constexpr double kMinRowsOfAFlag = 20.0;
constexpr std::size_t kFirstFlag = 4;
// A row's share: the penalty of n rows is n times this. The last makes every weight nought.
constexpr double kPenalties[] = {1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0};

using Vector = Eigen::Matrix<double, kNumSignals, 1>;
using Matrix = Eigen::Matrix<double, kNumSignals, kNumSignals>;

double label_spread(const model::Batch& batch, std::size_t query) {
  const auto k = static_cast<std::size_t>(std::max(0, batch.k));
  double count = 0.0;
  double sum = 0.0;
  double squares = 0.0;
  for (std::size_t j = query * k; j < (query + 1) * k; ++j) {
    if (batch.instance_rows[j] < 0) continue;
    const double label =
        batch.memory->log2_popularity(static_cast<std::size_t>(batch.instance_rows[j]));
    if (!std::isfinite(label)) continue;
    count += 1.0;
    sum += label;
    squares += label * label;
  }
  if (count < 2.0) return 0.0;
  return std::sqrt(std::max(0.0, squares / count - sum / count * (sum / count)));
}

double top_similarity(const model::Batch& batch, std::size_t query) {
  const auto k = static_cast<std::size_t>(std::max(0, batch.k));
  double top = 0.0;
  bool any = false;
  for (std::size_t j = query * k; j < (query + 1) * k; ++j) {
    if (batch.instance_rows[j] < 0) continue;
    top = any ? std::max(top, double{batch.similarities[j]}) : batch.similarities[j];
    any = true;
  }
  return top;
}

bool has_instance(const model::Batch& batch, std::size_t query) {
  const auto k = static_cast<std::ptrdiff_t>(std::max(0, batch.k));
  const auto begin = batch.instance_rows.begin() + static_cast<std::ptrdiff_t>(query) * k;
  return std::any_of(begin, begin + k, [](std::int32_t row) { return row >= 0; });
}

void check(std::span<const ErrorSignals> signals, std::span<const float> predictions,
           std::span<const float> targets) {
  if (signals.size() != predictions.size() || signals.size() != targets.size()) {
    throw Error(ErrorKind::kInvalidInput,
                "the scale of errors needs signals, a prediction and a target of each row, got " +
                    std::to_string(signals.size()) + ", " + std::to_string(predictions.size()) +
                    " and " + std::to_string(targets.size()));
  }
  for (std::size_t i = 0; i < signals.size(); ++i) {
    const bool finite = std::isfinite(predictions[i]) && std::isfinite(targets[i]) &&
                        std::all_of(signals[i].begin(), signals[i].end(),
                                    [](double value) { return std::isfinite(value); });
    if (finite) continue;
    throw Error(ErrorKind::kInvalidInput,
                "row " + std::to_string(i) + " of the scale of errors is not a finite number");
  }
}

/// Standardised signals and |error| / mean |error| − 1 of some rows: what the ridge fits.
struct Rows {
  std::vector<Vector> x;
  std::vector<double> y;
};

Vector fit(const Rows& rows, std::size_t left_out_fold, double penalty) {
  Matrix gram = Matrix::Zero();
  Vector moment = Vector::Zero();
  double count = 0.0;
  for (std::size_t i = 0; i < rows.x.size(); ++i) {
    if (i % kNumFolds == left_out_fold) continue;
    gram += rows.x[i] * rows.x[i].transpose();
    moment += rows.y[i] * rows.x[i];
    count += 1.0;
  }
  gram.diagonal().array() += penalty * count;
  return gram.ldlt().solve(moment);
}

/// The mean squared error of rows that the fit has not seen; without weights where `penalty` < 0.
double validate(const Rows& rows, double penalty) {
  double squares = 0.0;
  for (std::size_t fold = 0; fold < kNumFolds; ++fold) {
    const Vector weights = penalty < 0.0 ? Vector(Vector::Zero()) : fit(rows, fold, penalty);
    for (std::size_t i = fold; i < rows.x.size(); i += kNumFolds) {
      const double error = weights.dot(rows.x[i]) - rows.y[i];
      squares += error * error;
    }
  }
  return squares / static_cast<double>(rows.x.size());
}

void standardise(std::span<const ErrorSignals> signals, ErrorScale& scale) {
  const auto n = static_cast<double>(signals.size());
  for (std::size_t s = 0; s < kNumSignals; ++s) {
    double sum = 0.0;
    for (const ErrorSignals& row : signals) sum += row[s];
    scale.mean[s] = sum / n;
    double squares = 0.0;
    for (const ErrorSignals& row : signals) {
      squares += (row[s] - scale.mean[s]) * (row[s] - scale.mean[s]);
    }
    const double deviation = std::sqrt(squares / n);
    const bool is_rare = s >= kFirstFlag && std::min(sum, n - sum) < kMinRowsOfAFlag;
    // A signal that does not vary says nothing; of another row it may, but nobody has learnt what.
    const bool varies = deviation > 1e-9 * (1.0 + std::abs(scale.mean[s]));
    scale.deviation[s] = varies && !is_rare ? deviation : 1e30;
  }
}

Vector standardised(const ErrorScale& scale, const ErrorSignals& signals) {
  Vector x;
  for (std::size_t s = 0; s < kNumSignals; ++s) {
    x[static_cast<Eigen::Index>(s)] = std::clamp((signals[s] - scale.mean[s]) / scale.deviation[s],
                                                 -ErrorScale::kEdge, ErrorScale::kEdge);
  }
  return x;
}

}  // namespace

std::vector<ErrorSignals> error_signals(const model::Batch& batch,
                                        std::span<const float> predictions) {
  std::vector<ErrorSignals> signals;
  for (std::size_t i = 0; i < batch.query_rows.size(); ++i) {
    const auto row = static_cast<std::size_t>(batch.query_rows[i]);
    const double prediction = predictions[i];
    signals.push_back({prediction, prediction * prediction, label_spread(batch, i),
                       top_similarity(batch, i),
                       batch.queries->visual_tokens(row).num_tokens > 0 ? 0.0 : 1.0,
                       batch.queries->text_tokens(row).num_tokens > 0 ? 0.0 : 1.0,
                       has_instance(batch, i) ? 0.0 : 1.0});
  }
  return signals;
}

double ErrorScale::operator()(const ErrorSignals& signals) const {
  double value = 1.0;
  for (std::size_t s = 0; s < kNumSignals; ++s) {
    value += weights[s] * std::clamp((signals[s] - mean[s]) / deviation[s], -kEdge, kEdge);
  }
  return std::clamp(value, kLowest, kHighest);
}

ErrorScale fit_error_scale(std::span<const ErrorSignals> signals,
                           std::span<const float> predictions, std::span<const float> targets) {
  check(signals, predictions, targets);
  ErrorScale scale;
  scale.deviation.fill(1.0);
  if (signals.size() < kMinRows) return scale;
  standardise(signals, scale);
  double mean_error = 0.0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    mean_error += std::abs(double{targets[i]} - double{predictions[i]});
  }
  mean_error /= static_cast<double>(targets.size());
  if (mean_error <= 0.0) return scale;
  Rows rows;
  for (std::size_t i = 0; i < signals.size(); ++i) {
    rows.x.push_back(standardised(scale, signals[i]));
    rows.y.push_back(std::abs(double{targets[i]} - double{predictions[i]}) / mean_error - 1.0);
  }
  double best = validate(rows, -1.0);
  for (const double penalty : kPenalties) {
    const double error = validate(rows, penalty);
    if (error >= best) continue;
    best = error;
    const Vector weights = fit(rows, kNumFolds, penalty);
    std::copy(weights.begin(), weights.end(), scale.weights.begin());
  }
  return scale;
}

}  // namespace mmra::training
