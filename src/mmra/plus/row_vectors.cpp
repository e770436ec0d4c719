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

void append_visual(const std::vector<float>& mean, const std::vector<float>& origin,
                   DenseRows& rows) {
  std::vector<float> centred(origin.size());
  if (!mean.empty()) {
    check_dim("mean of visual tokens", mean.size(), origin.size());
    for (std::size_t i = 0; i < origin.size(); ++i) centred[i] = mean[i] - origin[i];
  }
  append_unit(centred, rows);
}

}  // namespace

RowVectors make_vectors(const bank::FeatureTable& table, std::span<const std::int32_t> rows,
                        std::span<const TitleTerms> terms, const Spaces& spaces) {
  RowVectors vectors;
  vectors.retrieval.dim = spaces.retrieval_dim;
  vectors.visual.dim = spaces.visual_origin.size();
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
      append_visual(details.visual_mean, spaces.visual_origin, vectors.visual);
    }
  }
  return vectors;
}

std::vector<float> mean_visual(const bank::FeatureTable& table,
                               std::span<const std::int32_t> rows) {
  std::vector<double> sum;
  double count = 0.0;
  for (const std::int32_t row : rows) {
    const std::vector<float>& mean = table.details(static_cast<std::size_t>(row)).visual_mean;
    if (mean.empty()) continue;
    sum.resize(mean.size());
    for (std::size_t i = 0; i < mean.size(); ++i) sum[i] += mean[i];
    count += 1.0;
  }
  std::vector<float> mean;
  mean.reserve(sum.size());
  for (const double value : sum) mean.push_back(static_cast<float>(value / count));
  return mean;
}

}  // namespace mmra::plus
