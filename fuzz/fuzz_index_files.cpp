// The files of a bank's index (docs/formats/index.md), of any bytes: index.json, segments.json, and
// a segment, as it is and with its checksums put right. What FAISS wrote in a segment is not
// followed.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/core/fingerprint.h"
#include "mmra/retrieval/index/index_files.h"
#include "mmra/retrieval/index/segment_file.h"
#include "outcome.h"

namespace {

using mmra::checksum64;
using mmra::fuzz::outcome_of;
using mmra::fuzz::require;
using namespace mmra::retrieval;  // NOLINT(google-build-using-namespace)

constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kHeaderBytesOfFirstVersion = 80;
constexpr std::size_t kHeaderBytes = 136;
constexpr std::size_t kChecksumBytes = 8;

void check_json(std::string_view text) {
  static_cast<void>(outcome_of([&] {
    std::string spec = parse_index_spec(text, "f");
    require(parse_index_spec(index_spec_to_json(spec), "f") == spec, "a spec that changes");
    return spec;
  }));
  static_cast<void>(outcome_of([&] {
    const SegmentList list = parse_segment_list(text, "f");
    for (const std::string& file : list.files) {
      require(file.find('/') == std::string::npos && file != "..", "a file of another directory");
    }
    std::string written = segment_list_to_json(list);
    require(segment_list_to_json(parse_segment_list(written, "f")) == written,
            "a list that changes when it is written");
    return written;
  }));
}

void check_segment(std::span<const std::byte> bytes) {
  static_cast<void>(outcome_of([&] {
    const SegmentContents contents = parse_segment(bytes, "f");
    const SegmentColumns& columns = contents.columns;
    const std::size_t num_places = contents.head.num_places;
    require(columns.rows.size() == num_places && columns.id_ends.size() == num_places &&
                columns.posted_at.size() == num_places &&
                columns.vector_hashes.size() == num_places,
            "columns of different lengths");
    std::uint64_t last = 0;
    for (const std::uint64_t end : columns.id_ends) {
      require(end >= last && end <= columns.id_bytes.size(), "an id outside the ids");
      last = end;
    }
    require(contents.index.empty() ||
                contents.index.data() + contents.index.size() == bytes.data() + bytes.size(),
            "an index that does not end the file");
    return std::string();
  }));
}

template <typename Value>
void set(std::vector<std::byte>& bytes, std::size_t at, Value value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  check_json({reinterpret_cast<const char*>(data), size});
  const auto raw = std::as_bytes(std::span(data, size));
  check_segment(raw);
  if (size < kHeaderBytes) return 0;
  const bool is_first_version = data[kVersionAt] == 1;
  const std::size_t header_bytes = is_first_version ? kHeaderBytesOfFirstVersion : kHeaderBytes;
  const std::size_t checksum_at = header_bytes - kChecksumBytes;
  // On the heap and of exactly this size, so that a read beyond it is seen.
  std::vector<std::byte> segment(raw.begin(), raw.end());
  set(segment, checksum_at - kChecksumBytes, checksum64(std::span(segment).subspan(header_bytes)));
  set(segment, checksum_at, checksum64(std::span(segment).first(checksum_at)));
  check_segment(segment);
  return 0;
}
