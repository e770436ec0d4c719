#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "mmra/core/float16.h"

namespace mmra::encoders {

/// Compressed sparse rows, [num_rows × num_columns].
struct SparseMatrix {
  std::size_t num_columns = 0;
  std::vector<std::size_t> row_begins{0};  ///< of `columns` and `values`; one more than rows
  std::vector<std::int32_t> columns;
  std::vector<float> values;

  [[nodiscard]] std::size_t num_rows() const { return row_begins.size() - 1; }
};

/// The right singular vectors of `matrix` with the largest singular values, as columns of a
/// row-major [num_columns × rank] matrix of float16: Halko, Martinsson and Tropp 2011,
/// algorithm 4.4, with `num_iterations` power iterations, 16 directions more than asked for, and a
/// fixed pattern of ±1 to start from. Each vector's largest entry is positive. Directions whose
/// singular value is below 10⁻³ of the first are zero columns, as are those beyond the matrix's
/// rank. The result does not depend on the number of threads. Memory: 8 · (rank + 16) · (num_rows +
/// num_columns) bytes and twice the sparse matrix.
[[nodiscard]] std::vector<Float16Bits> right_singular_vectors(const SparseMatrix& matrix, int rank,
                                                              int num_iterations, int num_threads);

}  // namespace mmra::encoders
