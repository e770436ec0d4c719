#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>

#include "mmra/core/threads.h"
#include "queried_table.h"

namespace mmra::bench {

/// Unit vectors around random centres, one for 66 rows: a centre with normal components and noise
/// of 0.7 times that size, so that a row's similarity with another of its cluster is about 0.67.
/// The queries are of the same clusters.
class ClusteredTable : public QueriedTable {
 public:
  ClusteredTable(std::size_t num_rows, std::size_t dim, std::size_t num_queries = 0)
      : QueriedTable(num_rows, dim, num_queries),
        num_clusters_(std::max<std::size_t>(1, num_rows / kRowsOfACluster)) {
    parallel_for(num_rows, 4096, available_processors(), [&](std::size_t begin, std::size_t end) {
      for (std::size_t row = begin; row < end; ++row) make_row(row, vectors_.data() + row * dim);
    });
    for (std::size_t i = 0; i < num_queries; ++i) {
      make_row(num_rows + i * 7919, queries_.data() + i * dim);
    }
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
};

/// What benchmarks are told to search: so many made rows, or a bank's.
inline std::shared_ptr<const QueriedTable> table_to_search(const std::string& rows_or_bank,
                                                           std::size_t dim,
                                                           std::size_t num_queries) {
  const bool is_number = rows_or_bank.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number) return std::make_shared<const BankVectors>(rows_or_bank, num_queries);
  return std::make_shared<const ClusteredTable>(std::stoull(rows_or_bank), dim, num_queries);
}

}  // namespace mmra::bench
