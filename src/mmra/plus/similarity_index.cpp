#include "mmra/plus/similarity_index.h"

#include <Eigen/Core>
#include <algorithm>
#include <utility>

namespace mmra::plus {
namespace {

constexpr std::size_t kTileRows = 32;  // rows of a dense space that stay in the cache

/// Eight sums side by side, so that the compiler uses vectors, and always in this order.
float inner_product(const float* a, const float* b, std::size_t size) {
  constexpr std::size_t kLanes = 16;
  float sums[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  float sum = 0.0F;
  for (const float part : sums) sum += part;
  for (; i < size; ++i) sum += a[i] * b[i];
  return sum;
}

/// to += weight · exp(scale · (cosines − 1)).
void add_exponential(const std::vector<float>& cosines, float weight, double scale,
                     std::vector<float>& to) {
  const auto size = static_cast<Eigen::Index>(cosines.size());
  const Eigen::Map<const Eigen::ArrayXf> c(cosines.data(), size);
  Eigen::Map<Eigen::ArrayXf> sum(to.data(), size);
  sum += weight * (static_cast<float>(scale) * (c - 1.0F)).exp();
}

}  // namespace

SimilarityIndex::SimilarityIndex(RowVectors rows, std::size_t num_columns, const Kernel& kernel)
    : rows_(std::move(rows)), num_rows_(rows_.num_rows()), kernel_(kernel) {
  const std::size_t num_dense = (rows_.retrieval.dim > 0) + (rows_.visual.dim > 0);
  const double lexical = num_columns == 0 ? 0.0 : num_dense == 0 ? 1.0 : kernel.lexical_weight;
  lexical_weight_ = static_cast<float>(lexical);
  dense_weight_ =
      num_dense == 0 ? 0.0F : static_cast<float>((1.0 - lexical) / static_cast<double>(num_dense));

  column_begin_.assign(num_columns + 1, 0);
  for (const std::uint32_t column : rows_.lexical.columns) ++column_begin_[column + 1];
  for (std::size_t c = 0; c < num_columns; ++c) column_begin_[c + 1] += column_begin_[c];
  rows_of_.resize(rows_.lexical.columns.size());
  values_of_.resize(rows_.lexical.columns.size());
  std::vector<std::uint64_t> next(column_begin_.begin(), column_begin_.end() - 1);
  for (std::size_t row = 0; row < num_rows_; ++row) {
    const SparseRow entries = rows_.lexical.row(row);
    for (std::size_t i = 0; i < entries.columns.size(); ++i) {
      const std::uint64_t at = next[entries.columns[i]]++;
      rows_of_[at] = static_cast<std::uint32_t>(row);
      values_of_[at] = entries.values[i];
    }
  }
}

void SimilarityIndex::compare(const RowVectors& queries, std::size_t first, std::size_t count,
                              std::vector<float>& similarities) const {
  similarities.assign(count * num_rows_, 0.0F);
  if (lexical_weight_ > 0.0F) add_lexical(queries, first, count, similarities);
  if (rows_.retrieval.dim > 0) {
    add_dense(rows_.retrieval, queries.retrieval, kernel_.dense_scale, first, count, similarities);
  }
  if (rows_.visual.dim > 0) {
    add_dense(rows_.visual, queries.visual, kernel_.visual_scale, first, count, similarities);
  }
}

void SimilarityIndex::add_lexical(const RowVectors& queries, std::size_t first, std::size_t count,
                                  std::vector<float>& similarities) const {
  std::vector<float> cosines(similarities.size(), 0.0F);
  for (std::size_t q = 0; q < count; ++q) {
    float* const out = cosines.data() + q * num_rows_;
    const SparseRow query = queries.lexical.row(first + q);
    for (std::size_t i = 0; i < query.columns.size(); ++i) {
      const float value = query.values[i];
      const std::uint64_t end = column_begin_[query.columns[i] + 1];
      for (std::uint64_t at = column_begin_[query.columns[i]]; at < end; ++at) {
        out[rows_of_[at]] += value * values_of_[at];
      }
    }
  }
  add_exponential(cosines, lexical_weight_, kernel_.lexical_scale, similarities);
}

void SimilarityIndex::add_dense(const DenseRows& rows, const DenseRows& queries, double scale,
                                std::size_t first, std::size_t count,
                                std::vector<float>& similarities) const {
  std::vector<float> cosines(similarities.size());
  for (std::size_t begin = 0; begin < num_rows_; begin += kTileRows) {
    const std::size_t end = std::min(begin + kTileRows, num_rows_);
    for (std::size_t q = 0; q < count; ++q) {
      const float* const query = queries.row(first + q).data();
      for (std::size_t row = begin; row < end; ++row) {
        cosines[q * num_rows_ + row] = inner_product(query, rows.row(row).data(), rows.dim);
      }
    }
  }
  add_exponential(cosines, dense_weight_, scale, similarities);
}

}  // namespace mmra::plus
