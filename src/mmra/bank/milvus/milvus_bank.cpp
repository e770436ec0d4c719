#include "mmra/bank/milvus/milvus_bank.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <map>
#include <mutex>
#include <numeric>
#include <utility>

#include "mmra/bank/bank_files.h"
#include "mmra/bank/bank_state.h"
#include "mmra/bank/milvus/bank_head.h"
#include "mmra/bank/milvus/collections.h"
#include "mmra/bank/milvus/commit_writer.h"
#include "mmra/bank/milvus/local_copy.h"
#include "mmra/bank/milvus/own_index.h"
#include "mmra/bank/milvus/record_change.h"
#include "mmra/bank/milvus/record_reader.h"
#include "mmra/bank/milvus/record_values.h"
#include "mmra/bank/milvus/recovery.h"
#include "mmra/bank/milvus/row_reader.h"
#include "mmra/bank/milvus/stored_row.h"
#include "mmra/bank/milvus/table_cache.h"
#include "mmra/bank/milvus/verifier.h"
#include "mmra/bank/record_checks.h"
#include "mmra/bank/record_codec.h"
#include "mmra/bank/text_checks.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

namespace fs = std::filesystem;

bool everything(std::string_view /*id*/) { return true; }

/// Those that can be a record's.
std::vector<std::string> sound_ids(std::span<const std::string> ids) {
  std::vector<std::string> sound;
  for (const std::string& id : ids) {
    if (!fault_of_id(id)) sound.push_back(id);
  }
  return sound;
}

class MilvusBank final : public MemoryBank {
 public:
  MilvusBank(const MilvusAddress& address, const MilvusOptions& options, OpenMode mode)
      : collections_(address, options),
        directory_(local_directory(address)),
        table_(collections_, vectors_file(directory_)) {
    collections_.load();
    if (mode == OpenMode::kReadWrite) writer_ = std::make_unique<CommitWriter>(collections_);
    static_cast<void>(collections_.now());
    static_cast<void>(schema());  // a newer or damaged bank is refused here
    download_encoders(collections_.client(), collections_.values(), encoders_below(directory_),
                      MilvusCollections::seen());
    if (writer_ != nullptr && !is_as_left(collections_)) recover_or_leave_to_repair();
  }

  [[nodiscard]] BankInfo info() const override {
    const BankState state = known_state();
    BankInfo info;
    info.schema = schema();
    state.tell(info);
    info.num_records = std::accumulate(std::begin(info.num_in_split), std::end(info.num_in_split),
                                       std::int64_t{0});
    return info;
  }

  [[nodiscard]] std::optional<Record> find(std::string_view id) const override {
    return find_record(collections_, id);
  }

  [[nodiscard]] std::optional<Features> find_features(std::string_view id) const override {
    const auto values = find_values(collections_, id, "F");
    if (!values) return std::nullopt;
    return features_of(id, *values);
  }

  [[nodiscard]] std::optional<PopularityHistory> find_history(std::string_view id) const override {
    return bank::find_history(collections_, id);
  }

  void for_each(const std::function<bool(const Record&)>& visit) const override {
    scan_records(collections_, "R", everything,
                 [&](const StoredRow& row, const RecordValues& values) {
                   return visit(record_of(row.id, values));
                 });
  }

  void for_each_with_features(
      const std::function<bool(const Record&, const Features&)>& visit) const override {
    scan_records(collections_, "RF", everything,
                 [&](const StoredRow& row, const RecordValues& values) {
                   return visit(record_of(row.id, values), features_of(row.id, values));
                 });
  }

  void for_each_stored(const std::function<bool(std::string_view id)>& wanted,
                       const std::function<bool(StoredRecord&&)>& visit) const override {
    scan_records(collections_, kRecordKinds, wanted,
                 [&](const StoredRow& row, const RecordValues& values) {
                   return visit(stored_record_of(row.id, values));
                 });
  }

  void for_each_digest(
      const std::function<void(std::string_view id, std::uint64_t digest)>& visit) const override {
    for_each_row(collections_, [&](const StoredRow& row) {
      std::vector<ValueChecksum> checksums;
      for (const ValueName& name : row.values) checksums.push_back({name.kind, name.hash});
      visit(row.id, digest_of(checksums));
    });
  }

