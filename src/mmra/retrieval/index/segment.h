#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/retrieval/index/faiss_index.h"
#include "mmra/retrieval/index/segment_file.h"

namespace mmra::retrieval {

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
  /// Milliseconds since 1970, ascending; SegmentColumns::kNoTime at the end.
  [[nodiscard]] std::span<const std::int64_t> posted_at() const { return columns_.posted_at; }
  /// Which rows of the table of `head` these are.
  [[nodiscard]] std::span<const std::uint32_t> rows() const { return columns_.rows; }
  /// All places, in the order of those rows; so in that of their ids, as every table's rows are.
  [[nodiscard]] std::span<const std::uint32_t> places_by_id() const { return places_by_id_; }
  /// XXH3-64 of each vector.
  [[nodiscard]] std::span<const std::uint64_t> vector_hashes() const {
    return columns_.vector_hashes;
  }

 private:
  Segment(const SegmentHead& head, SegmentColumns columns, FaissIndex index,
          std::int64_t file_bytes);

  SegmentHead head_;
  SegmentColumns columns_;
  FaissIndex index_;
  std::int64_t file_bytes_;
  std::vector<std::uint32_t> places_by_id_;
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
