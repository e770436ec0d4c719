#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/bank/record_codec.h"

namespace mmra::bank {

// The derived file DIR/derived/vectors.bin (docs/formats/bank.md): what retrieval needs of one
// commit, to be mapped. It can always be made again from the records.

/// Says which commit a derived file was made from.
struct CommitStamp {
  std::uint64_t generation = 0;
  std::uint64_t commit_id = 0;
  friend bool operator==(const CommitStamp&, const CommitStamp&) = default;
};

/// Everything of a table but the vectors, in row order (ascending id).
struct TableColumns {
  std::vector<std::uint64_t> id_ends;  ///< of each row's id in id_bytes
  std::string id_bytes;
  std::vector<double> popularity;       ///< NaN: not known
  std::vector<std::int64_t> posted_at;  ///< ms; kNoTime: not known
  std::vector<std::uint8_t> split;

  std::vector<double> untimed;                  ///< NaN: none
  std::vector<std::uint64_t> observation_ends;  ///< of each row's counts in observations
  std::vector<Observation> observations;

  static constexpr std::int64_t kNoTime = INT64_MIN;
  /// `history`: null where the record's popularity is all that is known of it.
  void append(const Record& record, const PopularityHistory* history = nullptr);
  /// A row of a table of this file, as it is there.
  void append(const BankTable& table, std::size_t row);
  [[nodiscard]] std::size_t num_rows() const { return popularity.size(); }

 private:
  void append(std::string_view id, std::optional<double> label, std::optional<Timestamp> posted,
              Split in_split, const HistoryView& history);
};

/// Calls its argument with the vector of each row in row order: retrieval_dim float32, unaligned.
using ForEachVector = std::function<void(const std::function<void(ByteView vector)>& visit)>;

/// Writes the file atomically, in version 2 where there are counts with times, else in version 1.
/// Throws Error{kIo}.
void write_vector_file(const std::filesystem::path& file, const CommitStamp& stamp,
                       const TableColumns& columns, int retrieval_dim,
                       const ForEachVector& for_each_vector);

/// Maps `file` where it is there and made from `stamp`; null where it is absent, of another commit,
/// cut off or damaged (`fault` then says what, empty for the first two). The checksum of the
/// vectors is left to verify_vectors(), so that opening does not read them.
[[nodiscard]] std::shared_ptr<const BankTable> map_vector_file(const std::filesystem::path& file,
                                                               const CommitStamp& stamp,
                                                               std::string& fault);
/// The same table in memory.
[[nodiscard]] std::shared_ptr<const BankTable> make_vector_table(
    const CommitStamp& stamp, const TableColumns& columns, int retrieval_dim,
    const ForEachVector& for_each_vector);

/// For tables of this file: whether it has counts with times (version 2).
[[nodiscard]] bool has_histories(const BankTable& table);

/// For tables of this file: whether the vectors match their checksum.
[[nodiscard]] bool verify_vectors(const BankTable& table);

}  // namespace mmra::bank
