#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "mmra/retrieval/index/search_effort.h"

namespace mmra::retrieval {

// The file of a segment (docs/formats/index.md), as far as it is ours: what FAISS wrote in it is
// bytes here.

/// What a segment says of itself.
struct SegmentHead {
  std::uint64_t generation = 0;  ///< of the table that it was made from
  std::uint64_t commit_id = 0;
  std::uint32_t dim = 0;
  SearchEfforts efforts{};     ///< of searches
  float sample_recall = 0.0F;  ///< at 10, without a filter, measured when it was made
  std::uint64_t num_places = 0;
};

/// Of each place, in the order of their times.
struct SegmentColumns {
  std::vector<std::uint64_t> vector_hashes;  ///< XXH3-64
  std::vector<std::int64_t> posted_at;       ///< ms since 1970, ascending; kNoTime at the end
  std::vector<std::uint64_t> id_ends;        ///< in id_bytes
  std::vector<std::uint32_t> rows;           ///< of the table that it was made from
  std::string id_bytes;

  static constexpr std::int64_t kNoTime = INT64_MAX;
};

struct SegmentContents {
  SegmentHead head;
  SegmentColumns columns;
  std::span<const std::byte> index;  ///< FAISS's, within the file's bytes
};

/// All checksums and sizes are compared. `file` is for messages. Throws
/// Error{kCorruptData|kUnsupported}.
[[nodiscard]] SegmentContents parse_segment(std::span<const std::byte> bytes,
                                            const std::filesystem::path& file);
/// Error{kCorruptData} that says what is wrong with the file and what to do.
[[noreturn]] void fail_segment(const std::filesystem::path& file, const std::string& what);

using ByteSink = std::function<void(const void* data, std::size_t size)>;

/// Atomic. `write_index` writes FAISS's bytes to its argument, twice the same. Of `head` num_places
/// is that of the columns. Throws Error{kIo}.
void write_segment_file(const std::filesystem::path& file, const SegmentHead& head,
                        const SegmentColumns& columns,
                        const std::function<void(const ByteSink&)>& write_index);

}  // namespace mmra::retrieval
