#pragma once

#include <cstddef>
#include <cstdint>

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

/// to [a_rows × b_rows] = a · bᵀ of bytes, row-major with `columns` columns each. What the
/// processor may add up in 16 bits must fit: a ≤ 127. On the calling thread alone; throws as above.
void multiply_bytes_by_transposed(const std::uint8_t* a, std::size_t a_rows, const std::int8_t* b,
                                  std::size_t b_rows, std::size_t columns, std::int32_t* to);

}  // namespace mmra::retrieval
