#include <fcntl.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <mutex>
#include <random>
#include <utility>

#include "mmra/bank/bank_state.h"
#include "mmra/bank/context_typer.h"
#include "mmra/bank/lmdb_environment.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/bank/text_checks.h"
#include "mmra/bank/vector_table.h"
#include "mmra/bank/writer_lock.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::bank {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSchemaKey = "schema";
constexpr std::string_view kStateKey = "state";

fs::path records_directory(const fs::path& bank) { return bank / "records"; }
fs::path vectors_file(const fs::path& bank) { return bank / "derived" / "vectors.bin"; }

std::uint64_t random_id() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

std::int64_t disk_bytes_of(const fs::path& directory) {
  std::int64_t bytes = 0;
  std::error_code code;
  for (fs::recursive_directory_iterator at(directory, code), end; !code && at != end;
       at.increment(code)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored)) {
      const auto size = at->file_size(ignored);
      if (!ignored) bytes += static_cast<std::int64_t>(size);
    }
  }
  return bytes;
}

[[noreturn]] void misfit(const std::string& id, const std::string& what) {
  throw Error(ErrorKind::kInvalidInput,
              "the record " + in_quotes(id) + " does not fit the bank: " + what);
}

bool has_infinity_or_nan(const std::vector<Float16Bits>& values) {
  constexpr Float16Bits kExponent = 0x7C00;
  for (const Float16Bits value : values) {
    if ((value & kExponent) == kExponent) return true;
  }
  return false;
}

void check_tokens(const std::string& id, const std::string& modality, const HalfTokenMatrix& tokens,
                  int schema_dim) {
  const bool absent = tokens.num_tokens == 0 && tokens.dim == 0;
  if (!absent && tokens.dim != schema_dim) {
    misfit(id, modality + " tokens of dimension " + std::to_string(tokens.dim) + ", expected " +
                   std::to_string(schema_dim));
  }
  const auto expected = static_cast<std::int64_t>(tokens.num_tokens) * tokens.dim;
  if (tokens.num_tokens < 0 || static_cast<std::int64_t>(tokens.values.size()) != expected) {
    misfit(id, std::to_string(tokens.values.size()) + " values of " + modality +
                   " tokens, expected " + std::to_string(tokens.num_tokens) + " x " +
                   std::to_string(tokens.dim));
  }
  if (has_infinity_or_nan(tokens.values)) {
    misfit(id, "a " + modality + " token holds infinity or NaN (beyond float16's 65504?)");
  }
}

void check_features(const std::string& id, const Features& features, const BankSchema& schema) {
  check_tokens(id, "visual", features.visual_tokens, schema.visual_dim);
  check_tokens(id, "text", features.text_tokens, schema.text_dim);
  if (features.retrieval_vector.size() != static_cast<std::size_t>(schema.retrieval_dim)) {
    misfit(id, "a retrieval vector of dimension " +
                   std::to_string(features.retrieval_vector.size()) + ", expected " +
                   std::to_string(schema.retrieval_dim));
  }
  for (const float value : features.retrieval_vector) {
    if (!std::isfinite(value)) misfit(id, "its retrieval vector holds infinity or NaN");
  }
}

void check_record(const Record& record, const BankSchema& schema) {
  if (const auto fault = fault_of_id(record.id)) throw Error(ErrorKind::kInvalidInput, *fault);
  if (record.popularity && (!std::isfinite(*record.popularity) || *record.popularity < 0.0)) {
    misfit(record.id, "the popularity " + std::to_string(*record.popularity) +
                          ", expected a number of 0 or more");
  }
  for (const auto& [name, value] : record.context) {
    const auto column = schema.context_columns.find(name);
    if (column == schema.context_columns.end()) {
      misfit(record.id, "it has no context column " + in_quotes(name));
    }
    const auto* number = std::get_if<double>(&value);
    const ColumnType type = number != nullptr ? ColumnType::kNumber : ColumnType::kCategory;
    if (type != column->second) {
      misfit(record.id, "the context column " + in_quotes(name) + " holds a " +
                            std::string(name_of(type)) + ", expected a " +
                            std::string(name_of(column->second)));
    }
    if (number != nullptr && !std::isfinite(*number)) {
      misfit(record.id, "the context column " + in_quotes(name) + " holds infinity or NaN");
    }
  }
}