  void put(std::span<const StoredRecord> records) override {
    if (records.empty()) return;
    const std::scoped_lock writing(write_mutex_);
    CommitWriter& writer = require_writer();
    BankSchema schema = this->schema();
    bool has_counts = false;
    std::vector<std::string> ids;
    for (const StoredRecord& stored : records) {
      check_record(stored.record, schema);
      check_features(stored.record.id, stored.features, schema);
      if (stored.history) check_history(stored.record.id, *stored.history);
      has_counts = has_counts || (stored.history && !stored.history->timed.empty());
      ids.push_back(stored.record.id);
    }
    RecordChanges changes = writer.begin(ids);
    for (const StoredRecord& stored : records) changes.at(stored.record.id).put(stored, schema);
    writer.commit(changes, has_counts ? &schema : nullptr);
  }

  void put_record(const Record& record) override {
    const std::scoped_lock writing(write_mutex_);
    CommitWriter& writer = require_writer();
    const BankSchema schema = this->schema();
    check_record(record, schema);
    RecordChanges changes = writer.begin(std::span(&record.id, 1));
    RecordChange& change = changes.at(record.id);
    if (!change.old) {
      throw Error(ErrorKind::kNotFound, "the memory bank " + collections_.bank() +
                                            " has no record " + in_quotes(record.id) +
                                            " to replace; add it with its features");
    }
    writer.load_vectors(changes);
    change.set_record(record, std::nullopt, schema);
    writer.commit(changes, nullptr);
  }

  ObserveReport observe(std::span<const RecordObservation> observations) override {
    ObserveReport report;
    for (const RecordObservation& each : observations) {
      check_history(each.id, {std::nullopt, {each.observation}});
    }
    if (observations.empty()) return report;
    const std::scoped_lock writing(write_mutex_);
    CommitWriter& writer = require_writer();
    BankSchema schema = this->schema();
    RecordChanges changes = observed_changes(writer, observations, schema, report);
    std::sort(report.unknown.begin(), report.unknown.end());
    std::sort(report.early.begin(), report.early.end());
    if (report.num_added == 0) return report;
    writer.load_vectors(changes);
    writer.commit(changes, &schema);
    return report;
  }

  std::int64_t remove(std::span<const std::string> ids) override {
    const std::scoped_lock writing(write_mutex_);
    CommitWriter& writer = require_writer();
    RecordChanges changes = writer.begin(sound_ids(ids));
    std::erase_if(changes, [](const auto& entry) { return !entry.second.old; });
    for (auto& [id, change] : changes) change.row.reset();
    if (!changes.empty()) writer.commit(changes, nullptr);
    return static_cast<std::int64_t>(changes.size());
  }

  void add_context_columns(const std::map<std::string, ColumnType>& columns) override {
    const std::scoped_lock writing(write_mutex_);
    CommitWriter& writer = require_writer();
    BankSchema schema = this->schema();
    if (merge_columns(columns, collections_.bank(), schema)) writer.commit_schema(schema);
  }

  [[nodiscard]] std::shared_ptr<const BankTable> table() const override { return table_.table(); }

  [[nodiscard]] std::optional<Candidates> find_candidates(std::span<const float> vector,
                                                          const CandidateFilter& filter,
                                                          int limit) const override {
    return search_own_index(collections_, vector, filter, limit);
  }

  void flush() override {
    const std::scoped_lock writing(write_mutex_);
    require_writer().flush();
  }

  [[nodiscard]] std::string own_index() const override { return kind_of_own_index(collections_); }

  void set_own_index(const std::string& kind, const std::stop_token& stop) override {
    const IndexKind parsed = parse_index_kind(kind);
    const std::scoped_lock writing(write_mutex_);
    static_cast<void>(require_writer());
    make_own_index(parsed, stop, collections_);
  }

  [[nodiscard]] std::vector<Problem> verify() const override { return find_problems(collections_); }

  std::vector<Repair> repair() override {
    const std::scoped_lock writing(write_mutex_);
    CommitWriter& writer = require_lease();
    std::vector<Repair> repairs;
    std::vector<std::string> damaged;
    for (const Problem& problem : find_problems(collections_)) {
      const bool is_of_the_bank = problem.id.empty();
      repairs.push_back({problem.id, problem.what,
                         is_of_the_bank ? "counted anew" : "removed, to be ingested again"});
      if (!is_of_the_bank) damaged.push_back(problem.id);
    }
    if (repairs.empty()) return repairs;
    writer.commit_recovery(damaged);
    return repairs;
  }

