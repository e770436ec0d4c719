#include "mmra/retrieval/index/segment.h"

#include <algorithm>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/fingerprint.h"

namespace mmra::retrieval {
namespace {

namespace fs = std::filesystem;

SegmentColumns columns_of(const bank::BankTable& table, std::span<const std::uint32_t> rows) {
  SegmentColumns columns;
  columns.rows.assign(rows.begin(), rows.end());
  for (const std::uint32_t row : rows) {
    columns.vector_hashes.push_back(vector_hash_of(table, row));
    columns.posted_at.push_back(segment_time_of(table, row));
    columns.id_bytes += table.id(row);
    columns.id_ends.push_back(columns.id_bytes.size());
  }
  return columns;
}

FaissIndex index_of(const SegmentContents& contents, const fs::path& file) {
  try {
    FaissIndex index = FaissIndex::read(contents.index);
    if (index.num_vectors() == contents.head.num_places && index.dim() == contents.head.dim) {
      index.set_width(contents.head.efforts.front().front().width);
      return index;
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kCorruptData) throw;
    fail_segment(file, error.what());
  }
  fail_segment(file, "its index is of other vectors");
}

/// The places of these rows, by row.
std::vector<std::uint32_t> sorted_places(std::span<const std::uint32_t> rows) {
  std::vector<std::uint64_t> keys(rows.size());
  for (std::size_t place = 0; place < rows.size(); ++place) {
    keys[place] = std::uint64_t{rows[place]} << 32 | place;
  }
  std::sort(keys.begin(), keys.end());
  std::vector<std::uint32_t> places(rows.size());
  std::transform(keys.begin(), keys.end(), places.begin(),
                 [](std::uint64_t key) { return static_cast<std::uint32_t>(key); });
  return places;
}

}  // namespace

std::int64_t segment_time_of(const bank::BankTable& table, std::size_t row) {
  const auto posted_at = table.posted_at(row);
  return posted_at ? posted_at->ms : SegmentColumns::kNoTime;
}

std::uint64_t vector_hash_of(const bank::BankTable& table, std::size_t row) {
  const auto dim = static_cast<std::size_t>(table.retrieval_dim());
  return checksum64(std::as_bytes(table.retrieval_vectors().subspan(row * dim, dim)));
}

Segment::Segment(const SegmentHead& head, SegmentColumns columns, FaissIndex index,
                 std::int64_t file_bytes)
    : head_(head),
      columns_(std::move(columns)),
      index_(std::move(index)),
      file_bytes_(file_bytes),
      places_by_id_(sorted_places(columns_.rows)) {}

std::string_view Segment::id(std::size_t place) const {
  const std::size_t begin = place == 0 ? 0 : columns_.id_ends[place - 1];
  return std::string_view(columns_.id_bytes).substr(begin, columns_.id_ends[place] - begin);
}

void write_segment(const fs::path& file, const bank::BankTable& table,
                   std::span<const std::uint32_t> rows, const FaissIndex& index,
                   const SegmentHead& head) {
  write_segment_file(file, head, columns_of(table, rows),
                     [&](const ByteSink& sink) { index.write(sink); });
}

std::shared_ptr<const Segment> Segment::open(const fs::path& file) {
  const MappedFile mapped(file);
  SegmentContents contents = parse_segment(mapped.bytes(), file);
  FaissIndex index = index_of(contents, file);
  return std::shared_ptr<const Segment>(
      new Segment(contents.head, std::move(contents.columns), std::move(index),
                  static_cast<std::int64_t>(mapped.bytes().size())));
}

}  // namespace mmra::retrieval
