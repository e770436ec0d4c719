#include "mmra/retrieval/index/segment.h"

#include <cstring>
#include <type_traits>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/fingerprint.h"

namespace mmra::retrieval {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMagic = 0x00474553'41524D4D;  // "MMRASEG\0"
constexpr std::uint32_t kVersion = 1;

struct FileHeader {
  std::uint64_t magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t dim = 0;
  std::uint64_t generation = 0;
  std::uint64_t commit_id = 0;
  std::uint64_t num_places = 0;
  std::uint64_t id_bytes = 0;
  std::uint64_t index_bytes = 0;
  std::int32_t width = 0;
  float sample_recall = 0.0F;
  std::uint64_t body_checksum = 0;  ///< of everything behind the header
  std::uint64_t checksum = 0;       ///< of the 72 bytes before it
};
static_assert(sizeof(FileHeader) == 80 && std::is_trivially_copyable_v<FileHeader>);

std::uint64_t checksum_of(const FileHeader& header) {
  return checksum64(
      std::as_bytes(std::span(&header, 1)).first(sizeof header - sizeof(std::uint64_t)));
}

/// Hashes and counts what goes by.
class Body {
 public:
  using Sink = std::function<void(const void* data, std::size_t size)>;
  explicit Body(Sink sink) : sink_(std::move(sink)) {}
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
  Sink sink_;
  RunningChecksum checksum_;
  std::uint64_t size_ = 0;
};

struct Columns {
  std::vector<std::uint64_t> vector_hashes;
  std::vector<std::int64_t> posted_at;
  std::vector<std::uint64_t> id_ends;
  std::string id_bytes;
};

Columns columns_of(const bank::BankTable& table, std::span<const std::uint32_t> rows) {
  Columns columns;
  for (const std::uint32_t row : rows) {
    columns.vector_hashes.push_back(vector_hash_of(table, row));
    columns.posted_at.push_back(segment_time_of(table, row));
    columns.id_bytes += table.id(row);
    columns.id_ends.push_back(columns.id_bytes.size());
  }
  return columns;
}

void write_body(Body& body, const Columns& columns, std::span<const std::uint32_t> rows,
                const FaissIndex& index) {
  body.write_all(columns.vector_hashes);
  body.write_all(columns.posted_at);
  body.write_all(columns.id_ends);
  body.write(rows.data(), rows.size_bytes());
  body.write(columns.id_bytes.data(), columns.id_bytes.size());
  index.write([&](const void* data, std::size_t size) { body.write(data, size); });
}

[[noreturn]] void fail(const fs::path& file, const std::string& what) {
  throw Error(ErrorKind::kCorruptData,
              file.string() + " is damaged (" + what + "); make it anew with `mmra bank reindex`");
}

FileHeader header_of(const fs::path& file, std::span<const std::byte> bytes) {
  FileHeader header;
  if (bytes.size() < sizeof header) fail(file, "cut off in its header");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kMagic) fail(file, "it is no segment of an index");
  if (header.version > kVersion) {
    throw Error(ErrorKind::kUnsupported,
                file.string() + " is of version " + std::to_string(header.version) +
                    ", this program reads up to " + std::to_string(kVersion) + "; update it");
  }
  if (header.checksum != checksum_of(header)) fail(file, "its header has another checksum");
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
  return sizeof header + header.num_places * kBytesPerPlace + header.id_bytes +
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

}  // namespace

std::int64_t segment_time_of(const bank::BankTable& table, std::size_t row) {
  const auto posted_at = table.posted_at(row);
  return posted_at ? posted_at->ms : Segment::kNoTime;
}

std::uint64_t vector_hash_of(const bank::BankTable& table, std::size_t row) {
  const auto dim = static_cast<std::size_t>(table.retrieval_dim());
  return checksum64(std::as_bytes(table.retrieval_vectors().subspan(row * dim, dim)));
}

std::string_view Segment::id(std::size_t place) const {
  const std::size_t begin = place == 0 ? 0 : id_ends_[place - 1];
  return std::string_view(id_bytes_).substr(begin, id_ends_[place] - begin);
}

void write_segment(const fs::path& file, const bank::BankTable& table,
                   std::span<const std::uint32_t> rows, const FaissIndex& index,
                   const SegmentHead& head) {
  const Columns columns = columns_of(table, rows);
  FileHeader header;
  header.dim = head.dim;
  header.generation = head.generation;
  header.commit_id = head.commit_id;
  header.width = head.width;
  header.sample_recall = head.sample_recall;
  header.num_places = rows.size();
  header.id_bytes = columns.id_bytes.size();
  // The header comes first and has what is known last: one pass to find it out, one to write.
  Body measured([](const void*, std::size_t) {});
  write_body(measured, columns, rows, index);
  header.index_bytes = measured.size() - rows.size() * kBytesPerPlace - columns.id_bytes.size();
  header.body_checksum = measured.checksum();
  header.checksum = checksum_of(header);
  AtomicFile out(file);
  out.write(&header, sizeof header);
  Body written([&](const void* data, std::size_t size) { out.write(data, size); });
  write_body(written, columns, rows, index);
  out.commit();
}

std::shared_ptr<const Segment> Segment::open(const fs::path& file) {
  const MappedFile mapped(file);
  const auto bytes = mapped.bytes();
  const FileHeader header = header_of(file, bytes);
  if (!sizes_agree(header, bytes.size())) fail(file, "its size is not what its header says");
  const auto body = bytes.subspan(sizeof header);
  if (checksum64(body) != header.body_checksum) fail(file, "its checksum differs");

  SegmentHead head;
  head.generation = header.generation;
  head.commit_id = header.commit_id;
  head.dim = header.dim;
  head.width = header.width;
  head.sample_recall = header.sample_recall;
  head.num_places = header.num_places;
  ColumnReader columns(body.first(body.size() - header.index_bytes));
  std::vector<std::uint64_t> vector_hashes;
  std::vector<std::int64_t> posted_at;
  std::vector<std::uint64_t> id_ends;
  std::vector<std::uint32_t> rows;
  columns.read(vector_hashes, head.num_places);
  columns.read(posted_at, head.num_places);
  columns.read(id_ends, head.num_places);
  columns.read(rows, head.num_places);
  if (!ends_ascend(id_ends, header.id_bytes)) fail(file, "its ids overlap");
  try {
    FaissIndex index = FaissIndex::read(body.last(header.index_bytes));
    if (index.num_vectors() != head.num_places || index.dim() != head.dim) {
      fail(file, "its index is of other vectors");
    }
    index.set_width(head.width);
    std::shared_ptr<Segment> segment(new Segment(head, std::move(index)));
    segment->file_bytes_ = static_cast<std::int64_t>(bytes.size());
    segment->vector_hashes_ = std::move(vector_hashes);
    segment->posted_at_ = std::move(posted_at);
    segment->id_ends_ = std::move(id_ends);
    segment->rows_ = std::move(rows);
    const auto ids = columns.take(header.id_bytes);
    segment->id_bytes_.assign(reinterpret_cast<const char*>(ids.data()), ids.size());
    return segment;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kCorruptData) throw;
    fail(file, error.what());
  }
}

}  // namespace mmra::retrieval