void check_schema(const BankSchema& schema) {
  if (schema.visual_dim < 0 || schema.text_dim < 0 || schema.retrieval_dim < 0 ||
      schema.num_frames < 1) {
    throw Error(ErrorKind::kInvalidInput,
                "a memory bank needs dimensions of 0 or more and at least one frame");
  }
}

/// What of a bank one transaction sees.
class Snapshot {
 public:
  Snapshot(const Environment& environment, const fs::path& bank, Transaction::Kind kind)
      : transaction_(environment, kind), bank_(bank.string()) {}

  [[nodiscard]] BankSchema schema() const { return parse_schema(text(kSchemaKey), bank_); }
  [[nodiscard]] BankState state() const { return parse_state(text(kStateKey), bank_); }
  void set_schema(const BankSchema& schema) {
    transaction_.put(Database::kMeta, kSchemaKey, encode_text(kSchemaKey, to_json_text(schema)));
  }
  /// A new generation: commits everything.
  void commit(BankState state) {
    ++state.generation;
    state.commit_id = random_id();
    transaction_.put(Database::kMeta, kStateKey, encode_text(kStateKey, to_json_text(state)));
    transaction_.commit();
  }

  [[nodiscard]] std::optional<Record> find(std::string_view id) const {
    const auto value = transaction_.get(Database::kRecords, id);
    if (!value) return std::nullopt;
    return decode_record(id, *value);
  }
  [[nodiscard]] ByteView features_value(std::string_view id) const {
    const auto value = transaction_.get(Database::kFeatures, id);
    if (!value) {
      throw Error(ErrorKind::kCorruptData, "the record " + in_quotes(id) +
                                               " has no features in the bank " + bank_ +
                                               "; remove it and ingest it again");
    }
    return *value;
  }
  [[nodiscard]] Transaction& transaction() { return transaction_; }
  [[nodiscard]] const Transaction& transaction() const { return transaction_; }

 private:
  [[nodiscard]] std::string text(std::string_view key) const {
    const auto value = transaction_.get(Database::kMeta, key);
    if (!value) {
      throw Error(ErrorKind::kCorruptData, "the memory bank " + bank_ + " is damaged: it has no " +
                                               std::string(key) + "; restore it from a backup");
    }
    return decode_text(key, *value);
  }

  Transaction transaction_;
  std::string bank_;
};

/// Changes records inside one write transaction and keeps the counts right.
class Editor {
 public:
  explicit Editor(Snapshot& snapshot) : snapshot_(snapshot), state_(snapshot.state()) {}

  void put(const StoredRecord& stored) {
    const std::string& id = stored.record.id;
    count_out(id);
    count_out_features(id);
    put_value(Database::kRecords, id, encode_record(stored.record));
    put_value(Database::kFeatures, id, encode_features(id, stored.features));
    if (stored.record.thumbnails.empty()) {
      snapshot_.transaction().remove(Database::kThumbnails, id);
    } else {
      put_value(Database::kThumbnails, id, encode_thumbnails(id, stored.record.thumbnails));
    }
    state_.count(stored.record, +1);
    state_.count_tokens(stored.features.visual_tokens.num_tokens,
                        stored.features.text_tokens.num_tokens, +1);
  }

  void put_record(const Record& record) {
    count_out(record.id);
    put_value(Database::kRecords, record.id, encode_record(record));
    state_.count(record, +1);
  }

  bool remove(const std::string& id) {
    count_out(id);
    count_out_features(id);
    const bool there = snapshot_.transaction().remove(Database::kRecords, id);
    const bool had_features = snapshot_.transaction().remove(Database::kFeatures, id);
    const bool had_thumbnails = snapshot_.transaction().remove(Database::kThumbnails, id);
    return there || had_features || had_thumbnails;
  }

  void commit() {
    if (must_recount_) recount();
    snapshot_.commit(state_);
  }

 private:
  void put_value(Database database, const std::string& id, const Bytes& value) {
    snapshot_.transaction().put(database, id, value);
  }

