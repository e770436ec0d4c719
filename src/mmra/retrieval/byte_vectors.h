#pragma once

#include <boost/align/aligned_allocator.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "mmra/retrieval/byte_products.h"
#include "mmra/retrieval/spreading.h"

namespace mmra::retrieval {

template <typename Code>
using Codes = std::vector<Code, boost::alignment::aligned_allocator<Code, kByteStride>>;

/// Vectors as bytes, a quarter of their size: a first pass over them says how large inner products
/// are to within a bound that is proven, and float32 has the last word (exact_search.h).
///
/// A vector t is held as t ≈ b·t̂ with t̂ in −m … m and b = max|t| / m, where m is 127 or 63
/// (byte_products.h); a query q as q ≈ a·q̂ with q̂ in −m … m, kept as q̂ + m + 1. Then by Cauchy and
/// Schwarz
///   |q·t − a b q̂·t̂| ≤ |q| |t − b t̂| + |q − a q̂| |b t̂|.

/// Vectors with a few large components would leave the others few codes: where most are so, they
/// and the queries are rotated before (spreading.h).

class ByteVectors;

/// Queries as bytes.
class ByteQueries {
 public:
  /// `vectors` is row-major [n × dim], finite. `rows`: what they are to be compared with.
  ByteQueries(std::span<const float> vectors, const ByteVectors& rows, int num_threads = 1);

  [[nodiscard]] std::size_t size() const { return scales_.size(); }

 private:
  friend class ByteVectors;
  Codes<std::uint8_t> codes_;   ///< row-major, q̂ + m + 1, a stride apart as in `rows`
  std::vector<float> scales_;   ///< a
  std::vector<double> norms_;   ///< |q|
  std::vector<double> errors_;  ///< |q − a q̂|
};

class ByteVectors {
 public:
  /// `vectors` is row-major [n × dim], finite.
  ByteVectors(std::span<const float> vectors, std::size_t dim, int num_threads);

  [[nodiscard]] std::size_t num_rows() const { return scales_.size(); }
  [[nodiscard]] std::size_t dim() const { return dim_; }

  /// No score of this query lies further from the inner product than that.
  [[nodiscard]] double error_bound(const ByteQueries& queries, std::size_t query) const;
  /// scores [num_queries × num_rows] = a b q̂·t̂ of the queries from `first_query` on with the rows
  /// from `first_row` on. On the calling thread alone; `dots` is room to work in, to be given
  /// again.
  void score(const ByteQueries& queries, std::size_t first_query, std::size_t num_queries,
             std::size_t first_row, std::size_t num_rows, std::vector<std::int32_t>& dots,
             std::span<float> scores) const;

  /// The same in two steps, for whoever needs but the largest: dots [num_queries × num_rows] = q̂·t̂
  /// and something more that is the row's; on the calling thread alone.
  void multiply(const ByteQueries& queries, std::size_t first_query, std::size_t num_queries,
                std::size_t first_row, std::size_t num_rows, std::vector<std::int32_t>& dots) const;
  /// Of one query's dots with the rows from `first_row` on, their scores, as many; whether any is
  /// at least `threshold`.
  [[nodiscard]] bool to_scores(const ByteQueries& queries, std::size_t query, std::size_t first_row,
                               std::span<const std::int32_t> dots, float threshold,
                               float* scores) const;

 private:
  friend class ByteQueries;
  std::size_t dim_;
  std::optional<Spreading> spreading_;
  std::size_t stride_;              ///< between rows of codes
  Codes<std::int8_t> codes_;        ///< row-major, t̂
  std::vector<float> scales_;       ///< b
  std::vector<std::int32_t> sums_;  ///< of the row's codes
  double largest_norm_ = 0.0;       ///< of all |b t̂|
  double largest_error_ = 0.0;      ///< of all |t − b t̂|
};

}  // namespace mmra::retrieval
