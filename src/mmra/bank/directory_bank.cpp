#include "mmra/bank/directory_bank.h"

#include <algorithm>
#include <mutex>
#include <numeric>
#include <utility>

#include "mmra/bank/bank_files.h"
#include "mmra/bank/bank_state.h"
#include "mmra/bank/context_typer.h"
#include "mmra/bank/editor.h"
#include "mmra/bank/label_table.h"
#include "mmra/bank/lmdb_environment.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/bank/record_checks.h"
#include "mmra/bank/saved_table.h"
#include "mmra/bank/snapshot.h"
#include "mmra/bank/table_changes.h"
#include "mmra/bank/table_source.h"
#include "mmra/bank/text_checks.h"
#include "mmra/bank/vector_table.h"
#include "mmra/bank/verifier.h"
#include "mmra/bank/writer_lock.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/fingerprint.h"

namespace mmra::bank {
namespace {

namespace fs = std::filesystem;

constexpr int kOpenAttempts = 3;

/// From when on there is a bank.
void give_name(const fs::path& bank) {
  std::error_code code;
  fs::rename(unfinished_directory(bank), records_directory(bank), code);
  if (code) throw system_error("create the memory bank in", bank.string(), code.value());
  sync_directory(bank);
}

class DirectoryBank final : public MemoryBank {
 public:
  DirectoryBank(const fs::path& directory, std::unique_ptr<WriterLock> lock)
      : directory_(directory), lock_(std::move(lock)), shared_(open_environment()) {
    if (lock_ != nullptr) {
      if (!shared_->get().writable()) {
        throw Error(ErrorKind::kIo, "cannot write to the memory bank " + directory_.string() +
                                        ": no permission, or a read-only file system");
      }
      shared_->get().check_pages(PageCheck::kForChanging);
      remove_leftovers(directory_);
    }
    static_cast<void>(snapshot().schema());  // a newer or damaged bank is refused here
  }

  [[nodiscard]] BankInfo info() const override {
    const Snapshot seen = snapshot();
    const BankState state = seen.state();
    BankInfo info;
    info.schema = seen.schema();
    state.tell(info);
    info.num_records = seen.transaction().count(Database::kRecords);
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

  void for_each_stored(const std::function<bool(std::string_view id)>& wanted,
                       const std::function<bool(StoredRecord&&)>& visit) const override {
    const Snapshot seen = snapshot();
    seen.transaction().for_each(Database::kRecords, [&](std::string_view id, ByteView value) {
      if (!wanted(id)) return true;
      StoredRecord stored;
      stored.record = decode_record(id, value);
      stored.features = decode_features(id, seen.features_value(id));
      if (const auto thumbnails = seen.transaction().get(Database::kThumbnails, id)) {
        stored.record.thumbnails = decode_thumbnails(id, *thumbnails);
      }
      stored.history = seen.find_history(id);
      if (!stored.history) stored.history = PopularityHistory{stored.record.popularity, {}};
      return visit(std::move(stored));
    });
  }

  void for_each_digest(
      const std::function<void(std::string_view id, std::uint64_t digest)>& visit) const override {
    const Snapshot seen = snapshot();
    const Transaction& transaction = seen.transaction();
    transaction.for_each(Database::kRecords, [&](std::string_view id, ByteView value) {
      std::vector<ValueChecksum> checksums = {{'R', checksum64(value)}};
      checksums.push_back({'F', checksum64(seen.features_value(id))});
      if (const auto thumbnails = transaction.get(Database::kThumbnails, id)) {
        checksums.push_back({'T', checksum64(*thumbnails)});
      }
      if (const auto counts = transaction.get(Database::kHistories, id)) {
        checksums.push_back({'O', checksum64(*counts)});
      }
      visit(id, digest_of(checksums));
      return true;
    });
  }

  void put(std::span<const StoredRecord> records) override {
    if (records.empty()) return;
    const std::scoped_lock writing(write_mutex_);
    const bool has_counts = std::any_of(records.begin(), records.end(), [](const auto& stored) {
      return stored.history && !stored.history->timed.empty();
    });
    if (has_counts) create_histories();
    Snapshot seen = writable_snapshot();
    const BankSchema schema = seen.schema();
    Editor editor(seen);
    for (const StoredRecord& stored : records) {
      check_record(stored.record, schema);
      check_features(stored.record.id, stored.features, schema);
      if (stored.history) check_history(stored.record.id, *stored.history);
      editor.put(stored);
    }
    if (has_counts) raise_version(seen);
    commit(editor, seen);
  }

  void put_record(const Record& record) override {
    const std::scoped_lock writing(write_mutex_);
    Snapshot seen = writable_snapshot();
    check_record(record, seen.schema());
    if (!seen.transaction().get(Database::kRecords, record.id)) {
      throw Error(ErrorKind::kNotFound, "the memory bank " + directory_.string() +
                                            " has no record " + in_quotes(record.id) +
                                            " to replace; add it with its features");
    }
    Editor editor(seen);
    editor.put_record(record);
    commit(editor, seen);
  }

  ObserveReport observe(std::span<const RecordObservation> observations) override {
    ObserveReport report;
    for (const RecordObservation& each : observations) {
      check_history(each.id, {std::nullopt, {each.observation}});
    }
    if (observations.empty()) return report;
    const std::scoped_lock writing(write_mutex_);
    create_histories();
    Snapshot seen = writable_snapshot();
    Editor editor(seen);
    // Record by record, in the order of the file they are in.
    std::vector<std::size_t> order(observations.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return observations[a].id < observations[b].id;
    });
    for (std::size_t begin = 0; begin < order.size();) {
      const std::string& id = observations[order[begin]].id;
      std::size_t end = begin;
      while (end < order.size() && observations[order[end]].id == id) ++end;
      observe_record(seen, editor, observations, std::span(order).subspan(begin, end - begin),
                     report);
      begin = end;
    }
    std::sort(report.unknown.begin(), report.unknown.end());
    std::sort(report.early.begin(), report.early.end());
    if (report.num_added == 0) return report;
    raise_version(seen);
    commit(editor, seen);
    return report;
  }

