#pragma once

#include <cstddef>

namespace mmra::retrieval {

/// A row-major matrix somewhere in memory; rows follow each other without a gap.
struct MatrixView {
  const float* data = nullptr;
  std::size_t rows = 0;
  std::size_t columns = 0;
};

/// to [a.rows × b.rows] = a · bᵀ, and to [a.rows × b.columns] = a · b. On the calling thread alone:
/// callers divide rows among threads of their own, and oneDNN's OpenMP would start as many again
/// for each. Throws Error{kInternal} where oneDNN fails.
void multiply_by_transposed(MatrixView a, MatrixView b, float* to);
void multiply(MatrixView a, MatrixView b, float* to);

}  // namespace mmra::retrieval