  /// A damaged value can be replaced and removed like any other; nobody knows what it counted for.
  template <typename Action>
  void tolerating_damage(const Action& action) {
    try {
      action();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kCorruptData) throw;
      must_recount_ = true;
    }
  }

  void count_out(const std::string& id) {
    tolerating_damage([&] {
      if (const auto old = snapshot_.find(id)) state_.count(*old, -1);
    });
  }
  void count_out_features(const std::string& id) {
    tolerating_damage([&] {
      if (const auto old = snapshot_.transaction().get(Database::kFeatures, id)) {
        const FeaturesHeader header = read_features_header(id, *old, /*check=*/true);
        state_.count_tokens(header.visual_tokens, header.text_tokens, -1);
      }
    });
  }

  void recount() {
    BankState counted;
    counted.generation = state_.generation;
    const Transaction& transaction = snapshot_.transaction();
    transaction.for_each(Database::kRecords, [&](std::string_view id, ByteView value) {
      tolerating_damage([&] { counted.count(decode_record(id, value), +1); });
      return true;
    });
    transaction.for_each(Database::kFeatures, [&](std::string_view id, ByteView value) {
      tolerating_damage([&] {
        const FeaturesHeader header = read_features_header(id, value, /*check=*/true);
        counted.count_tokens(header.visual_tokens, header.text_tokens, +1);
      });
      return true;
    });
    state_ = counted;
  }

  Snapshot& snapshot_;
  BankState state_;
  bool must_recount_ = false;
};

/// Looks at everything and lists what is wrong.
class Verifier {
 public:
  Verifier(const Snapshot& snapshot, const fs::path& bank) : snapshot_(snapshot), bank_(bank) {}

  std::vector<Problem> run() {
    guarded("", [&] { schema_ = snapshot_.schema(); });
    guarded("", [&] { state_ = snapshot_.state(); });
    if (!problems_.empty()) return std::move(problems_);
    open_derived_file();
    check_records();
    check_others(Database::kFeatures, "features",
                 [&](std::string_view id, ByteView value) { check_features_value(id, value); });
    check_others(Database::kThumbnails, "thumbnails", [&](std::string_view id, ByteView value) {
      static_cast<void>(decode_thumbnails(id, value));
    });
    if (problems_.empty() && !counted_.same_counts(state_)) {
      report("", "its counts of labels, videos, times, splits or tokens do not match the records");
    }
    compare_num_rows();
    return std::move(problems_);
  }

 private:
  void report(std::string_view id, const std::string& what) {
    problems_.push_back({std::string(id), what});
  }

  template <typename Action>
  void guarded(std::string_view id, const Action& action) {
    try {
      action();
    } catch (const Error& error) {
      report(id, error.what());
    }
  }

  void open_derived_file() {
    guarded("", [&] {
      std::string fault;
      derived_ = map_vector_file(vectors_file(bank_), {state_.generation, state_.commit_id}, fault);
      if (derived_ != nullptr && derived_->retrieval_dim() != schema_.retrieval_dim) {
        fault = "it has vectors of dimension " + std::to_string(derived_->retrieval_dim()) +
                ", expected " + std::to_string(schema_.retrieval_dim);
      } else if (derived_ != nullptr && !verify_vectors(*derived_)) {
        fault = "the checksum of its vectors does not match";
      }
      if (!fault.empty()) {
        derived_ = nullptr;
        report("", vectors_file(bank_).string() + " is damaged: " + fault +
                       "; delete it, it will be made again");
      }
    });
  }

  void check_records() {
    guarded("", [&] {
      snapshot_.transaction().for_each(Database::kRecords,
                                       [&](std::string_view id, ByteView value) {
                                         guarded(id, [&] { check_record_value(id, value); });
                                         ++num_records_;
                                         return true;
                                       });
    });
  }

  void check_record_value(std::string_view id, ByteView value) {
    const Record record = decode_record(id, value);
    check_record(record, schema_);
    counted_.count(record, +1);
    if (!snapshot_.transaction().get(Database::kFeatures, id)) {
      report(id, "the record has no features");
    }
    compare_with_derived(record);
  }

