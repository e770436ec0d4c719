#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/core/error.h"

namespace mmra::bench {

/// Vectors to be searched, and queries that are in no row. A row was posted at its number's place
/// in a fixed shuffle, so that like ones lie all over time.
class QueriedTable : public bank::BankTable {
 public:
  /// The moments of all rows lie from 0 up to it.
  static constexpr std::int64_t kEnd = 2'147'483'647;

  /// Row-major [num_queries × dim].
  [[nodiscard]] std::span<const float> queries() const { return queries_; }
  [[nodiscard]] std::size_t dim() const { return dim_; }
  [[nodiscard]] std::size_t num_queries() const { return queries_.size() / dim_; }

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

 protected:
  QueriedTable(std::size_t num_rows, std::size_t dim, std::size_t num_queries)
      : dim_(dim), vectors_(num_rows * dim), queries_(num_queries * dim) {}

  std::size_t dim_;
  std::vector<float> vectors_;
  std::vector<float> queries_;
};

/// The vectors of a bank's records, in the order of their ids; every n-th is a query, so that they
/// are `num_queries`, about.
class BankVectors final : public QueriedTable {
 public:
  BankVectors(const std::string& bank, std::size_t num_queries)
      : BankVectors(*bank::open_bank(bank, bank::OpenMode::kReadOnly)->table(), num_queries) {}

 private:
  BankVectors(const bank::BankTable& table, std::size_t num_queries)
      : QueriedTable(0, static_cast<std::size_t>(table.retrieval_dim()), 0) {
    const std::size_t step =
        num_queries == 0 ? SIZE_MAX : std::max<std::size_t>(1, table.num_rows() / num_queries);
    for (std::size_t row = 0; row < table.num_rows(); ++row) {
      const auto vector = table.retrieval_vectors().subspan(row * dim_, dim_);
      std::vector<float>& to = row % step == step - 1 ? queries_ : vectors_;
      to.insert(to.end(), vector.begin(), vector.end());
    }
  }
};

/// As they lie in memory, for peers. Throws Error{kIo}.
inline void write_floats(std::span<const float> values, const char* file) {
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(values.data()),
            static_cast<std::streamsize>(values.size_bytes()));
  if (!out.flush()) throw Error(ErrorKind::kIo, std::string("cannot write ") + file);
}

}  // namespace mmra::bench
