#include "mmra/bank/vector_table.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "mmra/bank/row_search.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/fingerprint.h"

namespace mmra::bank {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMagic = 0x0043455641524D4D;  // "MMRAVEC\0"
constexpr std::uint32_t kVersionWithoutHistory = 1;
constexpr std::uint32_t kVersionWithHistory = 2;
constexpr std::size_t kAlignment = 64;

struct Header {
  std::uint64_t magic = kMagic;
  std::uint32_t version = kVersionWithoutHistory;
  std::uint32_t retrieval_dim = 0;
  std::uint64_t generation = 0;
  std::uint64_t commit_id = 0;
  std::uint64_t num_rows = 0;
  std::uint64_t id_bytes = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t checksum = 0;  ///< of the 56 bytes before it
};
static_assert(sizeof(Header) == kAlignment);

/// Follows the header in version 2.
struct HistoryHeader {
  std::uint64_t num_observations = 0;
  std::uint64_t reserved[6] = {};
  std::uint64_t checksum = 0;  ///< of the 56 bytes before it
};
static_assert(sizeof(HistoryHeader) == kAlignment);

enum Section {
  kIdEnds,
  kIdBytes,
  kPopularity,
  kPostedAt,
  kSplit,
  kVectors,
  kNumSectionsOfVersion1,
  // Of version 2 alone:
  kUntimed = kNumSectionsOfVersion1,
  kObservationEnds,
  kObservations,
  kNumSections
};
static_assert(sizeof(Observation) == 16, "written as it lies in memory");

struct Footer {
  std::uint64_t checksums[kNumSectionsOfVersion1] = {};
  std::uint64_t reserved = 0;
  std::uint64_t checksum = 0;  ///< of the 56 bytes before it
};
static_assert(sizeof(Footer) == kAlignment);

/// Follows the footer in version 2.
struct HistoryFooter {
  std::uint64_t checksums[kNumSections - kNumSectionsOfVersion1] = {};
  std::uint64_t reserved[4] = {};
  std::uint64_t checksum = 0;  ///< of the 56 bytes before it
};
static_assert(sizeof(HistoryFooter) == kAlignment);

template <typename Block>
std::uint64_t checksum_of_block(const Block& block) {
  return checksum64(std::as_bytes(std::span(&block, 1)).first(sizeof block - 8));
}

/// Where everything lies, from the numbers in the header; empty where they overflow.
struct Layout {
  std::size_t begin[kNumSections] = {};
  std::size_t size[kNumSections] = {};
  int num_sections = 0;
  std::size_t footer = 0;
  std::size_t file_bytes = 0;

  /// `num_observations`: of version 2.
  static std::optional<Layout> of(const Header& header, std::uint64_t num_observations) {
    const std::uint64_t num_rows = header.num_rows;
    const std::uint64_t id_bytes = header.id_bytes;
    const std::uint64_t retrieval_dim = header.retrieval_dim;
    // Far beyond any disk, far below overflow.
    constexpr std::uint64_t kMax = std::uint64_t{1} << 40;
    if (num_rows > kMax || id_bytes > kMax || retrieval_dim > (std::uint64_t{1} << 20) ||
        num_observations > kMax) {
      return std::nullopt;
    }
    const bool has_history = header.version == kVersionWithHistory;
    Layout layout;
    layout.size[kIdEnds] = num_rows * sizeof(std::uint64_t);
    layout.size[kIdBytes] = id_bytes;
    layout.size[kPopularity] = num_rows * sizeof(double);
    layout.size[kPostedAt] = num_rows * sizeof(std::int64_t);
    layout.size[kSplit] = num_rows;
    layout.size[kVectors] = num_rows * retrieval_dim * sizeof(float);
    layout.size[kUntimed] = num_rows * sizeof(double);
    layout.size[kObservationEnds] = num_rows * sizeof(std::uint64_t);
    layout.size[kObservations] = num_observations * sizeof(Observation);
    layout.num_sections = has_history ? kNumSections : kNumSectionsOfVersion1;
    std::size_t at = sizeof(Header) + (has_history ? sizeof(HistoryHeader) : 0);
    for (int section = 0; section < layout.num_sections; ++section) {
      layout.begin[section] = at;
      at += (layout.size[section] + kAlignment - 1) / kAlignment * kAlignment;
    }
    layout.footer = at;
    layout.file_bytes = at + sizeof(Footer) + (has_history ? sizeof(HistoryFooter) : 0);
    return layout;
  }
};

using Sink = std::function<void(const void* data, std::size_t size)>;

/// Writes one section after the other and keeps their checksums.
class SectionWriter {
 public:
  explicit SectionWriter(const Sink& sink) : sink_(sink) {}