  void compare_with_derived(const Record& record) {
    if (derived_ == nullptr) return;
    const auto row = derived_->row_of(record.id);
    if (!row || derived_->popularity(*row) != record.popularity ||
        derived_->posted_at(*row) != record.posted_at || derived_->split(*row) != record.split) {
      report(record.id, "the derived file differs from the record; delete " +
                            vectors_file(bank_).string() + ", it will be made again");
    }
  }

  void check_features_value(std::string_view id, ByteView value) {
    const Features features = decode_features(id, value);
    check_features(std::string(id), features, schema_);
    counted_.count_tokens(features.visual_tokens.num_tokens, features.text_tokens.num_tokens, +1);
    if (derived_ == nullptr) return;
    const auto row = derived_->row_of(id);
    const auto dim = features.retrieval_vector.size();
    if (row && dim > 0 &&
        std::memcmp(features.retrieval_vector.data(),
                    derived_->retrieval_vectors().subspan(*row * dim, dim).data(),
                    dim * sizeof(float)) != 0) {
      report(id, "the derived file differs from the features; delete " +
                     vectors_file(bank_).string() + ", it will be made again");
    }
  }

  template <typename Check>
  void check_others(Database database, const std::string& what, const Check& check) {
    guarded("", [&] {
      snapshot_.transaction().for_each(database, [&](std::string_view id, ByteView value) {
        if (!snapshot_.transaction().get(Database::kRecords, id)) {
          report(id, "there are " + what + " but no record; remove the id and ingest it again");
        }
        guarded(id, [&] { check(id, value); });
        return true;
      });
    });
  }

  void compare_num_rows() {
    if (derived_ != nullptr && derived_->num_rows() != num_records_) {
      report("", "the derived file has " + std::to_string(derived_->num_rows()) +
                     " rows, the bank has " + std::to_string(num_records_) + " records");
    }
  }

  const Snapshot& snapshot_;
  fs::path bank_;
  std::vector<Problem> problems_;
  BankSchema schema_;
  BankState state_;
  BankState counted_;
  std::size_t num_records_ = 0;
  std::shared_ptr<const BankTable> derived_;
};

class DirectoryBank final : public MemoryBank {
 public:
  DirectoryBank(const fs::path& directory, std::unique_ptr<WriterLock> lock)
      : directory_(directory), lock_(std::move(lock)), shared_(records_directory(directory)) {
    if (lock_ != nullptr && !shared_.get().writable()) {
      throw Error(ErrorKind::kIo, "cannot write to the memory bank " + directory_.string() +
                                      ": no permission, or a read-only file system");
    }
    if (lock_ != nullptr) shared_.get().check_pages(PageCheck::kForChanging);
    static_cast<void>(snapshot().schema());  // a newer or damaged bank is refused here
  }

  [[nodiscard]] BankInfo info() const override {
    const Snapshot seen = snapshot();
    const BankState state = seen.state();
    BankInfo info;
    info.schema = seen.schema();
    info.generation = state.generation;
    info.num_records = seen.transaction().count(Database::kRecords);
    info.num_labelled = state.num_labelled;
    info.num_with_video = state.num_with_video;
    info.num_with_time = state.num_with_time;
    for (int i = 0; i < 3; ++i) info.num_in_split[i] = state.num_in_split[i];
    info.num_visual_tokens = state.num_visual_tokens;
    info.num_text_tokens = state.num_text_tokens;
    info.disk_bytes = disk_bytes_of(directory_);
    return info;
  }

  [[nodiscard]] std::optional<Record> find(std::string_view id) const override {
    const Snapshot seen = snapshot();
    auto record = seen.find(id);
    if (!record) return std::nullopt;
    if (const auto value = seen.transaction().get(Database::kThumbnails, id)) {
      record->thumbnails = decode_thumbnails(id, *value);
    }
    return record;
  }

  [[nodiscard]] std::optional<Features> find_features(std::string_view id) const override {
    const Snapshot seen = snapshot();
    const auto value = seen.transaction().get(Database::kFeatures, id);
    if (!value) return std::nullopt;
    return decode_features(id, *value);
  }