  [[nodiscard]] std::optional<PopularityHistory> find_history(std::string_view id) const override {
    const Snapshot seen = snapshot();
    if (auto history = seen.find_history(id)) return history;
    const auto record = seen.find(id);
    if (!record) return std::nullopt;
    return PopularityHistory{record->popularity, {}};
  }

  std::int64_t remove(std::span<const std::string> ids) override {
    const std::scoped_lock writing(write_mutex_);
    Snapshot seen = writable_snapshot();
    Editor editor(seen);
    std::int64_t num_removed = 0;
    for (const std::string& id : ids) num_removed += editor.remove(id) ? 1 : 0;
    if (num_removed > 0) commit(editor, seen);
    return num_removed;
  }

  void add_context_columns(const std::map<std::string, ColumnType>& columns) override {
    const std::scoped_lock writing(write_mutex_);
    Snapshot seen = writable_snapshot();
    BankSchema schema = seen.schema();
    if (!merge_columns(columns, directory_.string(), schema)) return;
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
      if (lock_ != nullptr) changes_.follow(table_);
      if (const auto horizon = horizon_of(seen.schema().popularity_horizon)) {
        table_ = with_horizon(std::move(table_), *horizon);
      }
      table_stamp_ = stamp;
    }
    return table_;
  }

  [[nodiscard]] std::vector<Problem> verify() const override {
    try {
      environment()->get().check_pages(PageCheck::kForChanging);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kCorruptData) throw;
      return {{"", error.what()}};  // nothing behind such pages can be looked at
    }
    const Snapshot seen = snapshot();
    return find_problems(seen, directory_);
  }

  std::vector<Repair> repair() override {
    const std::scoped_lock writing(write_mutex_);
    require_writable();
    environment()->get().check_pages(PageCheck::kForChanging);
    std::vector<Repair> repairs;
    {
      Snapshot seen = writable_snapshot();
      repairs = repair_records(seen);
    }
    for (const Problem& problem : find_problems(snapshot(), directory_)) {
      if (problem.what.find(vectors_file(directory_).string()) == std::string::npos) continue;
      repairs.push_back({problem.id, problem.what, "the derived file was made anew"});
    }
    rebuild_derived_files();
    return repairs;
  }

