#pragma once

#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "mmra/bank/vector_table.h"
#include "retrieval/memory_table.h"

namespace mmra::testing {

/// What a bank's table is made from; rows in the order of their ids.
struct ClusteredRow {
  bank::Record record;
  std::vector<float> vector;
};

/// Unit vectors around so many centres, as those of like titles are; each with a time of its own,
/// in another order than the ids, some without one, some without a label.
inline std::vector<ClusteredRow> clustered_rows(std::size_t num_rows, int dim,
                                                std::mt19937& random) {
  constexpr std::size_t kRowsPerCentre = 20;
  constexpr float kSpread = 0.6F;
  std::vector<std::vector<float>> centres;
  for (std::size_t i = 0; i <= num_rows / kRowsPerCentre; ++i) {
    centres.push_back(random_unit_vector(dim, random));
  }
  std::vector<ClusteredRow> rows;
  for (std::size_t i = 0; i < num_rows; ++i) {
    ClusteredRow row;
    row.record.id = "r" + std::to_string(10'000'000 + i);
    row.record.split = static_cast<bank::Split>(random() % 3);
    if (random() % 10 != 0) row.record.popularity = static_cast<double>(random() % 1000);
    if (random() % 10 != 0) {
      row.record.posted_at = Timestamp{static_cast<std::int64_t>(random() % 1'000'000)};
    }
    const std::vector<float>& centre = centres[random() % centres.size()];
    const std::vector<float> noise = random_unit_vector(dim, random);
    double squares = 0.0;
    for (std::size_t j = 0; j < centre.size(); ++j) {
      row.vector.push_back(centre[j] + kSpread * noise[j]);
      squares += static_cast<double>(row.vector[j]) * row.vector[j];
    }
    for (float& value : row.vector) value = static_cast<float>(value / std::sqrt(squares));
    rows.push_back(std::move(row));
  }
  return rows;
}

inline std::shared_ptr<const bank::BankTable> table_of(const std::vector<ClusteredRow>& rows,
                                                       std::uint64_t generation = 1) {
  bank::TableColumns columns;
  for (const ClusteredRow& row : rows) columns.append(row.record);
  const int dim = rows.empty() ? 1 : static_cast<int>(rows.front().vector.size());
  return bank::make_vector_table({generation, generation}, columns, dim, [&](const auto& visit) {
    for (const ClusteredRow& row : rows) visit(std::as_bytes(std::span(row.vector)));
  });
}

}  // namespace mmra::testing