  void write(const void* data, std::size_t size) {
    if (size == 0) return;
    checksum_.add({static_cast<const std::byte*>(data), size});
    sink_(data, size);
    written_ += size;
  }
  void end_section() {
    static constexpr char kZeros[kAlignment] = {};
    checksums_[section_++] = std::exchange(checksum_, {}).value();
    const std::size_t padding = (kAlignment - written_ % kAlignment) % kAlignment;
    if (padding > 0) sink_(kZeros, padding);
    written_ = 0;
  }
  void finish() {
    Footer footer;
    std::copy_n(checksums_, kNumSectionsOfVersion1, footer.checksums);
    footer.checksum = checksum_of_block(footer);
    sink_(&footer, sizeof footer);
    if (section_ == kNumSectionsOfVersion1) return;
    HistoryFooter more;
    std::copy_n(checksums_ + kNumSectionsOfVersion1, std::size(more.checksums), more.checksums);
    more.checksum = checksum_of_block(more);
    sink_(&more, sizeof more);
  }

 private:
  const Sink& sink_;
  RunningChecksum checksum_;
  std::uint64_t checksums_[kNumSections] = {};
  int section_ = 0;
  std::size_t written_ = 0;
};

Header make_header(const CommitStamp& stamp, const TableColumns& columns, int retrieval_dim) {
  Header header;
  if (!columns.observations.empty()) header.version = kVersionWithHistory;
  header.retrieval_dim = static_cast<std::uint32_t>(retrieval_dim);
  header.generation = stamp.generation;
  header.commit_id = stamp.commit_id;
  header.num_rows = columns.num_rows();
  header.id_bytes = columns.id_bytes.size();
  const auto layout = Layout::of(header, columns.observations.size());
  if (!layout) throw Error(ErrorKind::kUnsupported, "the bank is too large for one table");
  header.file_bytes = layout->file_bytes;
  header.checksum = checksum_of_block(header);
  return header;
}

void write_table(const Header& header, const TableColumns& columns,
                 const ForEachVector& for_each_vector, const Sink& sink) {
  sink(&header, sizeof header);
  const bool has_history = header.version == kVersionWithHistory;
  if (has_history) {
    HistoryHeader more;
    more.num_observations = columns.observations.size();
    more.checksum = checksum_of_block(more);
    sink(&more, sizeof more);
  }
  SectionWriter writer(sink);
  const auto write_section = [&](const auto& values) {
    writer.write(values.data(), values.size() * sizeof(values[0]));
    writer.end_section();
  };
  write_section(columns.id_ends);
  write_section(columns.id_bytes);
  write_section(columns.popularity);
  write_section(columns.posted_at);
  write_section(columns.split);
  const std::size_t vector_bytes = header.retrieval_dim * sizeof(float);
  std::uint64_t num_vectors = 0;
  for_each_vector([&](ByteView vector) {
    if (vector.size() != vector_bytes) {
      throw Error(ErrorKind::kInternal, "a retrieval vector of " + std::to_string(vector.size()) +
                                            " bytes, expected " + std::to_string(vector_bytes));
    }
    if (++num_vectors > header.num_rows) {
      throw Error(ErrorKind::kInternal, "more vectors than records");
    }
    writer.write(vector.data(), vector.size());
  });
  if (num_vectors < header.num_rows) {
    throw Error(ErrorKind::kInternal, "fewer vectors than records");
  }
  writer.end_section();
  if (has_history) {
    write_section(columns.untimed);
    write_section(columns.observation_ends);
    write_section(columns.observations);
  }
  writer.finish();
}

/// Memory that begins on a cache line, as a mapped file does.
class AlignedBuffer {
 public:
  explicit AlignedBuffer(std::size_t size)
      : size_(size),
        data_(static_cast<std::byte*>(std::aligned_alloc(kAlignment, size)), &std::free) {
    if (!data_) throw std::bad_alloc();
  }
  [[nodiscard]] ByteView bytes() const { return {data_.get(), size_}; }
  void append(const void* data, std::size_t size) {
    if (size > size_ - used_) throw Error(ErrorKind::kInternal, "a table beyond its size");
    std::memcpy(data_.get() + used_, data, size);
    used_ += size;
  }

