#pragma once

#include <cmath>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "mmra/bank/memory_bank.h"

namespace mmra::testing {

/// A table in memory, for tests of what reads tables.
class MemoryTable final : public bank::BankTable {
 public:
  struct Row {
    std::string id;
    std::vector<float> vector;
    std::optional<double> popularity;
    std::optional<Timestamp> posted_at;
    bank::Split split = bank::Split::kTrain;
  };

  MemoryTable(int dim, std::vector<Row> rows) : dim_(dim), rows_(std::move(rows)) {
    for (const Row& row : rows_)
      vectors_.insert(vectors_.end(), row.vector.begin(), row.vector.end());
  }

  [[nodiscard]] std::uint64_t generation() const override { return 1; }
  [[nodiscard]] std::size_t num_rows() const override { return rows_.size(); }
  [[nodiscard]] int retrieval_dim() const override { return dim_; }
  [[nodiscard]] std::span<const float> retrieval_vectors() const override { return vectors_; }
  [[nodiscard]] std::string_view id(std::size_t row) const override { return rows_[row].id; }
  [[nodiscard]] std::optional<std::size_t> row_of(std::string_view id) const override {
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (rows_[i].id == id) return i;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::optional<double> popularity(std::size_t row) const override {
    return rows_[row].popularity;
  }
  [[nodiscard]] std::optional<Timestamp> posted_at(std::size_t row) const override {
    return rows_[row].posted_at;
  }
  [[nodiscard]] bank::Split split(std::size_t row) const override { return rows_[row].split; }

 private:
  int dim_;
  std::vector<Row> rows_;
  std::vector<float> vectors_;
};

inline std::vector<float> random_unit_vector(int dim, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> vector(static_cast<std::size_t>(dim));
  double squares = 0.0;
  for (float& value : vector) {
    value = normal(random);
    squares += static_cast<double>(value) * value;
  }
  for (float& value : vector) value = static_cast<float>(value / std::sqrt(squares));
  return vector;
}

/// Rows of every kind: labelled or not, any split, with and without times, some equal vectors, some
/// all zero.
inline MemoryTable random_table(int dim, std::size_t num_rows, std::mt19937& random) {
  std::vector<MemoryTable::Row> rows;
  for (std::size_t i = 0; i < num_rows; ++i) {
    MemoryTable::Row row;
    row.id = std::to_string(1'000'000 + i);
    row.vector = random_unit_vector(dim, random);
    if (i > 0 && random() % 4 == 0) row.vector = rows[random() % i].vector;
    if (random() % 50 == 0) row.vector.assign(static_cast<std::size_t>(dim), 0.0F);
    if (random() % 8 != 0) row.popularity = random() % 1000;
    if (random() % 5 != 0) row.posted_at = Timestamp{static_cast<std::int64_t>(random() % 100)};
    row.split = static_cast<bank::Split>(random() % 3);
    rows.push_back(std::move(row));
  }
  return {dim, std::move(rows)};
}

}  // namespace mmra::testing
