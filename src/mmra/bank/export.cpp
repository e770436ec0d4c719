#include "mmra/bank/export.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mmra/bank/bank_state.h"
#include "mmra/bank/manifest_writer.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/safetensors.h"

namespace mmra::bank {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kFlushBytes = std::size_t{1} << 20;

/// A tensor too large for memory on its way into a file that needs all sizes first: a temporary
/// file beside it, without a name, so that it goes whatever happens.
class SpooledBytes {
 public:
  explicit SpooledBytes(const fs::path& directory) : directory_(directory) {
    std::string pattern = (directory / "export.tmp.XXXXXX").string();
    descriptor_ = ::mkostemp(pattern.data(), O_CLOEXEC);
    if (descriptor_ < 0) throw system_error("write", pattern, errno);
    ::unlink(pattern.c_str());
  }
  SpooledBytes(const SpooledBytes&) = delete;
  SpooledBytes& operator=(const SpooledBytes&) = delete;
  ~SpooledBytes() { ::close(descriptor_); }

  template <typename Value>
  void append(const std::vector<Value>& values) {
    buffer_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value));
    if (buffer_.size() >= kFlushBytes) flush();
  }
  /// All of it, mapped; nothing may be appended afterwards.
  [[nodiscard]] const MappedFile& map() {
    flush();
    mapping_.emplace("/proc/self/fd/" + std::to_string(descriptor_));
    return *mapping_;
  }

 private:
  void flush() {
    std::size_t written = 0;
    while (written < buffer_.size()) {
      const ssize_t count =
          ::write(descriptor_, buffer_.data() + written, buffer_.size() - written);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw system_error("write into", directory_.string(), errno);
      written += static_cast<std::size_t>(count);
    }
    buffer_.clear();
  }

  fs::path directory_;
  int descriptor_ = -1;
  std::string buffer_;
  std::optional<MappedFile> mapping_;
};

/// JSON Lines of the captions.
class CaptionWriter {
 public:
  explicit CaptionWriter(const fs::path& file) : file_(file) {}
  void add(const Record& record) {
    if (record.captions.empty()) return;
    const Json line = {{"id", record.id}, {"captions", record.captions}};
    buffer_ += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    if (buffer_.size() >= kFlushBytes) flush();
  }
  void commit() {
    flush();
    file_.commit();
  }

 private:
  void flush() {
    file_.write(buffer_);
    buffer_.clear();
  }

  AtomicFile file_;
  std::string buffer_;
};

/// The features as tensors; tokens of all rows one after the other, with offsets as in a CSR
/// matrix.
class FeatureWriter {
 public:
  FeatureWriter(const fs::path& directory, const BankSchema& schema)
      : schema_(schema), retrieval_(directory), visual_(directory), text_(directory) {}

  void add(const Features& features) {
    retrieval_.append(features.retrieval_vector);
    visual_.append(features.visual_tokens.values);
    text_.append(features.text_tokens.values);
    visual_offsets_.push_back(visual_offsets_.back() + features.visual_tokens.num_tokens);
    text_offsets_.push_back(text_offsets_.back() + features.text_tokens.num_tokens);
  }

  void write(const fs::path& file) {
    const auto num_rows = static_cast<std::int64_t>(visual_offsets_.size()) - 1;
    const std::array<NamedTensor, 5> tensors{{{"retrieval_vectors",
                                               DataType::kFloat32,
                                               {num_rows, schema_.retrieval_dim},
                                               retrieval_.map().bytes()},
                                              offsets("visual_offsets", visual_offsets_),
                                              {"visual_tokens",
                                               DataType::kFloat16,
                                               {visual_offsets_.back(), schema_.visual_dim},
                                               visual_.map().bytes()},
                                              offsets("text_offsets", text_offsets_),
                                              {"text_tokens",
                                               DataType::kFloat16,
                                               {text_offsets_.back(), schema_.text_dim},
                                               text_.map().bytes()}}};
    write_safetensors(file, tensors, {{"format", "mmra-export-1"}});
  }

 private:
  static NamedTensor offsets(const std::string& name, const std::vector<std::int64_t>& values) {
    return {name,
            DataType::kInt64,
            {static_cast<std::int64_t>(values.size())},
            std::as_bytes(std::span(values))};
  }

  BankSchema schema_;
  SpooledBytes retrieval_;
  SpooledBytes visual_;
  SpooledBytes text_;
  std::vector<std::int64_t> visual_offsets_{0};
  std::vector<std::int64_t> text_offsets_{0};
};

/// Counts with times; without any there is no such file.
class CountWriter {
 public:
  explicit CountWriter(fs::path file) : file_(std::move(file)) {}

  void add(const std::string& id, const PopularityHistory& history) {
    for (const Observation& observation : history.timed) {
      if (!writer_) writer_.emplace(file_, kColumns);
      writer_->add_row({id, to_text(observation.popularity), to_text(observation.observed_at)});
    }
  }
  void commit() {
    if (writer_) {
      writer_->commit();
      return;
    }
    std::error_code code;
    fs::remove(file_, code);  // of an earlier export
    if (code) throw system_error("write", file_.string(), code.value());
  }

 private:
  inline static const std::vector<std::string> kColumns = {"id", "popularity", "observed_at"};
  fs::path file_;
  std::optional<ManifestWriter> writer_;
};

std::vector<std::string> names_of(const std::map<std::string, ColumnType>& columns) {
  std::vector<std::string> names;
  names.reserve(columns.size());
  for (const auto& column : columns) names.push_back(column.first);
  return names;
}

}  // namespace

std::int64_t export_bank(const MemoryBank& bank, const fs::path& out_directory) {
  make_directories(out_directory);
  // That of an earlier export would vouch for a directory which is neither the old nor the new one.
  std::error_code code;
  fs::remove(out_directory / "bank.json", code);
  if (code) throw system_error("write", (out_directory / "bank.json").string(), code.value());
  // Columns are only ever added: a record of the snapshot below has at least these, and what a
  // writer adds in between is in the next export.
  const BankSchema schema = bank.info().schema;
  RecordWriter videos(out_directory / "videos.csv", names_of(schema.context_columns));
  CaptionWriter captions(out_directory / "captions.jsonl");
  FeatureWriter features(out_directory, schema);
  CountWriter counts(out_directory / "counts.csv");
  std::int64_t num_records = 0;
  bank.for_each_with_features([&](const Record& record, const Features& stored) {
    videos.add(record);
    captions.add(record);
    features.add(stored);
    if (schema.format_version >= kFormatVersionWithHistories) {
      if (const auto history = bank.find_history(record.id)) counts.add(record.id, *history);
    }
    ++num_records;
    return true;
  });
  features.write(out_directory / "features.safetensors");
  videos.commit();
  captions.commit();
  counts.commit();
  Json description = Json::parse(to_json_text(schema));
  description["records"] = num_records;
  write_file_atomically(out_directory / "bank.json", description.dump(2) + "\n");
  return num_records;
}

}  // namespace mmra::bank
