#include "mmra/encoders/builtin/text_model.h"

#include <algorithm>
#include <cmath>

namespace mmra::encoders {
namespace {

constexpr std::uint64_t kGoldenRatio = 0x9E3779B97F4A7C15ULL;
constexpr std::uint64_t kSeedStep = 0x632BE59BD9B4E019ULL;

/// splitmix64's step: every bit of the result depends on every bit of `value`.
std::uint64_t mix(std::uint64_t value) {
  value += kGoldenRatio;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31);
}

}  // namespace

std::ptrdiff_t TextModel::find(TermHash hash) const {
  const auto found = std::lower_bound(hashes.begin(), hashes.end(), hash);
  return found != hashes.end() && *found == hash ? found - hashes.begin() : -1;
}

std::vector<WeightedTerm> weigh_terms(const TermCounts& terms, const TextModel& model,
                                      UnitOver unit_over) {
  std::vector<WeightedTerm> weighted;
  weighted.reserve(terms.size());
  double seen_energy = 0.0;
  double energy = 0.0;
  for (const TermCount& term : terms) {
    const std::ptrdiff_t position = model.find(term.hash);
    const double num_titles = position < 0 ? 1.0 : std::max(1, model.title_counts[position]);
    const double rarity =
        std::log((1.0 + static_cast<double>(model.num_titles)) / (1.0 + num_titles)) + 1.0;
    const double weight = (1.0 + std::log(term.count)) * rarity;
    energy += weight * weight;
    if (position >= 0) seen_energy += weight * weight;
    weighted.push_back({term.hash, position, weight});
  }
  const double unit = unit_over == UnitOver::kSeen && seen_energy > 0.0 ? seen_energy : energy;
  for (WeightedTerm& term : weighted) term.weight /= std::sqrt(unit);
  return weighted;
}

HashedEntry hashed_entry(TermHash hash, std::uint64_t seed, int entry, int dim) {
  const std::uint64_t bits =
      mix(hash + seed * kSeedStep + static_cast<std::uint64_t>(entry) * kGoldenRatio);
  return {static_cast<std::uint32_t>((bits >> 32) % static_cast<std::uint64_t>(dim)),
          (bits & 1) != 0 ? 0.5F : -0.5F};
}

}  // namespace mmra::encoders