  void rebuild_derived_files() override { table_.forget(); }

 private:
  [[nodiscard]] BankSchema schema() const {
    return read_schema(collections_, MilvusCollections::seen());
  }

  [[nodiscard]] BankState known_state() const {
    const BankHead head = read_head(collections_, MilvusMoment::latest());
    if (!head.is_writing) return head.state;
    BankState state = recount(collections_);  // its counts are of a batch that is not whole
    state.generation = head.state.generation;
    return state;
  }

  /// Damage that recovery stops at is removed by repair() alone; until then it is tried again, and
  /// says so, before anything is written.
  void recover_or_leave_to_repair() {
    try {
      writer_->commit_recovery();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kCorruptData) throw;
    }
  }

  CommitWriter& require_lease() {
    if (writer_ == nullptr) {
      throw Error(ErrorKind::kInternal,
                  "the memory bank " + collections_.bank() + " was opened for reading only");
    }
    writer_->renew_lease();
    return *writer_;
  }

  CommitWriter& require_writer() {
    CommitWriter& writer = require_lease();
    writer.prepare();
    return writer;
  }

  /// The changes of the records whose counts these observations change; `report` gets the others.
  RecordChanges observed_changes(const CommitWriter& writer,
                                 std::span<const RecordObservation> observations,
                                 const BankSchema& schema, ObserveReport& report) const {
    std::map<std::string, std::vector<std::size_t>> by_id;
    for (std::size_t i = 0; i < observations.size(); ++i) by_id[observations[i].id].push_back(i);
    std::vector<std::string> ids;
    ids.reserve(by_id.size());
    for (const auto& [id, which] : by_id) ids.push_back(id);
    RecordChanges changes = writer.begin(sound_ids(ids));
    for (const auto& [id, which] : by_id) {
      const auto change = changes.find(id);
      if (change == changes.end() || !change->second.old) {
        report.unknown.insert(report.unknown.end(), which.begin(), which.end());
        if (change != changes.end()) changes.erase(change);
      } else if (const auto counts = change->second.observe(observations, which, report)) {
        change->second.set_record(require_record(collections_, id), counts, schema);
      } else {
        changes.erase(change);
      }
    }
    return changes;
  }

  MilvusCollections collections_;
  fs::path directory_;
  mutable TableCache table_;
  std::mutex write_mutex_;
  std::unique_ptr<CommitWriter> writer_;  ///< null: opened for reading only
};

}  // namespace

std::unique_ptr<MemoryBank> open_milvus_bank(const MilvusAddress& address, OpenMode mode,
                                             const MilvusOptions& options) {
  return std::make_unique<MilvusBank>(address, options, mode);
}

std::unique_ptr<MemoryBank> create_milvus_bank(const MilvusAddress& address,
                                               const BankSchema& schema,
                                               const MilvusOptions& options) {
  check_schema(schema);
  MilvusCollections collections(address, options);
  MilvusClient& client = collections.client();
  if (client.find_collection(collections.rows())) {
    throw Error(ErrorKind::kInvalidInput, "there is a memory bank in " + address.text() +
                                              " already; choose another collection");
  }
  client.create_collection(collections.values(), value_fields(), "unused");
  upload_encoders(client, collections.values(), encoders_below(local_directory(address)));
  write_schema(schema, collections);
  BankHead head;
  begin_generation(head.state);
  write_head(head, collections);
  collections.flush_values();
  // Last: from when on there is a bank.
  client.create_collection(collections.rows(), record_fields(schema.retrieval_dim), "vector");
  return std::make_unique<MilvusBank>(address, options, OpenMode::kReadWrite);
}

bool milvus_bank_exists(const MilvusAddress& address, const MilvusOptions& options) {
  return MilvusClient(address, options).find_collection(address.collection).has_value();
}

void drop_milvus_bank(const MilvusAddress& address, const MilvusOptions& options) {
  MilvusClient client(address, options);
  for (const std::string& name : {address.collection, values_collection(address.collection)}) {
    if (client.find_collection(name)) client.drop_collection(name);
  }
}

}  // namespace mmra::bank
