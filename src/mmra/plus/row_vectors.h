#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "mmra/bank/feature_table.h"
#include "mmra/plus/lexical_space.h"
#include "mmra/plus/sparse_rows.h"

namespace mmra::plus {

/// Rows of one length, row-major [num_rows × dim]; dim 0: this space is not used.
struct DenseRows {
  std::size_t dim = 0;
  std::vector<float> values;

  [[nodiscard]] std::span<const float> row(std::size_t index) const {
    return std::span(values).subspan(index * dim, dim);
  }
};

/// What similarities are made of: of each row a vector of unit length in each space, or zeros where
/// the row says nothing there.
struct RowVectors {
  SparseRows lexical;   ///< the title
  DenseRows retrieval;  ///< the bank's retrieval vectors
  DenseRows visual;     ///< the mean of the frames' tokens, standardised on the train rows

  [[nodiscard]] std::size_t num_rows() const { return lexical.num_rows(); }
};

/// The mean of the frames' tokens is taken from its mean over the train rows, in units of its
/// standard deviation there, element by element: what all clips share, and what few of them vary
/// much in, does not decide which are alike.
struct VisualScale {
  std::vector<float> origin;     ///< [d_v]; empty: not used
  std::vector<float> deviation;  ///< [d_v], above 0

  [[nodiscard]] std::size_t dim() const { return origin.size(); }
};

/// How rows become vectors: fitted on train rows, then the same for every row.
struct Spaces {
  LexicalSpace lexical;
  std::size_t retrieval_dim = 0;  ///< 0: not used
  VisualScale visual;
};

/// Of rows `rows` of a table with details; `terms` are those rows' (empty titles: no lexical
/// vectors at all are an empty row each). Throws Error{kInvalidInput} where a vector is of another
/// dimension than the model's.
[[nodiscard]] RowVectors make_vectors(const bank::FeatureTable& table,
                                      std::span<const std::int32_t> rows,
                                      std::span<const TitleTerms> terms, const Spaces& spaces);

/// Of the rows' visual means; empty where no row has frames. An element that never varies has the
/// deviation 1.
[[nodiscard]] VisualScale fit_visual_scale(const bank::FeatureTable& table,
                                           std::span<const std::int32_t> rows);

}  // namespace mmra::plus