 private:
  std::size_t size_;
  std::size_t used_ = 0;
  std::unique_ptr<std::byte, decltype(&std::free)> data_;
};

Header header_of(ByteView file) {
  Header header;
  std::memcpy(&header, file.data(), sizeof header);
  return header;
}

/// Of a file that is large enough.
std::uint64_t num_observations_of(const Header& header, ByteView file) {
  if (header.version != kVersionWithHistory) return 0;
  HistoryHeader more;
  std::memcpy(&more, file.data() + sizeof header, sizeof more);
  return more.num_observations;
}

class VectorTable final : public BankTable {
 public:
  /// `bytes` was checked by fault_of_file() and lives as long as `owner`.
  VectorTable(ByteView bytes, std::shared_ptr<const void> owner)
      : owner_(std::move(owner)), bytes_(bytes), header_(header_of(bytes)) {
    layout_ = *Layout::of(header_, num_observations_of(header_, bytes));
  }

  [[nodiscard]] std::uint64_t generation() const override { return header_.generation; }
  [[nodiscard]] std::uint64_t commit_id() const override { return header_.commit_id; }
  [[nodiscard]] std::size_t num_rows() const override { return header_.num_rows; }
  [[nodiscard]] int retrieval_dim() const override {
    return static_cast<int>(header_.retrieval_dim);
  }
  [[nodiscard]] std::span<const float> retrieval_vectors() const override {
    return section<float>(kVectors);
  }
  [[nodiscard]] std::string_view id(std::size_t row) const override {
    const auto ends = section<std::uint64_t>(kIdEnds);
    const std::size_t begin = row == 0 ? 0 : ends[row - 1];
    const auto bytes = section<char>(kIdBytes);
    return {bytes.data() + begin, ends[row] - begin};
  }
  [[nodiscard]] std::optional<std::size_t> row_of(std::string_view wanted) const override {
    const std::size_t row = first_row_from(*this, wanted, 0, num_rows());
    if (row == num_rows() || id(row) != wanted) return std::nullopt;
    return row;
  }
  [[nodiscard]] std::optional<double> popularity(std::size_t row) const override {
    const double value = section<double>(kPopularity)[row];
    return std::isnan(value) ? std::nullopt : std::optional(value);
  }
  [[nodiscard]] std::optional<Timestamp> posted_at(std::size_t row) const override {
    const std::int64_t ms = section<std::int64_t>(kPostedAt)[row];
    return ms == TableColumns::kNoTime ? std::nullopt : std::optional(Timestamp{ms});
  }
  [[nodiscard]] Split split(std::size_t row) const override {
    return static_cast<Split>(section<std::uint8_t>(kSplit)[row]);
  }

  [[nodiscard]] HistoryView history(std::size_t row) const override {
    if (!has_history()) return BankTable::history(row);
    const auto ends = section<std::uint64_t>(kObservationEnds);
    const std::size_t begin = row == 0 ? 0 : ends[row - 1];
    const double untimed = section<double>(kUntimed)[row];
    return {std::isnan(untimed) ? std::nullopt : std::optional(untimed),
            section<Observation>(kObservations).subspan(begin, ends[row] - begin)};
  }
  [[nodiscard]] std::optional<Timestamp> label_known_at(std::size_t row) const override {
    if (!has_history()) return std::nullopt;
    return label_of(history(row), std::nullopt, std::nullopt).known_at;
  }
  [[nodiscard]] std::optional<double> popularity_as_of(std::size_t row,
                                                       Timestamp moment) const override {
    return has_history() ? latest_before(history(row), moment) : popularity(row);
  }

