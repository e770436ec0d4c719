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
using SearchEfforts = std::array<SearchEffort, kNumEfforts>;

/// The share of all vectors that effort i is for.
[[nodiscard]] inline double share_of_effort(std::size_t i) {
  return 1.0 / static_cast<double>(std::size_t{1} << i);
}

/// The effort for a search of which such a share of the vectors is admitted: that of the next
/// smaller share.
[[nodiscard]] inline SearchEffort effort_for(const SearchEfforts& efforts, double share) {
  // A share that was estimated is no more than so far off.
  constexpr double kTolerance = 0.1;
  const double halvings = std::log2(1.0 / std::clamp(share, 1e-9, 1.0)) - kTolerance;
  const double at = std::clamp(std::ceil(halvings), 0.0, static_cast<double>(kNumEfforts - 1));
  return efforts[static_cast<std::size_t>(at)];
}

}  // namespace mmra::retrieval
