#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/core/error.h"
#include "mmra/core/threads.h"

namespace mmra::bench {

/// Unit vectors around random centres, one for 66 rows: a centre with normal components and noise
/// of 0.7 times that size, so that a row's similarity with another of its cluster is about 0.67. A
/// row was posted at its number's place in a fixed shuffle, so that clusters lie all over time. The
/// queries are of the same clusters and in no row.
class ClusteredTable : public bank::BankTable {
 public:
  /// The moments of all rows lie from 0 up to it.
  static constexpr std::int64_t kEnd = 2'147'483'647;

  ClusteredTable(std::size_t num_rows, std::size_t dim, std::size_t num_queries = 0)
      : num_clusters_(std::max<std::size_t>(1, num_rows / kRowsOfACluster)),
        dim_(dim),
        vectors_(num_rows * dim),
        queries_(num_queries * dim) {
    parallel_for(num_rows, 4096, available_processors(), [&](std::size_t begin, std::size_t end) {
      for (std::size_t row = begin; row < end; ++row) make_row(row, vectors_.data() + row * dim);
    });
    for (std::size_t i = 0; i < num_queries; ++i) {
      make_row(num_rows + i * 7919, queries_.data() + i * dim);
    }
  }
  /// Row-major [num_queries × dim].
  [[nodiscard]] std::span<const float> queries() const { return queries_; }

  [[nodiscard]] std::uint64_t generation() const override { return 1; }
  [[nodiscard]] std::size_t num_rows() const override { return vectors_.size() / dim_; }
  [[nodiscard]] int retrieval_dim() const override { return static_cast<int>(dim_); }
  [[nodiscard]] std::span<const float> retrieval_vectors() const override { return vectors_; }
  [[nodiscard]] std::string_view id(std::size_t /*row*/) const override { return "id"; }
  [[nodiscard]] std::optional<std::size_t> row_of(std::string_view /*id*/) const override {
    return std::nullopt;
  }
  [[nodiscard]] std::optional<double> popularity(std::size_t /*row*/) const override { return 1.0; }
  [[nodiscard]] std::optional<Timestamp> posted_at(std::size_t row) const override {
    // An odd factor and a prime: each moment once.
    return Timestamp{static_cast<std::int64_t>(row * 1'103'515'245 % kEnd)};
  }
  [[nodiscard]] bank::Split split(std::size_t /*row*/) const override {
    return bank::Split::kTrain;
  }

 private:
  static constexpr std::size_t kRowsOfACluster = 66;

  /// Numbers of a normal distribution near enough: sums of four even ones.
  static float normal(std::minstd_rand& random) {
    float sum = -2.0F;
    for (int i = 0; i < 4; ++i) sum += static_cast<float>(random()) * 0x1.0p-31F;
    return sum;
  }
  void make_row(std::size_t row, float* to) const {
    std::minstd_rand centre(static_cast<unsigned>(2 * (row % num_clusters_) + 1));
    std::minstd_rand noise(static_cast<unsigned>(2 * row + 2));
    double squares = 0.0;
    for (std::size_t c = 0; c < dim_; ++c) {
      to[c] = normal(centre) + 0.7F * normal(noise);
      squares += static_cast<double>(to[c]) * to[c];
    }
    for (std::size_t c = 0; c < dim_; ++c) to[c] /= static_cast<float>(std::sqrt(squares));
  }

  std::size_t num_clusters_;
  std::size_t dim_;
  std::vector<float> vectors_;
  std::vector<float> queries_;
};

/// As they lie in memory, for peers. Throws Error{kIo}.
inline void write_floats(std::span<const float> values, const char* file) {
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(values.data()),
            static_cast<std::streamsize>(values.size_bytes()));
  if (!out.flush()) throw Error(ErrorKind::kIo, std::string("cannot write ") + file);
}

}  // namespace mmra::bench
