#include "mmra/retrieval/byte_vectors.h"

#include <algorithm>
#include <cmath>

#include "mmra/core/threads.h"
#include "mmra/retrieval/byte_products.h"

namespace mmra::retrieval {
namespace {

// A query is kept with an offset, so that it has no sign.
std::int32_t query_offset() { return (widest_byte_range().largest_query + 1) / 2; }
constexpr float kSmallestPeak = 1e-30F;  // less is coded as zero: its scale would have no inverse
constexpr std::size_t kRowsAtATime = 1024;

std::size_t stride_of(std::size_t dim) {
  return (dim + kByteStride - 1) / kByteStride * kByteStride;
}

struct Coding {
  float scale = 0.0F;  ///< 0: the vector is zero
  double norm = 0.0;   ///< of the vector
  double coded = 0.0;  ///< of scale · codes
  double error = 0.0;  ///< of what lies between
};

/// Calls store(i, code) with each component's code in −largest … largest.
template <typename Store>
Coding code_vector(std::span<const float> vector, float largest, const Store& store) {
  Coding coding;
  float peak = 0.0F;
  for (const float value : vector) peak = std::max(peak, std::abs(value));
  if (peak > kSmallestPeak) coding.scale = peak / largest;
  const float inverse = coding.scale > 0.0F ? 1.0F / coding.scale : 0.0F;
  for (std::size_t i = 0; i < vector.size(); ++i) {
    const float code = std::clamp(std::nearbyint(vector[i] * inverse), -largest, largest);
    store(i, static_cast<std::int32_t>(code));
    const double value = vector[i];
    const double kept = static_cast<double>(coding.scale) * code;
    coding.norm += value * value;
    coding.coded += kept * kept;
    coding.error += (value - kept) * (value - kept);
  }
  coding.norm = std::sqrt(coding.norm);
  coding.coded = std::sqrt(coding.coded);
  coding.error = std::sqrt(coding.error);
  return coding;
}

}  // namespace

ByteQueries::ByteQueries(std::span<const float> vectors, std::size_t dim)
    : codes_(vectors.size() / dim * stride_of(dim)) {
  std::uint8_t* codes = codes_.data();
  const std::int32_t offset = query_offset();
  const auto largest = static_cast<float>(widest_byte_range().largest_query - offset);
  for (std::size_t begin = 0; begin < vectors.size(); begin += dim, codes += stride_of(dim)) {
    const Coding coding =
        code_vector(vectors.subspan(begin, dim), largest, [&](std::size_t i, std::int32_t code) {
          codes[i] = static_cast<std::uint8_t>(code + offset);
        });
    scales_.push_back(coding.scale);
    norms_.push_back(coding.norm);
    errors_.push_back(coding.error);
  }
}

ByteVectors::ByteVectors(std::span<const float> vectors, std::size_t dim, int num_threads)
    : dim_(dim),
      stride_(stride_of(dim)),
      codes_(vectors.size() / dim * stride_),
      scales_(vectors.size() / dim),
      sums_(vectors.size() / dim) {
  const std::size_t num_pieces = (num_rows() + kRowsAtATime - 1) / kRowsAtATime;
  std::vector<double> norms(num_pieces, 0.0);
  std::vector<double> errors(num_pieces, 0.0);
  const auto largest = static_cast<float>(widest_byte_range().largest_row);
  parallel_for(num_rows(), kRowsAtATime, num_threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end; ++row) {
      std::int32_t sum = 0;
      const Coding coding = code_vector(
          vectors.subspan(row * dim, dim), largest, [&](std::size_t i, std::int32_t code) {
            codes_[row * stride_ + i] = static_cast<std::int8_t>(code);
            sum += code;
          });
      scales_[row] = coding.scale;
      sums_[row] = sum;
      norms[begin / kRowsAtATime] = std::max(norms[begin / kRowsAtATime], coding.coded);
      errors[begin / kRowsAtATime] = std::max(errors[begin / kRowsAtATime], coding.error);
    }
  });
  for (const double norm : norms) largest_norm_ = std::max(largest_norm_, norm);
  for (const double error : errors) largest_error_ = std::max(largest_error_, error);
}

double ByteVectors::error_bound(const ByteQueries& queries, std::size_t query) const {
  const double coding =
      queries.norms_[query] * largest_error_ + queries.errors_[query] * largest_norm_;
  // The norms' own rounding, and that of the score: the sum of the products is whole, and rounded
  // thrice.
  const double rounding =
      0x1.0p-21 * (queries.norms_[query] + queries.errors_[query]) * largest_norm_;
  return coding * (1.0 + 1e-9) + rounding;
}

void ByteVectors::score(const ByteQueries& queries, std::size_t first_query,
                        std::size_t num_queries, std::size_t first_row, std::size_t num_rows,
                        std::vector<std::int32_t>& dots, std::span<float> scores) const {
  const std::int32_t offset = query_offset();
  dots.resize(num_queries * num_rows);
  multiply_bytes(queries.codes_.data() + first_query * stride_, num_queries,
                 codes_.data() + first_row * stride_, num_rows, stride_, dots.data());
  for (std::size_t q = 0; q < num_queries; ++q) {
    const float scale = queries.scales_[first_query + q];
    for (std::size_t i = 0; i < num_rows; ++i) {
      const std::int32_t dot = dots[q * num_rows + i] - offset * sums_[first_row + i];
      scores[q * num_rows + i] = scale * scales_[first_row + i] * static_cast<float>(dot);
    }
  }
}

}  // namespace mmra::retrieval
