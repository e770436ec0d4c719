#include "mmra/retrieval/index/segment_file.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/fingerprint.h"

namespace mmra::retrieval {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMagic = 0x00474553'41524D4D;  // "MMRASEG\0"
constexpr std::uint32_t kVersion = 3;

/// What the header of every version begins with.
struct HeaderBegin {
  std::uint64_t magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t dim = 0;
  std::uint64_t generation = 0;
  std::uint64_t commit_id = 0;
  std::uint64_t num_places = 0;
  std::uint64_t id_bytes = 0;
  std::uint64_t index_bytes = 0;
  std::int32_t width = 0;  ///< of version 1; later that of the first effort
  float sample_recall = 0.0F;
};
static_assert(sizeof(HeaderBegin) == 64 && std::is_trivially_copyable_v<HeaderBegin>);
static_assert(sizeof(FilteredEfforts) == 56 && sizeof(SearchEfforts) == 168 &&
              std::is_trivially_copyable_v<SearchEfforts>);

/// And what it ends with.
struct HeaderEnd {
  std::uint64_t body_checksum = 0;  ///< of everything behind the header
  std::uint64_t checksum = 0;       ///< of all of the header before it
};
static_assert(sizeof(HeaderEnd) == 16 && std::is_trivially_copyable_v<HeaderEnd>);

struct FileHeader : HeaderBegin {
  SearchEfforts efforts{};  ///< in the file: of version 2 the first rank's, of later ones all
  std::uint64_t body_checksum = 0;
};

std::size_t efforts_size(std::uint32_t version) {
  if (version < 2) return 0;
  return version == 2 ? sizeof(FilteredEfforts) : sizeof(SearchEfforts);
}

std::size_t header_size(std::uint32_t version) {
  return sizeof(HeaderBegin) + efforts_size(version) + sizeof(HeaderEnd);
}

template <typename T>
void append_bytes(std::vector<std::byte>& to, const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

std::vector<std::byte> bytes_of(const FileHeader& header) {
  std::vector<std::byte> bytes;
  append_bytes(bytes, static_cast<const HeaderBegin&>(header));
  append_bytes(bytes, header.efforts);
  append_bytes(bytes, header.body_checksum);
  append_bytes(bytes, checksum64(bytes));
  return bytes;
}

/// Hashes and counts what goes by.
class Body {
 public:
  explicit Body(ByteSink sink) : sink_(std::move(sink)) {}
  void write(const void* data, std::size_t size) {
    if (size == 0) return;
    checksum_.add({static_cast<const std::byte*>(data), size});
    size_ += size;
    sink_(data, size);
  }
  template <typename T>
  void write_all(const std::vector<T>& values) {
    write(values.data(), values.size() * sizeof(T));
  }
  [[nodiscard]] std::uint64_t checksum() const { return checksum_.value(); }
  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  ByteSink sink_;
  RunningChecksum checksum_;
  std::uint64_t size_ = 0;
};

void write_body(Body& body, const SegmentColumns& columns,
                const std::function<void(const ByteSink&)>& write_index) {
  body.write_all(columns.vector_hashes);
  body.write_all(columns.posted_at);
  body.write_all(columns.id_ends);
  body.write_all(columns.rows);
  body.write(columns.id_bytes.data(), columns.id_bytes.size());
  write_index([&](const void* data, std::size_t size) { body.write(data, size); });
}

FileHeader header_of(const fs::path& file, std::span<const std::byte> bytes) {
  FileHeader header;
  if (bytes.size() < header_size(1)) fail_segment(file, "cut off in its header");
  std::memcpy(static_cast<HeaderBegin*>(&header), bytes.data(), sizeof(HeaderBegin));
  if (header.magic != kMagic) fail_segment(file, "it is no segment of an index");
  if (header.version > kVersion) {
    throw Error(ErrorKind::kUnsupported,
                file.string() + " is of version " + std::to_string(header.version) +
                    ", this program reads up to " + std::to_string(kVersion) + "; update it");
  }
  const std::size_t size = header_size(header.version);
  if (bytes.size() < size) fail_segment(file, "cut off in its header");
  HeaderEnd end;
  std::memcpy(&end, bytes.data() + size - sizeof end, sizeof end);
  if (end.checksum != checksum64(bytes.first(size - sizeof end.checksum))) {
    fail_segment(file, "its header has another checksum");
  }
  header.body_checksum = end.body_checksum;
  header.efforts.front().fill({header.width, 0});
  std::memcpy(&header.efforts, bytes.data() + sizeof(HeaderBegin), efforts_size(header.version));
  if (header.version <= 2) header.efforts.fill(header.efforts.front());
  return header;
}

/// Takes one column after the other; the sizes were checked as a whole.
class ColumnReader {
 public:
  explicit ColumnReader(std::span<const std::byte> bytes) : rest_(bytes) {}
  template <typename T>
  void read(std::vector<T>& to, std::size_t count) {
    to.resize(count);
    if (count > 0) std::memcpy(to.data(), take(count * sizeof(T)).data(), count * sizeof(T));
  }
  std::span<const std::byte> take(std::size_t size) {
    const auto taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }

 private:
  std::span<const std::byte> rest_;
};

constexpr std::uint64_t kBytesPerPlace = 3 * sizeof(std::uint64_t) + sizeof(std::uint32_t);

bool sizes_agree(const FileHeader& header, std::size_t file_bytes) {
  // Far beyond any disk, far below overflow.
  constexpr std::uint64_t kMax = std::uint64_t{1} << 40;
  if (header.num_places > kMax || header.id_bytes > kMax || header.index_bytes > kMax) return false;
  return header_size(header.version) + header.num_places * kBytesPerPlace + header.id_bytes +
             header.index_bytes ==
         file_bytes;
}

bool ends_ascend(const std::vector<std::uint64_t>& ends, std::uint64_t id_bytes) {
  std::uint64_t last = 0;
  for (const std::uint64_t end : ends) {
    if (end < last) return false;
    last = end;
  }
  return last == id_bytes;
}

SegmentHead head_of(const FileHeader& header) {
  SegmentHead head;
  head.generation = header.generation;
  head.commit_id = header.commit_id;
  head.dim = header.dim;
  head.efforts = header.efforts;
  head.sample_recall = header.sample_recall;
  head.num_places = header.num_places;
  return head;
}

}  // namespace

void fail_segment(const fs::path& file, const std::string& what) {
  throw Error(ErrorKind::kCorruptData,
              file.string() + " is damaged (" + what + "); make it anew with `mmra bank reindex`");
}

SegmentContents parse_segment(std::span<const std::byte> bytes, const fs::path& file) {
  const FileHeader header = header_of(file, bytes);
  if (!sizes_agree(header, bytes.size())) {
    fail_segment(file, "its size is not what its header says");
  }
  const auto body = bytes.subspan(header_size(header.version));
  if (checksum64(body) != header.body_checksum) fail_segment(file, "its checksum differs");
  SegmentContents contents;
  contents.head = head_of(header);
  contents.index = body.last(header.index_bytes);
  SegmentColumns& columns = contents.columns;
  ColumnReader reader(body);
  reader.read(columns.vector_hashes, header.num_places);
  reader.read(columns.posted_at, header.num_places);
  reader.read(columns.id_ends, header.num_places);
  reader.read(columns.rows, header.num_places);
  const auto ids = reader.take(header.id_bytes);
  columns.id_bytes.assign(reinterpret_cast<const char*>(ids.data()), ids.size());
  if (!ends_ascend(columns.id_ends, header.id_bytes)) fail_segment(file, "its ids overlap");
  if (!std::is_sorted(columns.posted_at.begin(), columns.posted_at.end())) {
    fail_segment(file, "its times do not ascend");
  }
  return contents;
}

void write_segment_file(const fs::path& file, const SegmentHead& head,
                        const SegmentColumns& columns,
                        const std::function<void(const ByteSink&)>& write_index) {
  FileHeader header;
  header.dim = head.dim;
  header.generation = head.generation;
  header.commit_id = head.commit_id;
  header.width = head.efforts.front().front().width;
  header.efforts = head.efforts;
  header.sample_recall = head.sample_recall;
  header.num_places = columns.rows.size();
  header.id_bytes = columns.id_bytes.size();
  // The header comes first and has what is known last: one pass to find it out, one to write.
  Body measured([](const void*, std::size_t) {});
  write_body(measured, columns, write_index);
  header.index_bytes =
      measured.size() - header.num_places * kBytesPerPlace - columns.id_bytes.size();
  header.body_checksum = measured.checksum();
  const std::vector<std::byte> header_bytes = bytes_of(header);
  AtomicFile out(file);
  out.write(header_bytes.data(), header_bytes.size());
  Body written([&](const void* data, std::size_t size) { out.write(data, size); });
  write_body(written, columns, write_index);
  out.commit();
}

}  // namespace mmra::retrieval
