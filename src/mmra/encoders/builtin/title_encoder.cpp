#include "mmra/encoders/builtin/title_encoder.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace mmra::encoders {
namespace {

constexpr float kTokenHashWeight = 0.2F;
/// Terms of fewer fitted titles are left out of retrieval while a title has others.
constexpr std::int32_t kMinTitles = 2;

/// out += weight · row.
void add_row(std::span<const Float16Bits> basis, std::int64_t row, float weight,
             std::span<float> out) {
  thread_local std::vector<float> values;
  values.resize(out.size());
  halves_to_floats(basis.subspan(static_cast<std::size_t>(row) * out.size(), out.size()), values);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] += weight * values[i];
}

void add_hashed(TermHash hash, std::uint64_t seed, float weight, std::span<float> out) {
  for (int entry = 0; entry < kHashedEntries; ++entry) {
    const HashedEntry at = hashed_entry(hash, seed, entry, static_cast<int>(out.size()));
    out[at.index] += weight * at.value;
  }
}

void encode_token(const TermCounts& words, const TextModel& model, std::span<float> out) {
  const auto basis_part = out.first<kTokenBasisDim>();
  for (const WeightedTerm& term : weigh_terms(words, model, UnitOver::kSeen)) {
    if (term.position < 0 || model.token_rows[term.position] < 0) continue;
    add_row(model.token_basis, model.token_rows[term.position], static_cast<float>(term.weight),
            basis_part);
  }
  const auto hash_part = out.last<kTokenHashDim>();
  for (const WeightedTerm& term : weigh_terms(words, model, UnitOver::kAll)) {
    add_hashed(term.hash, kTokenHashSeed, kTokenHashWeight * static_cast<float>(term.weight),
               hash_part);
  }
  for (float& value : out) value *= model.token_scale;
}

/// Keeps the terms of at least kMinTitles titles, unless there are none.
void keep_known(std::vector<WeightedTerm>& terms, const TextModel& model) {
  const auto is_rare = [&](const WeightedTerm& term) {
    return term.position < 0 || model.title_counts[term.position] < kMinTitles;
  };
  if (!std::all_of(terms.begin(), terms.end(), is_rare)) std::erase_if(terms, is_rare);
}

void scale_to_unit_length(std::span<float> values) {
  double energy = 0.0;
  for (const float value : values) energy += static_cast<double>(value) * value;
  if (energy <= 0.0) return;
  const double length = std::sqrt(energy);
  for (float& value : values) value = static_cast<float>(value / length);
}

}  // namespace

TokenMatrix encode_title_tokens(const TitleTerms& terms, const TextModel& model) {
  TokenMatrix tokens{0, kTextDim, {}};
  if (terms.words.empty()) return tokens;
  tokens.num_tokens = static_cast<int>(1 + terms.phrases.size());
  tokens.values.resize(static_cast<std::size_t>(tokens.num_tokens) * kTextDim);
  const auto row = [&](std::size_t index) {
    return std::span(tokens.values).subspan(index * kTextDim, kTextDim);
  };
  encode_token(terms.words, model, row(0));
  for (std::size_t i = 0; i < terms.phrases.size(); ++i) {
    encode_token(terms.phrases[i], model, row(i + 1));
  }
  return tokens;
}

std::vector<WeightedTerm> weigh_for_retrieval(const TitleTerms& terms, const TextModel& model) {
  std::vector<WeightedTerm> weighted = weigh_terms(terms.words, model, UnitOver::kSeen);
  const auto characters = weigh_terms(terms.characters, model, UnitOver::kSeen);
  weighted.insert(weighted.end(), characters.begin(), characters.end());
  const double half = std::sqrt(0.5);
  for (WeightedTerm& term : weighted) term.weight *= half;
  keep_known(weighted, model);
  return weighted;
}

std::array<float, kTitleVectorDim> encode_title_vector(const TitleTerms& terms,
                                                       const TextModel& model) {
  std::array<float, kTitleVectorDim> vector{};
  const auto basis_part = std::span(vector).first<kRetrievalBasisDim>();
  const auto hash_part = std::span(vector).last<kRetrievalHashDim>();
  for (const WeightedTerm& term : weigh_for_retrieval(terms, model)) {
    const auto weight = static_cast<float>(term.weight);
    add_hashed(term.hash, kRetrievalHashSeed, weight, hash_part);
    if (term.position < 0 || model.retrieval_rows[term.position] < 0) continue;
    add_row(model.retrieval_basis, model.retrieval_rows[term.position], weight, basis_part);
  }
  for (int i = 0; i < kRetrievalBasisDim && !model.hashed_basis.empty(); ++i) {
    const float* row = model.hashed_basis.data() + static_cast<std::size_t>(i) * kRetrievalHashDim;
    const float weight = basis_part[i];
    for (int j = 0; j < kRetrievalHashDim; ++j) hash_part[j] -= weight * row[j];
  }
  scale_to_unit_length(vector);
  return vector;
}

}  // namespace mmra::encoders
