#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <vector>

#include "mmra/core/float16.h"

namespace mmra::model::neural {

/// A sparse matrix of constant weights, [num_rows × num_columns], given row by row.
class WeightedRows {
 public:
  explicit WeightedRows(std::int64_t num_columns) : num_columns_(num_columns) {}

  /// An entry of the row that is being filled; end_row() begins the next.
  void add(std::int64_t column, double weight) {
    columns_.push_back(column);
    weights_.push_back(weight);
  }
  void end_row() { row_begin_.push_back(static_cast<std::int64_t>(columns_.size())); }

  [[nodiscard]] std::int64_t num_rows() const {
    return static_cast<std::int64_t>(row_begin_.size()) - 1;
  }
  [[nodiscard]] std::int64_t num_columns() const { return num_columns_; }

  /// Y = S X, [num_columns × d] to [num_rows × d]; differentiable in X. The same for any number of
  /// threads: every row is summed by one thread in the order of its entries.
  [[nodiscard]] at::Tensor times(const at::Tensor& x) const;

  /// The same for constants: X's rows are `width` float16 values each, wherever they lie.
  [[nodiscard]] at::Tensor times_halves(std::span<const Float16Bits* const> rows,
                                        std::int64_t width, at::ScalarType dtype) const;

 private:
  std::int64_t num_columns_;
  std::vector<std::int64_t> row_begin_{0};
  std::vector<std::int64_t> columns_;
  std::vector<double> weights_;
};

}  // namespace mmra::model::neural
