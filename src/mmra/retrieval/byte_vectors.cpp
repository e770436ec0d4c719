#include "mmra/retrieval/byte_vectors.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>

#include "mmra/core/threads.h"
#include "mmra/core/vectorised.h"
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

/// The sums of a vector's squares and the like, in as many parts as make them fast.
struct Sums {
  static constexpr std::size_t kLanes = 8;
  double lanes[kLanes] = {};
  [[nodiscard]] double root() const {
    return std::sqrt(std::accumulate(std::begin(lanes), std::end(lanes), 0.0));
  }
};

/// codes[i] = each component's code in −largest … largest, and `offset`, modulo 256.
MMRA_VECTORISED Coding code_vector(const float* vector, std::size_t dim, float largest,
                                   std::int32_t offset, std::uint8_t* codes) {
  Coding coding;
  float peak = 0.0F;
  for (std::size_t i = 0; i < dim; ++i) peak = std::max(peak, std::abs(vector[i]));
  if (peak > kSmallestPeak) coding.scale = peak / largest;
  const float scale = coding.scale;
  const float inverse = scale > 0.0F ? 1.0F / scale : 0.0F;
  Sums norm;
  Sums coded;
  Sums error;
  const auto take = [&](std::size_t i, std::size_t lane) {
    const float code = std::clamp(std::nearbyint(vector[i] * inverse), -largest, largest);
    codes[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(code) + offset);
    const double value = vector[i];
    const double kept = static_cast<double>(scale) * code;
    norm.lanes[lane] += value * value;
    coded.lanes[lane] += kept * kept;
    error.lanes[lane] += (value - kept) * (value - kept);
  };
  std::size_t i = 0;
  for (; i + Sums::kLanes <= dim; i += Sums::kLanes) {
    for (std::size_t lane = 0; lane < Sums::kLanes; ++lane) take(i + lane, lane);
  }
  for (std::size_t lane = 0; i < dim; ++i, ++lane) take(i, lane);
  coding.norm = norm.root();
  coding.coded = coded.root();
  coding.error = error.root();
  return coding;
}

/// The vector as it is coded: rotated, in `room`, or as it is.
const float* as_coded(std::span<const float> vector, const std::optional<Spreading>& spreading,
                      std::vector<float>& room) {
  if (!spreading) return vector.data();
  room.resize(vector.size());
  spreading->apply(vector, room);
  return room.data();
}

/// scores[i] = scale · scales[i] · (dots[i] − offset · sums[i]); whether any is at least
/// `threshold`.
MMRA_VECTORISED bool scale_dots(const std::int32_t* dots, const std::int32_t* sums,
                                const float* scales, std::size_t size, std::int32_t offset,
                                float scale, float threshold, float* scores) {
  std::int32_t found = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const float score = scale * scales[i] * static_cast<float>(dots[i] - offset * sums[i]);
    scores[i] = score;
    found |= static_cast<std::int32_t>(score >= threshold);
  }
  return found != 0;
}

}  // namespace

ByteQueries::ByteQueries(std::span<const float> vectors, const ByteVectors& rows, int num_threads)
    : codes_(vectors.size() / rows.dim_ * rows.stride_),
      scales_(vectors.size() / rows.dim_),
      norms_(vectors.size() / rows.dim_),
      errors_(vectors.size() / rows.dim_) {
  const std::int32_t offset = query_offset();
  const auto largest = static_cast<float>(widest_byte_range().largest_query - offset);
  parallel_for(size(), kRowsAtATime, num_threads, [&](std::size_t begin, std::size_t end) {
    std::vector<float> room;
    for (std::size_t query = begin; query < end; ++query) {
      const float* vector =
          as_coded(vectors.subspan(query * rows.dim_, rows.dim_), rows.spreading_, room);
      const Coding coding =
          code_vector(vector, rows.dim_, largest, offset, codes_.data() + query * rows.stride_);
      scales_[query] = coding.scale;
      norms_[query] = coding.norm;
      errors_[query] = coding.error;
    }
  });
}

ByteVectors::ByteVectors(std::span<const float> vectors, std::size_t dim, int num_threads)
    : dim_(dim),
      stride_(stride_of(dim)),
      codes_(vectors.size() / dim * stride_),
      scales_(vectors.size() / dim),
      sums_(vectors.size() / dim) {
  if (Spreading::is_worth_it(vectors, dim)) spreading_.emplace(dim);
  const std::size_t num_pieces = (num_rows() + kRowsAtATime - 1) / kRowsAtATime;
  std::vector<double> norms(num_pieces, 0.0);
  std::vector<double> errors(num_pieces, 0.0);
  const auto largest = static_cast<float>(widest_byte_range().largest_row);
  parallel_for(num_rows(), kRowsAtATime, num_threads, [&](std::size_t begin, std::size_t end) {
    std::vector<float> room;
    for (std::size_t row = begin; row < end; ++row) {
      std::int8_t* codes = codes_.data() + row * stride_;
      const float* vector = as_coded(vectors.subspan(row * dim, dim), spreading_, room);
      const Coding coding =
          code_vector(vector, dim, largest, /*offset=*/0, reinterpret_cast<std::uint8_t*>(codes));
      scales_[row] = coding.scale;
      sums_[row] = std::accumulate(codes, codes + dim, 0);
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
  const double rotating =
      spreading_ ? spreading_->error() * queries.norms_[query] * (largest_norm_ + largest_error_)
                 : 0.0;
  return coding * (1.0 + 1e-9) + rounding + rotating * (1.0 + 1e-4);
}

void ByteVectors::score(const ByteQueries& queries, std::size_t first_query,
                        std::size_t num_queries, std::size_t first_row, std::size_t num_rows,
                        std::vector<std::int32_t>& dots, std::span<float> scores) const {
  multiply(queries, first_query, num_queries, first_row, num_rows, dots);
  constexpr float kAny = std::numeric_limits<float>::infinity();
  for (std::size_t q = 0; q < num_queries; ++q) {
    static_cast<void>(to_scores(queries, first_query + q, first_row,
                                std::span(dots).subspan(q * num_rows, num_rows), kAny,
                                scores.data() + q * num_rows));
  }
}

void ByteVectors::multiply(const ByteQueries& queries, std::size_t first_query,
                           std::size_t num_queries, std::size_t first_row, std::size_t num_rows,
                           std::vector<std::int32_t>& dots) const {
  dots.resize(num_queries * num_rows);
  multiply_bytes(queries.codes_.data() + first_query * stride_, num_queries,
                 codes_.data() + first_row * stride_, num_rows, stride_, dots.data());
}

bool ByteVectors::to_scores(const ByteQueries& queries, std::size_t query, std::size_t first_row,
                            std::span<const std::int32_t> dots, float threshold,
                            float* scores) const {
  return scale_dots(dots.data(), sums_.data() + first_row, scales_.data() + first_row, dots.size(),
                    query_offset(), queries.scales_[query], threshold, scores);
}

}  // namespace mmra::retrieval
