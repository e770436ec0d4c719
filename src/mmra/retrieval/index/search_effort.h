#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace mmra::retrieval {

/// How far a search of an index goes.
struct SearchEffort {
  std::int32_t width =
      0;  ///< efSearch of a graph, nprobe of inverted lists; 0: there is no such thing
  std::int32_t places = 0;  ///< that it proposes for the ten nearest
};

/// Of a search among all vectors, and among a half, a quarter … of them, which a filter admits: the
/// fewer there are, the further apart the nearest lie.
inline constexpr std::size_t kNumEfforts = 7;
using FilteredEfforts = std::array<SearchEffort, kNumEfforts>;

/// Of the ten nearest, how many an effort is to find: all, or as many as a part of a bank has of
/// them. A part of a tenth has about one of the bank's ten, and to find its own tenth-nearest,
/// which lies much further off, would be for nothing.
inline constexpr std::array<std::size_t, 3> kEffortRanks = {10, 4, 1};
inline constexpr std::size_t kNumRanks = kEffortRanks.size();
using SearchEfforts = std::array<FilteredEfforts, kNumRanks>;

/// The share of all vectors that effort i is for.
[[nodiscard]] inline double share_of_effort(std::size_t i) {
  return 1.0 / static_cast<double>(std::size_t{1} << i);
}

// A share that was estimated is no more than so far off.
inline constexpr double kToleranceOfShare = 0.1;

/// Which of kEffortRanks is enough for a part that has such a share of all that a query may see.
/// The bank's tenth-nearest is as near as the part's own of that share of ten, on average. Where
/// the part has more of the ten, they are no further off than that.
[[nodiscard]] inline std::size_t rank_for(double share_of_bank) {
  const double expected = share_of_bank * static_cast<double>(kEffortRanks.front());
  std::size_t rank = 0;
  while (rank + 1 < kNumRanks &&
         expected <= (1.0 + kToleranceOfShare) * static_cast<double>(kEffortRanks[rank + 1])) {
    ++rank;
  }
  return rank;
}

/// The effort for a search of which such a share of the vectors is admitted: that of the next
/// smaller share.
[[nodiscard]] inline SearchEffort effort_for(const FilteredEfforts& efforts, double share) {
  const double halvings = std::log2(1.0 / std::clamp(share, 1e-9, 1.0)) - kToleranceOfShare;
  const double at = std::clamp(std::ceil(halvings), 0.0, static_cast<double>(kNumEfforts - 1));
  return efforts[static_cast<std::size_t>(at)];
}

}  // namespace mmra::retrieval
