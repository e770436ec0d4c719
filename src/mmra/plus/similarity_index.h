#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "mmra/plus/row_vectors.h"

namespace mmra::plus {

/// The similarity of two clips, from their cosines c_s in the spaces that there are:
///   k(x, x') = Σ_s w_s exp(γ_s (c_s − 1)),  Σ_s w_s = 1,
/// 1 for what is alike in all of them. A positive definite kernel, since every c_s is one.
struct Kernel {
  double lexical_weight = 0.6;  ///< the rest is shared equally by the dense spaces
  double lexical_scale = 2.0;   ///< γ of the lexical space
  double dense_scale = 4.0;     ///< γ of the retrieval vectors'
  double visual_scale = 2.0;    ///< γ of the frames'
};

/// Rows that queries are compared with, all of them. Immutable, thread-safe.
class SimilarityIndex {
 public:
  /// `num_columns` of the lexical space.
  SimilarityIndex(RowVectors rows, std::size_t num_columns, const Kernel& kernel);

  [[nodiscard]] std::size_t num_rows() const { return num_rows_; }
  [[nodiscard]] const RowVectors& rows() const { return rows_; }
  /// Row-major [count × num_rows()]: the similarities of queries [first, first + count) with every
  /// row. What a query gets does not depend on the others.
  void compare(const RowVectors& queries, std::size_t first, std::size_t count,
               std::vector<float>& similarities) const;

 private:
  void add_lexical(const RowVectors& queries, std::size_t first, std::size_t count,
                   std::vector<float>& similarities) const;
  void add_dense(const DenseRows& rows, const DenseRows& queries, double scale, std::size_t first,
                 std::size_t count, std::vector<float>& similarities) const;

  RowVectors rows_;
  std::size_t num_rows_;
  Kernel kernel_;
  float lexical_weight_;
  float dense_weight_;
  // The lexical vectors by column: rows_of_[column_begin_[c] … column_begin_[c + 1]).
  std::vector<std::uint64_t> column_begin_;
  std::vector<std::uint32_t> rows_of_;
  std::vector<float> values_of_;
};

}  // namespace mmra::plus