  void compact() override {
    const std::scoped_lock writing(write_mutex_);
    require_writable();
    const fs::path records = records_directory(directory_);
    const fs::path fresh = compacting_directory(directory_);
    try {
      copy_records(snapshot().transaction(), fresh);
      exchange_directories(records, fresh);
    } catch (...) {
      std::error_code ignored;  // it is why we are here that counts; the next writer tries again
      fs::remove_all(fresh, ignored);
      throw;
    }
    sync_directory(directory_);
    {
      const std::scoped_lock lock(environment_mutex_);
      shared_ = open_environment();
    }
    // A derived file of an earlier commit may still hold what was removed since, and so may what
    // others have derived. All at once: of an index half of whose files are gone, the rest says
    // that it is damaged.
    std::error_code code;
    fs::rename(derived_directory(directory_), removed_derived_directory(directory_), code);
    if (code && code != std::errc::no_such_file_or_directory) {
      throw system_error("rename", derived_directory(directory_).string(), code.value());
    }
    remove_leftovers(directory_);  // with the old records
    sync_directory(directory_);
    rebuild_derived_files();
  }

  void backup(const fs::path& directory) const override {
    require_no_other_files(directory);
    make_directories(directory);
    const WriterLock lock(directory);
    if (directory_bank_exists(directory)) {
      throw Error(ErrorKind::kInvalidInput,
                  directory.string() + " holds a memory bank; name another directory");
    }
    std::error_code code;
    if (fs::exists(encoders_below(directory_), code)) {
      copy_directory(encoders_below(directory_), encoders_below(directory));
    }
    copy_records(snapshot().transaction(), unfinished_directory(directory));
    give_name(directory);
  }

  void rebuild_derived_files() override {
    std::error_code ignored;
    fs::remove(vectors_file(directory_), ignored);
    changes_.forget();
    {
      const std::scoped_lock lock(table_mutex_);
      table_ = nullptr;
    }
    (void)table();
  }

 private:
  void create_histories() {
    require_writable();
    environment()->get().create_database(Database::kHistories);
  }

  /// A program that knows no histories would leave those of what it removes.
  static void raise_version(Snapshot& seen) {
    BankSchema schema = seen.schema();
    if (schema.format_version >= kFormatVersionWithHistories) return;
    schema.format_version = kFormatVersionWithHistories;
    seen.set_schema(schema);
  }

  /// The counts of one record, `which` of `observations`.
  static void observe_record(Snapshot& seen, Editor& editor,
                             std::span<const RecordObservation> observations,
                             std::span<const std::size_t> which, ObserveReport& report) {
    const auto record = seen.find(observations[which.front()].id);
    if (!record) {
      report.unknown.insert(report.unknown.end(), which.begin(), which.end());
      return;
    }
    std::vector<Observation> added;
    for (const std::size_t i : which) {
      const Observation& observation = observations[i].observation;
      if (record->posted_at && observation.observed_at < *record->posted_at) {
        report.early.push_back(i);
      } else {
        added.push_back(observation);
      }
    }
    const auto num_added = static_cast<std::int64_t>(added.size());
    (editor.observe(*record, added) ? report.num_added : report.num_unchanged) += num_added;
  }

  /// The bank's environment as it is now: compaction puts another one in its place. Nobody else's
  /// compaction does while this is the writer.
  [[nodiscard]] std::shared_ptr<const SharedEnvironment> environment() const {
    const std::scoped_lock lock(environment_mutex_);
    const bool may_change = lock_ == nullptr;
    if (may_change && !shared_->is_in(records_directory(directory_))) shared_ = open_environment();
    return shared_;
  }

  [[nodiscard]] std::shared_ptr<const SharedEnvironment> open_environment() const {
    for (int attempt = 1;; ++attempt) {
      try {
        return std::make_shared<const SharedEnvironment>(records_directory(directory_));
      } catch (const Error& error) {
        // A directory that has just been exchanged for another one is emptied.
        if (error.kind() != ErrorKind::kNotFound || attempt == kOpenAttempts) throw;
      }
    }
  }