  [[nodiscard]] std::span<const std::uint64_t> id_ends() const {
    return section<std::uint64_t>(kIdEnds);
  }
  [[nodiscard]] std::span<const std::uint64_t> observation_ends() const {
    return section<std::uint64_t>(kObservationEnds);
  }
  [[nodiscard]] bool has_history() const { return header_.version == kVersionWithHistory; }
  [[nodiscard]] bool section_is_sound(Section which) const {
    Footer footer;
    std::memcpy(&footer, bytes_.data() + layout_.footer, sizeof footer);
    std::uint64_t expected = 0;
    if (which < kNumSectionsOfVersion1) {
      expected = footer.checksums[which];
    } else {
      HistoryFooter more;
      std::memcpy(&more, bytes_.data() + layout_.footer + sizeof footer, sizeof more);
      expected = more.checksums[which - kNumSectionsOfVersion1];
    }
    return checksum64(bytes_.subspan(layout_.begin[which], layout_.size[which])) == expected;
  }

 private:
  /// Sections begin on cache lines of a mapping or buffer that does.
  template <typename Value>
  [[nodiscard]] std::span<const Value> section(Section which) const {
    return {reinterpret_cast<const Value*>(bytes_.data() + layout_.begin[which]),
            layout_.size[which] / sizeof(Value)};
  }

  std::shared_ptr<const void> owner_;
  ByteView bytes_;
  Header header_;
  Layout layout_;
};

/// What is wrong with the file, for tables of any commit; empty where all is well.
std::string fault_of_file(ByteView file) {
  if (file.size() < sizeof(Header)) return "it is cut off";
  const Header header = header_of(file);
  if (header.magic != kMagic) return "it does not begin with MMRAVEC";
  const bool has_history = header.version == kVersionWithHistory;
  if (header.version != kVersionWithoutHistory && !has_history) {
    return "it is of version " + std::to_string(header.version);
  }
  if (header.checksum != checksum_of_block(header)) return "its header is damaged";
  if (has_history) {
    if (file.size() < sizeof(Header) + sizeof(HistoryHeader)) return "it is cut off";
    HistoryHeader more;
    std::memcpy(&more, file.data() + sizeof header, sizeof more);
    if (more.checksum != checksum_of_block(more)) return "its header is damaged";
  }
  const auto layout = Layout::of(header, num_observations_of(header, file));
  if (!layout || layout->file_bytes != header.file_bytes) return "its header is damaged";
  if (file.size() != header.file_bytes) {
    return "it has " + std::to_string(file.size()) + " bytes, expected " +
           std::to_string(header.file_bytes);
  }
  Footer footer;
  std::memcpy(&footer, file.data() + layout->footer, sizeof footer);
  if (footer.checksum != checksum_of_block(footer)) return "its checksums are damaged";
  if (has_history) {
    HistoryFooter more;
    std::memcpy(&more, file.data() + layout->footer + sizeof footer, sizeof more);
    if (more.checksum != checksum_of_block(more)) return "its checksums are damaged";
  }
  return {};
}

/// Whether `ends` rise from 0 or more to exactly `last`.
bool are_ends(std::span<const std::uint64_t> ends, std::uint64_t last) {
  std::uint64_t before = 0;
  for (const std::uint64_t end : ends) {
    if (end < before || end > last) return false;
    before = end;
  }
  return before == last;
}

bool are_in_order(const VectorTable& table) {
  for (std::size_t row = 0; row < table.num_rows(); ++row) {
    const auto timed = table.history(row).timed;
    for (std::size_t i = 1; i < timed.size(); ++i) {
      if (!(timed[i - 1].observed_at < timed[i].observed_at)) return false;
    }
  }
  return true;
}

/// The same for all sections but the vectors.
std::string fault_of_columns(const VectorTable& table, ByteView file) {
  for (const Section section : {kIdEnds, kIdBytes, kPopularity, kPostedAt, kSplit}) {
    if (!table.section_is_sound(section)) return "a checksum does not match";
  }
  if (table.has_history()) {
    for (const Section section : {kUntimed, kObservationEnds, kObservations}) {
      if (!table.section_is_sound(section)) return "a checksum does not match";
    }
    const auto ends = table.observation_ends();
    if (!are_ends(ends, num_observations_of(header_of(file), file)) || !are_in_order(table)) {
      return "its counts are damaged";
    }
  }
  // A checksum is no proof of origin: what follows is what an access out of bounds would need.
  if (!are_ends(table.id_ends(), header_of(file).id_bytes)) return "its ids are damaged";
  for (std::size_t row = 0; row < table.num_rows(); ++row) {
    if (table.split(row) > Split::kTest) return "its splits are damaged";
  }
  return {};
}

}  // namespace

