#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/core/files.h"
#include "mmra/retrieval/index/faiss_index.h"

namespace mmra::retrieval {

/// What a segment says of itself (docs/formats/index.md).
struct SegmentHead {
  std::uint64_t generation = 0;  ///< of the table that it was made from
  std::uint64_t commit_id = 0;
  std::uint32_t dim = 0;
  std::int32_t width = 0;      ///< of a search
  float sample_recall = 0.0F;  ///< at 10, of that width, measured when it was made
  std::uint64_t num_places = 0;
};

/// An immutable part of an index: some rows of a table, in the order of their times, with a FAISS
/// index over their vectors. Those without a time come last.
class Segment {
 public:
  /// Reads a file that write_segment() wrote; all checksums are compared. Throws
  /// Error{kCorruptData|kUnsupported|kNotFound|kIo} that names the file.
  [[nodiscard]] static std::shared_ptr<const Segment> open(const std::filesystem::path& file);

  [[nodiscard]] const SegmentHead& head() const { return head_; }
  [[nodiscard]] const FaissIndex& index() const { return index_; }
  [[nodiscard]] std::size_t num_places() const { return head_.num_places; }
  [[nodiscard]] std::int64_t file_bytes() const { return file_bytes_; }

  [[nodiscard]] std::string_view id(std::size_t place) const;
  /// Milliseconds since 1970, ascending; kNoTime at the end.
  [[nodiscard]] std::span<const std::int64_t> posted_at() const { return posted_at_; }
  /// Which rows of the table of `head` these are.
  [[nodiscard]] std::span<const std::uint32_t> rows() const { return rows_; }
  /// XXH3-64 of each vector.
  [[nodiscard]] std::span<const std::uint64_t> vector_hashes() const { return vector_hashes_; }

  static constexpr std::int64_t kNoTime = INT64_MAX;

 private:
  Segment(SegmentHead head, FaissIndex index) : head_(head), index_(std::move(index)) {}

  SegmentHead head_;
  FaissIndex index_;
  std::int64_t file_bytes_ = 0;
  std::vector<std::int64_t> posted_at_;
  std::vector<std::uint32_t> rows_;
  std::vector<std::uint64_t> vector_hashes_;
  std::vector<std::uint64_t> id_ends_;
  std::string id_bytes_;
};

/// The time that a segment orders a row of a table by.
[[nodiscard]] std::int64_t segment_time_of(const bank::BankTable& table, std::size_t row);
/// XXH3-64 of a row's vector.
[[nodiscard]] std::uint64_t vector_hash_of(const bank::BankTable& table, std::size_t row);

/// Writes these rows of a table, in this order, with the index over their vectors. Atomic. Throws
/// Error{kIo}.
void write_segment(const std::filesystem::path& file, const bank::BankTable& table,
                   std::span<const std::uint32_t> rows, const FaissIndex& index,
                   const SegmentHead& head);

}  // namespace mmra::retrieval
