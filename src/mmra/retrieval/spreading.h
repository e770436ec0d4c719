#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace mmra::retrieval {

/// A rotation of vectors after which no component is much larger than the others, whatever they
/// were: signs that are drawn once, then the Walsh-Hadamard transform, as in Ailon and Chazelle,
/// "The fast Johnson-Lindenstrauss transform" (SIAM Journal on Computing 39, 2009). Inner products
/// of two vectors that are both rotated are their own, to within rounding; but codes of as many
/// bits lie much nearer to a vector whose components are alike. (FAISS has random rotations too, by
/// a whole matrix: d² products a vector, not d log d.)
class Spreading {
 public:
  explicit Spreading(std::size_t dim);

  /// Of a vector of `dim` components.
  void apply(std::span<const float> vector, std::span<float> to) const;
  /// |q·t − q'·t'| is at most this times |q||t|, of any two and what apply() makes of them.
  [[nodiscard]] double error() const { return error_; }

  /// Whether the vectors, row-major [n × dim], are such that rotating them makes codes of bytes
  /// much closer.
  [[nodiscard]] static bool is_worth_it(std::span<const float> vectors, std::size_t dim);

 private:
  std::size_t dim_;
  std::size_t length_;  ///< of a transform: the largest power of two that is at most dim
  std::vector<float> of_the_first_;  ///< factors of the transform of the first components
  std::vector<float> of_the_last_;   ///< of that of the last ones; empty where they are all
  double error_;
};

}  // namespace mmra::retrieval
