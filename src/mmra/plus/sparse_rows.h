#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mmra::plus {

/// One row: values at columns, the columns of a row all different.
struct SparseRow {
  std::span<const std::uint32_t> columns;
  std::span<const float> values;
};

/// Rows of which most values are zero: row i is [begin[i], begin[i + 1]) of the other two.
struct SparseRows {
  std::vector<std::uint64_t> begin{0};
  std::vector<std::uint32_t> columns;
  std::vector<float> values;

  [[nodiscard]] std::size_t num_rows() const { return begin.size() - 1; }
  [[nodiscard]] SparseRow row(std::size_t index) const {
    const std::size_t first = begin[index];
    const std::size_t count = begin[index + 1] - first;
    return {std::span(columns).subspan(first, count), std::span(values).subspan(first, count)};
  }
  /// What was pushed to columns and values since the last row is the next row.
  void end_row() { begin.push_back(columns.size()); }
};

}  // namespace mmra::plus