  void for_each(const std::function<bool(const Record&)>& visit) const override {
    const Snapshot seen = snapshot();
    seen.transaction().for_each(Database::kRecords, [&](std::string_view id, ByteView value) {
      return visit(decode_record(id, value));
    });
  }

  void for_each_with_features(
      const std::function<bool(const Record&, const Features&)>& visit) const override {
    const Snapshot seen = snapshot();
    seen.transaction().for_each(Database::kRecords, [&](std::string_view id, ByteView value) {
      return visit(decode_record(id, value), decode_features(id, seen.features_value(id)));
    });
  }

  void put(std::span<const StoredRecord> records) override {
    if (records.empty()) return;
    Snapshot seen = writable_snapshot();
    const BankSchema schema = seen.schema();
    Editor editor(seen);
    for (const StoredRecord& stored : records) {
      check_record(stored.record, schema);
      check_features(stored.record.id, stored.features, schema);
      editor.put(stored);
    }
    editor.commit();
  }

  void put_record(const Record& record) override {
    Snapshot seen = writable_snapshot();
    check_record(record, seen.schema());
    if (!seen.transaction().get(Database::kRecords, record.id)) {
      throw Error(ErrorKind::kNotFound, "the memory bank " + directory_.string() +
                                            " has no record " + in_quotes(record.id) +
                                            " to replace; add it with its features");
    }
    Editor editor(seen);
    editor.put_record(record);
    editor.commit();
  }

  std::int64_t remove(std::span<const std::string> ids) override {
    Snapshot seen = writable_snapshot();
    Editor editor(seen);
    std::int64_t num_removed = 0;
    for (const std::string& id : ids) num_removed += editor.remove(id) ? 1 : 0;
    if (num_removed > 0) editor.commit();
    return num_removed;
  }

  void add_context_columns(const std::map<std::string, ColumnType>& columns) override {
    Snapshot seen = writable_snapshot();
    BankSchema schema = seen.schema();
    bool changed = false;
    for (const auto& [name, type] : columns) {
      const auto [entry, added] = schema.context_columns.emplace(name, type);
      if (entry->second != type) {
        throw Error(ErrorKind::kInvalidInput, "the context column " + in_quotes(name) + " is a " +
                                                  std::string(name_of(entry->second)) +
                                                  " in the memory bank " + directory_.string() +
                                                  ", here it is a " + std::string(name_of(type)));
      }
      changed = changed || added;
    }
    if (!changed) return;
    seen.set_schema(schema);
    seen.commit(seen.state());
  }

  [[nodiscard]] std::shared_ptr<const BankTable> table() const override {
    const Snapshot seen = snapshot();
    const BankState state = seen.state();
    const CommitStamp stamp{state.generation, state.commit_id};
    const std::scoped_lock lock(table_mutex_);
    if (table_ == nullptr || table_stamp_ != stamp) {
      table_ = nullptr;  // its memory goes before the new one's comes
      table_ = map_or_make_table(seen, stamp);
      table_stamp_ = stamp;
    }
    return table_;
  }

