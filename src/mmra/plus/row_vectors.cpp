#include "mmra/plus/row_vectors.h"

#include <cmath>
#include <string>

#include "mmra/core/error.h"

namespace mmra::plus {
namespace {

void check_dim(const char* space, std::size_t actual, std::size_t expected) {
  if (actual == expected) return;
  throw Error(ErrorKind::kInvalidInput,
              std::string("a row's ") + space + " has " + std::to_string(actual) +
                  " values, the model was fitted on " + std::to_string(expected));
}

/// Appends values / |values|, or zeros where there is nothing to divide by.
void append_unit(std::span<const float> values, DenseRows& rows) {
  double squares = 0.0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  const double factor = squares > 0.0 ? 1.0 / std::sqrt(squares) : 0.0;
  for (const float value : values) {
    rows.values.push_back(static_cast<float>(value * factor));
  }
}

void append_visual(const std::vector<float>& mean, const VisualScale& scale, DenseRows& rows) {
  std::vector<float> standardised(scale.dim());
  if (!mean.empty()) {
    check_dim("mean of visual tokens", mean.size(), scale.dim());
    for (std::size_t i = 0; i < standardised.size(); ++i) {
      standardised[i] = (mean[i] - scale.origin[i]) / scale.deviation[i];
    }
  }
  append_unit(standardised, rows);
}

}  // namespace

RowVectors make_vectors(const bank::FeatureTable& table, std::span<const std::int32_t> rows,
                        std::span<const TitleTerms> terms, const Spaces& spaces) {
  RowVectors vectors;
  vectors.retrieval.dim = spaces.retrieval_dim;
  vectors.visual.dim = spaces.visual.dim();
  vectors.retrieval.values.reserve(rows.size() * vectors.retrieval.dim);
  vectors.visual.values.reserve(rows.size() * vectors.visual.dim);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bank::RowDetails& details = table.details(static_cast<std::size_t>(rows[i]));
    spaces.lexical.append(terms[i], vectors.lexical);
    if (spaces.retrieval_dim > 0) {
      check_dim("retrieval vector", details.retrieval_vector.size(), spaces.retrieval_dim);
      append_unit(details.retrieval_vector, vectors.retrieval);
    }
    if (vectors.visual.dim > 0) {
      append_visual(details.visual_mean, spaces.visual, vectors.visual);
    }
  }
  return vectors;
}

VisualScale fit_visual_scale(const bank::FeatureTable& table, std::span<const std::int32_t> rows) {
  std::vector<double> sums;
  std::vector<double> squares;
  double count = 0.0;
  for (const std::int32_t row : rows) {
    const std::vector<float>& mean = table.details(static_cast<std::size_t>(row)).visual_mean;
    if (mean.empty()) continue;
    sums.resize(mean.size());
    squares.resize(mean.size());
    for (std::size_t i = 0; i < mean.size(); ++i) {
      sums[i] += mean[i];
      squares[i] += static_cast<double>(mean[i]) * mean[i];
    }
    count += 1.0;
  }
  VisualScale scale;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const double mean = sums[i] / count;
    const double variance = squares[i] / count - mean * mean;
    scale.origin.push_back(static_cast<float>(mean));
    // Below this it is rounding of half-precision tokens, not a difference of clips.
    const bool varies = variance > 1e-6 * (1.0 + mean * mean);
    scale.deviation.push_back(varies ? static_cast<float>(std::sqrt(variance)) : 1.0F);
  }
  return scale;
}

}  // namespace mmra::plus
