#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "mmra/core/float16.h"
#include "mmra/encoders/builtin/title_terms.h"

namespace mmra::encoders {

// Sizes of the builtin text part; a change needs a new version of the artefact.
inline constexpr int kTokenBasisDim = 448;  ///< latent semantic analysis of words and pairs
inline constexpr int kTokenHashDim = 64;    ///< which words they are, hashed
inline constexpr int kTextDim = kTokenBasisDim + kTokenHashDim;  ///< d_t
inline constexpr int kRetrievalBasisDim =
    256;                                       ///< latent semantic analysis of words and characters
inline constexpr int kRetrievalHashDim = 768;  ///< what the basis does not hold, hashed
inline constexpr int kTitleVectorDim = kRetrievalBasisDim + kRetrievalHashDim;

/// What was fitted, by reference: into a mapped artefact or into a FittedText. Terms are sorted by
/// hash; a basis has a row for each term that points to one. Bases are row-major [rows × dim].
struct TextModel {
  std::int64_t num_titles = 0;  ///< that were fitted on, N
  float token_scale = 1.0F;     ///< brings the elements of a title token to a spread of one
  std::span<const TermHash> hashes;
  std::span<const std::int32_t> title_counts;    ///< titles that have the term, n
  std::span<const std::int32_t> token_rows;      ///< row of `token_basis`, −1: none
  std::span<const std::int32_t> retrieval_rows;  ///< row of `retrieval_basis`, −1: none
  std::span<const Float16Bits> token_basis;      ///< [· × kTokenBasisDim]
  std::span<const Float16Bits> retrieval_basis;  ///< [· × kRetrievalBasisDim]
  /// The basis, hashed [kRetrievalBasisDim × kRetrievalHashDim], or empty without a basis: what the
  /// hashed part must be relieved of, since the basis part has it already.
  std::span<const float> hashed_basis;

  /// Position among `hashes`, or −1 for a term that was not seen.
  [[nodiscard]] std::ptrdiff_t find(TermHash hash) const;
};

/// One term of a title with its weight.
struct WeightedTerm {
  TermHash hash = 0;
  std::ptrdiff_t position = -1;  ///< in the model's terms, −1: not seen in fitting
  double weight = 0.0;
};

/// Which terms a vector of weights has unit length over.
enum class UnitOver {
  kSeen,  ///< those seen in fitting; over all where none was
  kAll,
};

/// (1 + ln count) · (ln((1 + N) / (1 + max(1, n))) + 1), scaled to unit length.
[[nodiscard]] std::vector<WeightedTerm> weigh_terms(const TermCounts& terms, const TextModel& model,
                                                    UnitOver unit_over);

/// Where a term lands in a hashed vector of `dim` elements: four entries of ±1/2 (entries that fall
/// on one another add up), from splitmix64 of its hash. Two unrelated terms are nearly orthogonal.
inline constexpr int kHashedEntries = 4;
struct HashedEntry {
  std::uint32_t index = 0;
  float value = 0.0F;
};
[[nodiscard]] HashedEntry hashed_entry(TermHash hash, std::uint64_t seed, int entry, int dim);

}  // namespace mmra::encoders