  [[nodiscard]] Snapshot snapshot() const {
    const auto shared = environment();
    return {shared->get(), directory_, Transaction::Kind::kRead, shared};
  }
  void require_writable() const {
    if (lock_ != nullptr) return;
    throw Error(ErrorKind::kInternal,
                "the memory bank " + directory_.string() + " was opened for reading only");
  }
  [[nodiscard]] Snapshot writable_snapshot() const {
    require_writable();
    const auto shared = environment();
    return {shared->get(), directory_, Transaction::Kind::kWrite, shared};
  }

  [[nodiscard]] std::shared_ptr<const BankTable> map_or_make_table(const Snapshot& seen,
                                                                   const CommitStamp& stamp) const {
    const fs::path file = vectors_file(directory_);
    const int dim = seen.schema().retrieval_dim;
    if (auto table = find_saved_table(file, stamp, dim)) return table;
    const TableSource source = table_source(seen, stamp);
    return save_table(file, stamp, source.columns, dim, source.vectors);
  }

  /// Of the table before, where this writer has made or mapped it and its vectors are sound.
  [[nodiscard]] TableSource table_source(const Snapshot& seen, const CommitStamp& stamp) const {
    const auto since = changes_.before(stamp.generation);
    if (!since || !verify_vectors(*since->table)) return source_of_records(seen);
    return source_of_changes(seen, *since);
  }

  /// Everything that changes records goes this way.
  void commit(Editor& editor, const Snapshot& seen) {
    if (!changes_.is_following()) {
      const BankState state = seen.state();
      const CommitStamp stamp{state.generation, state.commit_id};
      if (auto table =
              find_saved_table(vectors_file(directory_), stamp, seen.schema().retrieval_dim)) {
        changes_.follow(std::move(table));
      }
    }
    changes_.note(editor.changed_ids(), editor.next_generation());
    editor.commit();
  }

  fs::path directory_;
  std::unique_ptr<WriterLock> lock_;
  std::mutex write_mutex_;  ///< held by whoever changes records, so that compaction waits for them
  mutable std::mutex environment_mutex_;
  mutable std::shared_ptr<const SharedEnvironment> shared_;
  mutable TableChanges changes_;  ///< of a writer
  mutable std::mutex table_mutex_;
  mutable std::shared_ptr<const BankTable> table_;
  mutable CommitStamp table_stamp_;
};

/// An environment with a schema and no records, complete before it gets its name: a bank either is
/// there or is not.
void make_records(const fs::path& bank, const BankSchema& schema) {
  const fs::path unfinished = unfinished_directory(bank);
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
  give_name(bank);
}

}  // namespace

bool directory_bank_exists(const fs::path& directory) {
  std::error_code ignored;
  return fs::is_regular_file(records_directory(directory) / "data.mdb", ignored);
}

std::unique_ptr<MemoryBank> open_directory_bank(const fs::path& directory, OpenMode mode) {
  if (!directory_bank_exists(directory)) {
    throw Error(ErrorKind::kNotFound, "there is no memory bank in " + directory.string() +
                                          "; make one with `mmra ingest MANIFEST --bank " +
                                          directory.string() + "`");
  }
  auto lock = mode == OpenMode::kReadWrite ? std::make_unique<WriterLock>(directory) : nullptr;
  return std::make_unique<DirectoryBank>(directory, std::move(lock));
}

std::unique_ptr<MemoryBank> create_directory_bank(const fs::path& directory,
                                                  const BankSchema& schema) {
  check_schema(schema);
  make_directories(directory);
  auto lock = std::make_unique<WriterLock>(directory);
  if (directory_bank_exists(directory)) {
    throw Error(ErrorKind::kInvalidInput, "there is a memory bank in " + directory.string() +
                                              " already; choose another directory");
  }
  make_records(directory, schema);
  return std::make_unique<DirectoryBank>(directory, std::move(lock));
}

}  // namespace mmra::bank