  [[nodiscard]] std::vector<Problem> verify() const override {
    try {
      shared_.get().check_pages(PageCheck::kForChanging);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kCorruptData) throw;
      return {{"", error.what()}};  // nothing behind such pages can be looked at
    }
    const Snapshot seen = snapshot();
    return Verifier(seen, directory_).run();
  }

 private:
  [[nodiscard]] Snapshot snapshot() const {
    return {shared_.get(), directory_, Transaction::Kind::kRead};
  }
  [[nodiscard]] Snapshot writable_snapshot() const {
    if (lock_ == nullptr) {
      throw Error(ErrorKind::kInternal,
                  "the memory bank " + directory_.string() + " was opened for reading only");
    }
    return {shared_.get(), directory_, Transaction::Kind::kWrite};
  }

  [[nodiscard]] std::shared_ptr<const BankTable> map_or_make_table(const Snapshot& seen,
                                                                   const CommitStamp& stamp) const {
    const fs::path file = vectors_file(directory_);
    const int dim = seen.schema().retrieval_dim;
    if (auto table = try_map(file, stamp, dim)) return table;

    TableColumns columns;
    seen.transaction().for_each(Database::kRecords, [&](std::string_view id, ByteView value) {
      columns.append(decode_record(id, value));
      return true;
    });
    const ForEachVector vectors = [&](const std::function<void(ByteView)>& visit) {
      seen.transaction().for_each(Database::kRecords, [&](std::string_view id, ByteView) {
        visit(read_features_header(id, seen.features_value(id), /*check=*/true).retrieval_vector);
        return true;
      });
    };
    try {
      make_directories(file.parent_path());
      write_vector_file(file, stamp, columns, dim, vectors);
    } catch (const Error& error) {
      // The file is a convenience: a read-only or full disk only costs making it again next time.
      if (error.kind() != ErrorKind::kIo && error.kind() != ErrorKind::kNotFound) throw;
      return make_vector_table(stamp, columns, dim, vectors);
    }
    if (auto table = try_map(file, stamp, dim)) return table;
    return make_vector_table(stamp, columns, dim, vectors);  // another process replaced it
  }

  static std::shared_ptr<const BankTable> try_map(const fs::path& file, const CommitStamp& stamp,
                                                  int retrieval_dim) {
    try {
      std::string ignored;
      auto table = map_vector_file(file, stamp, ignored);
      return table != nullptr && table->retrieval_dim() == retrieval_dim ? table : nullptr;
    } catch (const Error&) {
      return nullptr;  // no permission, or not a file at all
    }
  }

  fs::path directory_;
  std::unique_ptr<WriterLock> lock_;
  SharedEnvironment shared_;
  mutable std::mutex table_mutex_;
  mutable std::shared_ptr<const BankTable> table_;
  mutable CommitStamp table_stamp_;
};

void sync_directory(const fs::path& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw system_error("open", directory.string(), errno);
  ::fsync(descriptor);
  ::close(descriptor);
}

/// An environment with a schema and no records, complete before it gets its name: a bank either is
/// there or is not.
void make_records(const fs::path& bank, const BankSchema& schema) {
  const fs::path unfinished = bank / "records.unfinished";
  std::error_code code;
  fs::remove_all(unfinished, code);  // of one that was killed
  make_directories(unfinished);
  {
    const Environment environment(unfinished, /*create=*/true);
    Snapshot fresh(environment, bank, Transaction::Kind::kWrite);
    fresh.set_schema(schema);
    fresh.commit(BankState{});
  }
  sync_directory(unfinished);
  fs::rename(unfinished, records_directory(bank), code);
  if (code) throw system_error("create the memory bank in", bank.string(), code.value());
  sync_directory(bank);
}

}  // namespace

bool bank_exists(const fs::path& directory) {
  std::error_code ignored;
  return fs::is_regular_file(records_directory(directory) / "data.mdb", ignored);
}

fs::path encoders_directory(const fs::path& bank_directory) { return bank_directory / "encoders"; }

fs::path failures_file(const fs::path& bank_directory) { return bank_directory / "failures.jsonl"; }

std::unique_ptr<MemoryBank> open_bank(const fs::path& directory, OpenMode mode) {
  if (!bank_exists(directory)) {
    throw Error(ErrorKind::kNotFound, "there is no memory bank in " + directory.string() +
                                          "; make one with `mmra ingest MANIFEST --bank " +
                                          directory.string() + "`");
  }
  auto lock = mode == OpenMode::kReadWrite ? std::make_unique<WriterLock>(directory) : nullptr;
  return std::make_unique<DirectoryBank>(directory, std::move(lock));
}

std::unique_ptr<MemoryBank> create_bank(const fs::path& directory, const BankSchema& schema) {
  check_schema(schema);
  make_directories(directory);
  auto lock = std::make_unique<WriterLock>(directory);
  if (bank_exists(directory)) {
    throw Error(ErrorKind::kInvalidInput, "there is a memory bank in " + directory.string() +
                                              " already; choose another directory");
  }
  make_records(directory, schema);
  return std::make_unique<DirectoryBank>(directory, std::move(lock));
}

}  // namespace mmra::bank
