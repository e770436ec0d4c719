#pragma once

#include <cstddef>
#include <span>

#include "mmra/plus/sparse_rows.h"
#include "mmra/plus/tfidf.h"
#include "mmra/plus/title_terms.h"

namespace mmra::plus {

/// Texts as vectors whose inner product is the mean of two cosines, one over words and pairs of
/// words, one over characters: what is written alike in either way is near.
struct LexicalSpace {
  Tfidf words;
  Tfidf characters;

  /// Terms that fewer than two (words) or three (characters) texts have are left out.
  [[nodiscard]] static LexicalSpace fit(std::span<const TitleTerms> titles);
  [[nodiscard]] std::size_t num_columns() const { return words.size() + characters.size(); }
  void append(const TitleTerms& title, SparseRows& rows) const;
};

}  // namespace mmra::plus
