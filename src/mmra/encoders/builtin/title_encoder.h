#pragma once

#include <array>
#include <vector>

#include "mmra/core/token_matrix.h"
#include "mmra/encoders/builtin/text_model.h"

namespace mmra::encoders {

/// E^t of a title: its token, then one a phrase, each kTextDim: the sum of weighted basis rows,
/// then 0.2 × the hashed words, all × the model's scale. No tokens without words.
[[nodiscard]] TokenMatrix encode_title_tokens(const TitleTerms& terms, const TextModel& model);

/// The title's part of the retrieval vector: half words and pairs, half characters, terms of at
/// least two fitted titles (all terms, hashed, where a title has none of those). The basis part,
/// then the hashed terms less what of them the basis part holds. Unit length; all zeros without
/// words.
[[nodiscard]] std::array<float, kTitleVectorDim> encode_title_vector(const TitleTerms& terms,
                                                                     const TextModel& model);

/// The sparse vector that the retrieval part is a projection of; the fit uses it too. Words and
/// characters each with weights of unit length × √½.
[[nodiscard]] std::vector<WeightedTerm> weigh_for_retrieval(const TitleTerms& terms,
                                                            const TextModel& model);

/// Seeds of the two hashed parts.
inline constexpr std::uint64_t kTokenHashSeed = 1002;
inline constexpr std::uint64_t kRetrievalHashSeed = 2;

}  // namespace mmra::encoders
