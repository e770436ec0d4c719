#include "mmra/baselines/scaler.h"

#include <cmath>
#include <limits>
#include <string>

#include "mmra/core/error.h"

namespace mmra::baselines {
namespace {

/// Sums over the rows that have a column, one entry a column.
struct ColumnSums {
  std::vector<double> count;
  std::vector<double> sum;
};

ColumnSums sum_columns(const FeatureMatrix& matrix) {
  ColumnSums sums{std::vector<double>(matrix.width), std::vector<double>(matrix.width)};
  for (std::size_t i = 0; i < matrix.num_rows; ++i) {
    const auto row = matrix.row(i);
    for (std::size_t j = 0; j < matrix.width; ++j) {
      if (std::isnan(row[j])) continue;
      sums.count[j] += 1.0;
      sums.sum[j] += row[j];
    }
  }
  return sums;
}

std::vector<double> squared_deviations(const FeatureMatrix& matrix,
                                       const std::vector<double>& mean) {
  std::vector<double> squares(matrix.width);
  for (std::size_t i = 0; i < matrix.num_rows; ++i) {
    const auto row = matrix.row(i);
    for (std::size_t j = 0; j < matrix.width; ++j) {
      if (!std::isnan(row[j])) squares[j] += (row[j] - mean[j]) * (row[j] - mean[j]);
    }
  }
  return squares;
}

/// scikit-learn's bound on the variance that rounding alone can give a constant column.
bool is_constant(double variance, double mean, double count) {
  constexpr double kEps = std::numeric_limits<double>::epsilon();
  const double rounding = count * mean * kEps;
  return variance <= count * kEps * variance + rounding * rounding;
}

}  // namespace

Scaler Scaler::fit(const FeatureMatrix& matrix) {
  const ColumnSums sums = sum_columns(matrix);
  std::vector<double> mean(matrix.width);
  for (std::size_t j = 0; j < matrix.width; ++j) {
    if (sums.count[j] > 0.0) mean[j] = sums.sum[j] / sums.count[j];
  }
  const std::vector<double> squares = squared_deviations(matrix, mean);
  Scaler scaler;
  for (std::size_t j = 0; j < matrix.width; ++j) {
    const double variance = sums.count[j] > 0.0 ? squares[j] / sums.count[j] : 0.0;
    scaler.mean_.push_back(static_cast<float>(mean[j]));
    scaler.scale_.push_back(is_constant(variance, mean[j], sums.count[j])
                                ? 1.0F
                                : static_cast<float>(std::sqrt(variance)));
  }
  return scaler;
}

void Scaler::apply(FeatureMatrix& matrix) const {
  if (matrix.width != width()) {
    throw Error(ErrorKind::kInvalidInput, "rows of " + std::to_string(matrix.width) +
                                              " features, the model was fitted on " +
                                              std::to_string(width()));
  }
  for (std::size_t i = 0; i < matrix.num_rows; ++i) {
    const auto row = matrix.row(i);
    for (std::size_t j = 0; j < matrix.width; ++j) {
      row[j] = std::isnan(row[j]) ? 0.0F : (row[j] - mean_[j]) / scale_[j];
    }
  }
}

void Scaler::append_to(std::vector<NamedTensor>& tensors) const {
  tensors.push_back(float_tensor("scaler.mean", mean_));
  tensors.push_back(float_tensor("scaler.scale", scale_));
}

Scaler Scaler::read(const SafetensorsFile& file, std::size_t width) {
  Scaler scaler;
  scaler.mean_ = read_floats(file, "scaler.mean", width);
  scaler.scale_ = read_floats(file, "scaler.scale", width);
  for (const float scale : scaler.scale_) {
    if (!(scale > 0.0F)) {
      throw Error(ErrorKind::kCorruptData, "the tensor scaler.scale has a value of " +
                                               std::to_string(scale) +
                                               ", it must be above 0; train the model again");
    }
  }
  return scaler;
}

NamedTensor float_tensor(const char* name, std::span<const float> values) {
  return {
      name, DataType::kFloat32, {static_cast<std::int64_t>(values.size())}, std::as_bytes(values)};
}

std::vector<float> read_floats(const SafetensorsFile& file, const char* name, std::size_t size) {
  const std::int64_t shape[] = {static_cast<std::int64_t>(size)};
  std::vector<float> values = file.floats(name, shape);
  for (const float value : values) {
    if (!std::isfinite(value)) {
      throw Error(ErrorKind::kCorruptData, std::string("the tensor ") + name +
                                               " has a value that is not finite; train the model "
                                               "again");
    }
  }
  return values;
}

}  // namespace mmra::baselines
