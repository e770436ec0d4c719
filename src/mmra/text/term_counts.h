#pragma once

#include <cstdint>
#include <vector>

namespace mmra::text {

/// A term is known by its 64-bit hash alone: of 10⁶ terms two share one with a chance of 3·10⁻⁸.
using TermHash = std::uint64_t;

struct TermCount {
  TermHash hash = 0;
  std::uint32_t count = 0;
  friend bool operator==(const TermCount&, const TermCount&) = default;
};

/// Terms and how often they occur, sorted by hash, so that nothing depends on a container's order.
using TermCounts = std::vector<TermCount>;

[[nodiscard]] TermCounts count_terms(std::vector<TermHash> hashes);

}  // namespace mmra::text