void TableColumns::append(const Record& record, const PopularityHistory* history) {
  append(record.id, record.popularity, record.posted_at, record.split,
         history != nullptr ? HistoryView{history->untimed, history->timed}
                            : HistoryView{record.popularity, {}});
}

void TableColumns::append(const BankTable& table, std::size_t row) {
  append(table.id(row), table.popularity(row), table.posted_at(row), table.split(row),
         table.history(row));
}

void TableColumns::append(std::string_view id, std::optional<double> label,
                          std::optional<Timestamp> posted, Split in_split,
                          const HistoryView& history) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  id_bytes += id;
  id_ends.push_back(id_bytes.size());
  popularity.push_back(label.value_or(kNone));
  posted_at.push_back(posted ? posted->ms : kNoTime);
  split.push_back(static_cast<std::uint8_t>(in_split));
  untimed.push_back(history.untimed.value_or(kNone));
  observations.insert(observations.end(), history.timed.begin(), history.timed.end());
  observation_ends.push_back(observations.size());
}

void write_vector_file(const fs::path& file, const CommitStamp& stamp, const TableColumns& columns,
                       int retrieval_dim, const ForEachVector& for_each_vector) {
  // One write a vector would be a system call for each.
  constexpr std::size_t kFlushBytes = std::size_t{1} << 20;
  AtomicFile out(file);
  std::string buffer;
  const auto flush = [&] {
    out.write(buffer);
    buffer.clear();
  };
  write_table(make_header(stamp, columns, retrieval_dim), columns, for_each_vector,
              [&](const void* data, std::size_t size) {
                buffer.append(static_cast<const char*>(data), size);
                if (buffer.size() >= kFlushBytes) flush();
              });
  flush();
  out.commit();
}

std::shared_ptr<const BankTable> map_vector_file(const fs::path& file, const CommitStamp& stamp,
                                                 std::string& fault) {
  fault.clear();
  std::error_code code;
  if (!fs::exists(file, code)) return nullptr;
  auto mapping = std::make_shared<const MappedFile>(file);
  const ByteView bytes = mapping->bytes();
  fault = fault_of_file(bytes);
  if (!fault.empty()) return nullptr;
  const Header header = header_of(bytes);
  if (CommitStamp{header.generation, header.commit_id} != stamp) return nullptr;
  auto table = std::make_shared<const VectorTable>(bytes, std::move(mapping));
  fault = fault_of_columns(*table, bytes);
  if (!fault.empty()) return nullptr;
  return table;
}

std::shared_ptr<const BankTable> make_vector_table(const CommitStamp& stamp,
                                                   const TableColumns& columns, int retrieval_dim,
                                                   const ForEachVector& for_each_vector) {
  const Header header = make_header(stamp, columns, retrieval_dim);
  auto buffer = std::make_shared<AlignedBuffer>(header.file_bytes);
  write_table(header, columns, for_each_vector,
              [&](const void* data, std::size_t size) { buffer->append(data, size); });
  const ByteView bytes = buffer->bytes();
  return std::make_shared<const VectorTable>(bytes, std::move(buffer));
}

bool has_histories(const BankTable& table) {
  const auto* mapped = dynamic_cast<const VectorTable*>(&table);
  return mapped != nullptr && mapped->has_history();
}

bool verify_vectors(const BankTable& table) {
  const auto* mapped = dynamic_cast<const VectorTable*>(&table);
  return mapped != nullptr && mapped->section_is_sound(kVectors);
}

}  // namespace mmra::bank
