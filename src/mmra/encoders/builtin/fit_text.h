#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "mmra/encoders/builtin/text_model.h"

namespace mmra::encoders {

/// What TextModel refers to, owned.
struct FittedText {
  std::int64_t num_titles = 0;
  float token_scale = 1.0F;
  std::vector<TermHash> hashes;
  std::vector<std::int32_t> title_counts;
  std::vector<std::int32_t> token_rows;
  std::vector<std::int32_t> retrieval_rows;
  std::vector<Float16Bits> token_basis;
  std::vector<Float16Bits> retrieval_basis;
  std::vector<float> hashed_basis;

  /// Refers into this object.
  [[nodiscard]] TextModel model() const;
};

/// More titles than this are fitted on an even choice of as many, so that time and memory are
/// bounded (some 500 MiB).
inline constexpr std::size_t kMaxFittedTitles = 50'000;

/// Term statistics and the two bases. No label is seen. Deterministic in the titles and their
/// order, whatever the number of threads. No titles give a model that hashes every term.
[[nodiscard]] FittedText fit_text(std::span<const std::string> titles, int num_threads);

}  // namespace mmra::encoders
