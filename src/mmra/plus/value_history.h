#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "mmra/core/timestamp.h"
#include "mmra/plus/title_terms.h"

namespace mmra::plus {

inline constexpr std::size_t kHistoryWidth = 5;

/// The labelled rows of each value of a context column in the order of time: how a creator's
/// earlier videos fared.
class ValueHistory {
 public:
  void add(TermHash value, Timestamp posted_at, float label, std::size_t row);
  /// After the last add, before the first describe.
  void sort();

  /// Of the rows with this value, posted strictly before `before` (all of them where it is not
  /// given), that `admits` lets in: how many, the mean, the last and the largest of their labels,
  /// days since the last. NaN for what none has, and for the days where `before` is not given.
  void describe(TermHash value, std::optional<Timestamp> before,
                const std::function<bool(std::size_t)>& admits, std::span<float> out) const;

 private:
  struct Entry {
    Timestamp posted_at;
    float label = 0.0F;
    std::size_t row = 0;
  };
  std::unordered_map<TermHash, std::vector<Entry>> entries_;
};

}  // namespace mmra::plus
