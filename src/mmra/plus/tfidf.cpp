#include "mmra/plus/tfidf.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <utility>

namespace mmra::plus {

Tfidf::Tfidf(std::vector<TermHash> terms, std::vector<float> idf)
    : terms_(std::move(terms)), idf_(std::move(idf)) {}

Tfidf Tfidf::fit(const std::vector<const TermCounts*>& documents, int min_documents) {
  std::unordered_map<TermHash, int> frequencies;
  for (const TermCounts* document : documents) {
    for (const TermCount& term : *document) ++frequencies[term.hash];
  }
  std::vector<TermHash> terms;
  for (const auto& [hash, frequency] : frequencies) {
    if (frequency >= min_documents) terms.push_back(hash);
  }
  std::sort(terms.begin(), terms.end());
  std::vector<float> idf;
  idf.reserve(terms.size());
  const double n = static_cast<double>(documents.size());
  for (const TermHash hash : terms) {
    idf.push_back(static_cast<float>(std::log((1.0 + n) / (1.0 + frequencies[hash])) + 1.0));
  }
  return {std::move(terms), std::move(idf)};
}

void Tfidf::append(const TermCounts& document, float scale, std::uint32_t first_column,
                   SparseRows& rows) const {
  const std::size_t first = rows.values.size();
  double squares = 0.0;
  auto at = terms_.begin();  // both are ascending
  for (const TermCount& term : document) {
    at = std::lower_bound(at, terms_.end(), term.hash);
    if (at == terms_.end()) break;
    if (*at != term.hash) continue;
    const auto index = static_cast<std::size_t>(at - terms_.begin());
    const double value = (1.0 + std::log(static_cast<double>(term.count))) * idf_[index];
    squares += value * value;
    rows.columns.push_back(first_column + static_cast<std::uint32_t>(index));
    rows.values.push_back(static_cast<float>(value));
  }
  if (squares == 0.0) return;
  const auto factor = static_cast<float>(scale / std::sqrt(squares));
  for (std::size_t i = first; i < rows.values.size(); ++i) rows.values[i] *= factor;
}

}  // namespace mmra::plus
