#include "mmra/encoders/builtin/fit_text.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "mmra/core/threads.h"
#include "mmra/encoders/builtin/title_encoder.h"
#include "mmra/encoders/builtin/truncated_svd.h"

namespace mmra::encoders {
namespace {

// A term of fewer titles has no row of its own: it says nothing about which terms go together.
constexpr std::int32_t kMinTitlesOfTokenBasis = 2;
constexpr std::int32_t kMinTitlesOfRetrievalBasis = 5;
constexpr int kTokenIterations = 2;
constexpr int kRetrievalIterations = 1;
constexpr std::size_t kGrain = 256;
/// Length of the hashed words in a token, where there is nothing else to scale by.
constexpr float kHashedLength = 0.2F;

std::vector<std::string_view> choose(std::span<const std::string> titles) {
  const std::size_t count = std::min(titles.size(), kMaxFittedTitles);
  std::vector<std::string_view> chosen;
  chosen.reserve(count);
  for (std::size_t i = 0; i < count; ++i) chosen.emplace_back(titles[i * titles.size() / count]);
  return chosen;
}

std::vector<TitleTerms> extract_all(std::span<const std::string_view> titles, int num_threads) {
  std::vector<TitleTerms> terms(titles.size());
  parallel_for(titles.size(), kGrain, num_threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      terms[i] = extract_terms(titles[i]);
      terms[i].phrases.clear();  // the fit looks at whole titles
    }
  });
  return terms;
}

/// Fills hashes and title_counts; gives the hashes of words and pairs among them.
std::vector<TermHash> count_titles(std::span<const TitleTerms> titles, FittedText& fitted) {
  std::vector<TermHash> occurrences;
  std::vector<TermHash> words;
  for (const TitleTerms& title : titles) {
    for (const TermCount& term : title.words) words.push_back(term.hash);
    for (const TermCount& term : title.characters) occurrences.push_back(term.hash);
  }
  occurrences.insert(occurrences.end(), words.begin(), words.end());
  std::sort(occurrences.begin(), occurrences.end());
  for (const TermHash hash : occurrences) {
    if (fitted.hashes.empty() || fitted.hashes.back() != hash) {
      fitted.hashes.push_back(hash);
      fitted.title_counts.push_back(0);
    }
    ++fitted.title_counts.back();
  }
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

/// Numbers the rows of both bases in the order of the terms' hashes; gives their numbers of rows.
std::pair<std::size_t, std::size_t> number_rows(std::span<const TermHash> words,
                                                FittedText& fitted) {
  fitted.token_rows.assign(fitted.hashes.size(), -1);
  fitted.retrieval_rows.assign(fitted.hashes.size(), -1);
  std::int32_t num_token_rows = 0;
  std::int32_t num_retrieval_rows = 0;
  for (std::size_t i = 0; i < fitted.hashes.size(); ++i) {
    const std::int32_t count = fitted.title_counts[i];
    const bool is_word = std::binary_search(words.begin(), words.end(), fitted.hashes[i]);
    if (is_word && count >= kMinTitlesOfTokenBasis) fitted.token_rows[i] = num_token_rows++;
    if (count >= kMinTitlesOfRetrievalBasis) fitted.retrieval_rows[i] = num_retrieval_rows++;
  }
  return {num_token_rows, num_retrieval_rows};
}

/// One row a title: the weights of the terms that have a row of their own in `rows`.
template <typename Weigh>
SparseMatrix title_matrix(std::span<const TitleTerms> titles, std::span<const std::int32_t> rows,
                          std::size_t num_rows, const Weigh& weigh) {
  SparseMatrix matrix;
  matrix.num_columns = num_rows;
  for (const TitleTerms& title : titles) {
    for (const WeightedTerm& term : weigh(title)) {
      if (term.position < 0 || rows[term.position] < 0) continue;
      matrix.columns.push_back(rows[term.position]);
      matrix.values.push_back(static_cast<float>(term.weight));
    }
    matrix.row_begins.push_back(matrix.columns.size());
  }
  return matrix;
}

/// [kRetrievalBasisDim × kRetrievalHashDim] = Vᵀ R: the retrieval basis seen through the hashing.
std::vector<float> hash_basis(const FittedText& fitted) {
  std::vector<double> sums(static_cast<std::size_t>(kRetrievalHashDim) * kRetrievalBasisDim, 0.0);
  std::vector<float> row(kRetrievalBasisDim);
  for (std::size_t i = 0; i < fitted.hashes.size(); ++i) {
    if (fitted.retrieval_rows[i] < 0) continue;
    const std::size_t begin = static_cast<std::size_t>(fitted.retrieval_rows[i]) * row.size();
    halves_to_floats(std::span(fitted.retrieval_basis).subspan(begin, row.size()), row);
    for (int entry = 0; entry < kHashedEntries; ++entry) {
      const HashedEntry at =
          hashed_entry(fitted.hashes[i], kRetrievalHashSeed, entry, kRetrievalHashDim);
      for (std::size_t j = 0; j < row.size(); ++j) {
        sums[j * kRetrievalHashDim + at.index] += at.value * row[j];
      }
    }
  }
  return {sums.begin(), sums.end()};
}

/// √(kTextDim / mean squared length of the title tokens).
float scale_of_tokens(std::span<const TitleTerms> titles, const TextModel& model, int num_threads) {
  std::vector<double> energies(titles.size(), 0.0);
  parallel_for(titles.size(), kGrain, num_threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      for (const float value : encode_title_tokens(titles[i], model).values) {
        energies[i] += static_cast<double>(value) * value;
      }
    }
  });
  double energy = 0.0;
  for (const double value : energies) energy += value;
  if (energy <= 0.0) return std::sqrt(static_cast<float>(kTextDim)) / kHashedLength;
  return static_cast<float>(std::sqrt(kTextDim * static_cast<double>(titles.size()) / energy));
}

}  // namespace

TextModel FittedText::model() const {
  return {num_titles,     token_scale, hashes,          title_counts, token_rows,
          retrieval_rows, token_basis, retrieval_basis, hashed_basis};
}

FittedText fit_text(std::span<const std::string> titles, int num_threads) {
  FittedText fitted;
  const std::vector<TitleTerms> terms = extract_all(choose(titles), num_threads);
  fitted.num_titles = static_cast<std::int64_t>(terms.size());
  const std::vector<TermHash> words = count_titles(terms, fitted);
  const auto [num_token_rows, num_retrieval_rows] = number_rows(words, fitted);
  const TextModel counts = fitted.model();
  fitted.token_basis = right_singular_vectors(title_matrix(terms, fitted.token_rows, num_token_rows,
                                                           [&](const TitleTerms& title) {
                                                             return weigh_terms(title.words, counts,
                                                                                UnitOver::kSeen);
                                                           }),
                                              kTokenBasisDim, kTokenIterations, num_threads);
  fitted.retrieval_basis = right_singular_vectors(
      title_matrix(terms, fitted.retrieval_rows, num_retrieval_rows,
                   [&](const TitleTerms& title) { return weigh_for_retrieval(title, counts); }),
      kRetrievalBasisDim, kRetrievalIterations, num_threads);
  fitted.hashed_basis = hash_basis(fitted);
  fitted.token_scale = scale_of_tokens(terms, fitted.model(), num_threads);
  return fitted;
}

}  // namespace mmra::encoders
