#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "mmra/plus/sparse_rows.h"
#include "mmra/plus/title_terms.h"

namespace mmra::plus {

/// scikit-learn's TfidfVectorizer(sublinear_tf=True) on terms that were counted already: of a term
/// t in a document, (1 + ln count) · (1 + ln((1 + N) / (1 + df_t))), each document of unit length.
class Tfidf {
 public:
  Tfidf() = default;
  /// Keeps the terms that `min_documents` of the documents or more have.
  [[nodiscard]] static Tfidf fit(const std::vector<const TermCounts*>& documents,
                                 int min_documents);
  /// `terms` ascending, one `idf` each.
  Tfidf(std::vector<TermHash> terms, std::vector<float> idf);

  [[nodiscard]] std::size_t size() const { return terms_.size(); }
  [[nodiscard]] const std::vector<TermHash>& terms() const { return terms_; }
  [[nodiscard]] const std::vector<float>& idf() const { return idf_; }

  /// Appends a document's entries, times `scale`, to the row that `rows` is at; term i is column
  /// `first_column` + i. Nothing where it has no known term.
  void append(const TermCounts& document, float scale, std::uint32_t first_column,
              SparseRows& rows) const;

 private:
  std::vector<TermHash> terms_;
  std::vector<float> idf_;
};

}  // namespace mmra::plus
