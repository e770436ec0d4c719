#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "mmra/plus/title_terms.h"

namespace mmra::plus {

inline constexpr std::size_t kKeyWidth = 7;

/// How rows with a key (a word, a hashtag, a creator) fared: of key g with n_g train rows,
///   e_g = Σ (y − μ) / (n_g + κ),
/// the mean shrunk towards none, the more so the fewer rows have the key.
class KeyStatistics {
 public:
  struct Sum {
    double labels = 0.0;
    std::int32_t count = 0;
  };

  /// No rows yet; `shrinkage` is κ > 0.
  explicit KeyStatistics(double shrinkage) : shrinkage_(shrinkage) {}
  void add(std::span<const TermHash> keys, float label);
  /// Of these statistics without rows that `other` counted.
  [[nodiscard]] KeyStatistics without(const KeyStatistics& other) const;

  /// Σ e, max e, min e, max n, min n, the number of known keys, Σ w e / (Σ w + 0.3) with
  /// w = n / (n + κ), over the keys that are known; zeros where none is.
  void describe(std::span<const TermHash> keys, std::span<float> out) const;

  // What is saved.
  [[nodiscard]] double shrinkage() const { return shrinkage_; }
  [[nodiscard]] double label_sum() const { return label_sum_; }
  [[nodiscard]] std::int64_t num_rows() const { return num_rows_; }
  [[nodiscard]] const std::unordered_map<TermHash, Sum>& sums() const { return sums_; }
  KeyStatistics(double shrinkage, double label_sum, std::int64_t num_rows,
                std::unordered_map<TermHash, Sum> sums);

 private:
  double shrinkage_;
  double label_sum_ = 0.0;
  std::int64_t num_rows_ = 0;
  std::unordered_map<TermHash, Sum> sums_;
};

/// The statistics of all rows, and what each row gets from the rows outside its own fold:
/// row-major [n × kKeyWidth].
struct KeyStatisticsFit {
  KeyStatistics all;
  std::vector<float> out_of_fold;
};
[[nodiscard]] KeyStatisticsFit fit_key_statistics(
    std::span<const std::span<const TermHash>> keys_of_rows, std::span<const float> targets,
    std::span<const std::int32_t> folds, int num_folds, double shrinkage);

}  // namespace mmra::plus
