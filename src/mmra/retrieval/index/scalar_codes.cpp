#include "mmra/retrieval/index/scalar_codes.h"

#include <algorithm>
#include <cstring>

#include "mmra/core/vectorised.h"
#include "mmra/retrieval/lanes.h"

namespace mmra::retrieval {
namespace {

constexpr float kLargestCode = 255.0F;
constexpr std::size_t kCacheLine = 64;

typedef std::uint8_t Bytes8 __attribute__((vector_size(8)));
[[gnu::always_inline]] inline void widen(const std::uint8_t* from, Lanes8& to) {
  Bytes8 bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  to = __builtin_convertvector(bytes, Lanes8);
}

/// Part of what is compiled for each kind of processor.
[[gnu::always_inline]] inline float weighted_sum(const float* weights, const std::uint8_t* code,
                                                 std::size_t dim) {
  Lanes8 sums[kSums] = {};
  std::size_t i = 0;
  for (; i + kSums * kLanes <= dim; i += kSums * kLanes) {
    for (std::size_t j = 0; j < kSums; ++j) {
      Lanes8 weight;
      Lanes8 unit;
      load(weights + i + j * kLanes, weight);
      widen(code + i + j * kLanes, unit);
      sums[j] += weight * unit;
    }
  }
  float sum = sum_of((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; i < dim; ++i) sum += weights[i] * static_cast<float>(code[i]);
  return sum;
}

void prefetch(const std::uint8_t* code, std::size_t dim) {
  for (std::size_t i = 0; i < dim; i += kCacheLine) __builtin_prefetch(code + i);
}

MMRA_VECTORISED float product_of_codes(const float* offsets, const float* steps,
                                       const std::uint8_t* a, const std::uint8_t* b,
                                       std::size_t dim) {
  Lanes8 sums = {};
  std::size_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    Lanes8 offset;
    Lanes8 step;
    Lanes8 from_a;
    Lanes8 from_b;
    load(offsets + i, offset);
    load(steps + i, step);
    widen(a + i, from_a);
    widen(b + i, from_b);
    sums += (offset + step * from_a) * (offset + step * from_b);
  }
  float sum = sum_of(sums);
  for (; i < dim; ++i) {
    sum += (offsets[i] + steps[i] * static_cast<float>(a[i])) *
           (offsets[i] + steps[i] * static_cast<float>(b[i]));
  }
  return sum;
}

MMRA_VECTORISED float one_weighted_sum(const float* weights, const std::uint8_t* code,
                                       std::size_t dim) {
  return weighted_sum(weights, code, dim);
}

MMRA_VECTORISED void weighted_sums(const float* weights, const std::uint8_t* codes, std::size_t dim,
                                   float base, std::span<const std::int32_t> places,
                                   float* scores) {
  constexpr std::size_t kAhead = 8;
  const auto at = [&](std::size_t i) { return codes + static_cast<std::size_t>(places[i]) * dim; };
  for (std::size_t i = 0; i < std::min(kAhead, places.size()); ++i) prefetch(at(i), dim);
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (i + kAhead < places.size()) prefetch(at(i + kAhead), dim);
    scores[i] = base + weighted_sum(weights, at(i), dim);
  }
}

}  // namespace

ScalarCodes::ScalarCodes(const std::uint8_t* codes, std::span<const float> lows,
                         std::span<const float> spans)
    : codes_(codes) {
  for (std::size_t i = 0; i < lows.size(); ++i) {
    steps_.push_back(spans[i] / kLargestCode);
    offsets_.push_back(lows[i] + 0.5F * steps_.back());
  }
}

float ScalarCodes::similarity(const std::uint8_t* a, const std::uint8_t* b) const {
  return product_of_codes(offsets_.data(), steps_.data(), a, b, dim());
}

ScalarCodeQuery::ScalarCodeQuery(const ScalarCodes& codes, const float* query) : codes_(codes) {
  weights_.resize(codes.dim());
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    weights_[i] = query[i] * codes.steps_[i];
    base_ += query[i] * codes.offsets_[i];
  }
}

float ScalarCodeQuery::similarity(const std::uint8_t* code) const {
  return base_ + one_weighted_sum(weights_.data(), code, weights_.size());
}

void ScalarCodeQuery::similarities(std::span<const std::int32_t> places, float* scores) const {
  weighted_sums(weights_.data(), codes_.codes_, weights_.size(), base_, places, scores);
}

}  // namespace mmra::retrieval
