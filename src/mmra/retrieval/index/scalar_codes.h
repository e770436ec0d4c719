#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mmra::retrieval {

/// Vectors whose components are bytes, as FAISS's scalar quantiser of 8 bits has them ("SQ8"):
/// component i is lows[i] + (code + 0.5) · spans[i] / 255. Debian's FAISS is compiled without AVX2,
/// and takes several times as long to compare them. Not owned; immutable, thread-safe.
class ScalarCodes {
 public:
  /// `codes`: row-major [n × lows.size()].
  ScalarCodes(const std::uint8_t* codes, std::span<const float> lows, std::span<const float> spans);

  [[nodiscard]] std::size_t dim() const { return offsets_.size(); }
  [[nodiscard]] const std::uint8_t* code(std::size_t place) const { return codes_ + place * dim(); }
  /// The inner product of the two vectors.
  [[nodiscard]] float similarity(const std::uint8_t* a, const std::uint8_t* b) const;

 private:
  friend class ScalarCodeQuery;
  const std::uint8_t* codes_;
  std::vector<float> offsets_;  ///< component i of code 0
  std::vector<float> steps_;    ///< and how much each unit of the code adds
};

/// A vector to be compared with them. q · (offset + step ⊙ code) = q · offset + (q ⊙ step) · code.
class ScalarCodeQuery {
 public:
  ScalarCodeQuery(const ScalarCodes& codes, const float* query);

  [[nodiscard]] float similarity(const std::uint8_t* code) const;
  /// Of codes anywhere in memory: each is fetched ahead.
  void similarities(std::span<const std::int32_t> places, float* scores) const;

 private:
  const ScalarCodes& codes_;
  float base_ = 0.0F;
  std::vector<float> weights_;
};

}  // namespace mmra::retrieval
