#include "mmra/bank/milvus/milvus_bank.h"

#include <algorithm>
#include <cstring>
#include <future>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <set>
#include <utility>

#include "mmra/bank/bank_files.h"
#include "mmra/bank/bank_state.h"
#include "mmra/bank/context_typer.h"
#include "mmra/bank/label_table.h"
#include "mmra/bank/milvus/local_copy.h"
#include "mmra/bank/milvus/stored_row.h"
#include "mmra/bank/milvus/writer_lease.h"
#include "mmra/bank/record_checks.h"
#include "mmra/bank/text_checks.h"
#include "mmra/bank/vector_table.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::bank {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kSchemaKey = "M:schema";
constexpr const char* kStateKey = "M:state";
constexpr int kAttempts = 5;
constexpr int kRowsPerPage = 1000;
/// As many as Milvus gives.
constexpr int kMaxCandidates = 16'384;
/// Of reads by key. A row that is there twice (heal_doubled_rows) would else take another's place.
constexpr int kNoLimit = kMaxCandidates;
constexpr int kHealings = 3;
constexpr std::size_t kHealedTogether = 32;
/// How many records a graph's walk keeps in view at least (docs/milvus.md: what that finds).
constexpr int kLeastWidth = 128;
constexpr int kBuildWidth = 200;
/// While an index is built, it is looked at so often.
constexpr std::chrono::milliseconds kIndexPolled{500};
/// Keys and pieces of one request: some megabytes of text.
constexpr std::size_t kPiecesPerRequest = 128;
constexpr std::size_t kKeysPerRequest = 1000;
constexpr std::size_t kFloatsPerRequest = std::size_t{1} << 18;

std::uint64_t random_id() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

ByteView view_of(const Bytes& bytes) { return std::as_bytes(std::span(bytes)); }

bool everything(std::string_view /*id*/) { return true; }

std::string after(const std::string& key) { return "id > " + milvus_literal(key); }

/// A state, and what else there is to know.
struct Head {
  BankState state;
  bool is_writing = false;  ///< a commit is under way, or its writer was killed at it
  /// Not all is flushed since the last commit, and what it replaced is still there.
  bool is_settled = true;
};

/// What becomes of one record.
struct Change {
  std::optional<StoredRow> old;
  std::optional<StoredRow> row;  ///< empty: it is removed
  std::vector<float> vector;
  /// Kept between two changes of one record in one batch.
  std::optional<PopularityHistory> history;
  std::map<char, Bytes> new_values;  ///< by kind
};

class MilvusBank final : public MemoryBank {
 public:
  MilvusBank(const MilvusAddress& address, const MilvusOptions& options, OpenMode mode)
      : name_(address.text()),
        rows_(address.collection),
        values_(values_collection(address.collection)),
        directory_(local_directory(address)),
        client_(address, options) {
    require_shape();
    if (mode == OpenMode::kReadWrite) {
      lease_ = std::make_unique<WriterLease>(client_, values_);
    }
    static_cast<void>(now());
    static_cast<void>(read_schema(seen()));
    download_encoders(client_, values_, encoders_below(directory_), seen());
    if (lease_ != nullptr && !is_as_left()) recover();
  }

  [[nodiscard]] BankInfo info() const override {
    Head head = read_head(MilvusMoment::latest());
    if (head.is_writing) {  // the counts of a batch that is not whole
      const std::uint64_t generation = head.state.generation;
      head.state = recounted();
      head.state.generation = generation;
    }
    BankInfo info;
    info.schema = read_schema(seen());
    head.state.tell(info);
    info.num_records = std::accumulate(std::begin(info.num_in_split), std::end(info.num_in_split),
                                       std::int64_t{0});
    return info;
  }

  [[nodiscard]] std::optional<Record> find(std::string_view id) const override {
    std::optional<Record> record;
    with_values(id, "RT", [&](const std::map<char, Bytes>& values) {
      record = decode_record(id, view_of(values.at('R')));
      const auto thumbnails = values.find('T');
      if (thumbnails != values.end()) {
        record->thumbnails = decode_thumbnails(id, view_of(thumbnails->second));
      }
    });
    return record;
  }

  [[nodiscard]] std::optional<Features> find_features(std::string_view id) const override {
    std::optional<Features> features;
    with_values(id, "F", [&](const std::map<char, Bytes>& values) {
      features = decode_features(id, view_of(values.at('F')));
    });
    return features;
  }

  [[nodiscard]] std::optional<PopularityHistory> find_history(std::string_view id) const override {
    std::optional<PopularityHistory> history;
    with_values(id, "RO", [&](const std::map<char, Bytes>& values) {
      const auto counts = values.find('O');
      history = counts != values.end()
                    ? decode_history(id, view_of(counts->second))
                    : PopularityHistory{decode_record(id, view_of(values.at('R'))).popularity, {}};
    });
    return history;
  }

  void for_each(const std::function<bool(const Record&)>& visit) const override {
    scan("R", everything, [&](const StoredRow& row, const std::map<char, Bytes>& values) {
      return visit(decode_record(row.id, view_of(values.at('R'))));
    });
  }

  void for_each_with_features(
      const std::function<bool(const Record&, const Features&)>& visit) const override {
    scan("RF", everything, [&](const StoredRow& row, const std::map<char, Bytes>& values) {
      return visit(decode_record(row.id, view_of(values.at('R'))),
                   decode_features(row.id, view_of(values.at('F'))));
    });
  }

  void for_each_stored(const std::function<bool(std::string_view id)>& wanted,
                       const std::function<bool(StoredRecord&&)>& visit) const override {
    scan("RFTO", wanted, [&](const StoredRow& row, const std::map<char, Bytes>& values) {
      StoredRecord stored;
      stored.record = decode_record(row.id, view_of(values.at('R')));
      stored.features = decode_features(row.id, view_of(values.at('F')));
      if (const auto thumbnails = values.find('T'); thumbnails != values.end()) {
        stored.record.thumbnails = decode_thumbnails(row.id, view_of(thumbnails->second));
      }
      const auto counts = values.find('O');
      stored.history = counts != values.end() ? decode_history(row.id, view_of(counts->second))
                                              : PopularityHistory{stored.record.popularity, {}};
      return visit(std::move(stored));
    });
  }

  void for_each_digest(
      const std::function<void(std::string_view id, std::uint64_t digest)>& visit) const override {
    for_each_row([&](const StoredRow& row) {
      std::vector<ValueChecksum> checksums;
      for (const ValueName& name : row.values) checksums.push_back({name.kind, name.hash});
      visit(row.id, digest_of(checksums));
    });
  }

  void put(std::span<const StoredRecord> records) override {
    if (records.empty()) return;
    const std::scoped_lock writing(write_mutex_);
    require_writable();
    BankSchema schema = read_schema(seen());
    bool has_counts = false;
    std::vector<std::string> ids;
    for (const StoredRecord& stored : records) {
      check_record(stored.record, schema);
      check_features(stored.record.id, stored.features, schema);
      if (stored.history) check_history(stored.record.id, *stored.history);
      has_counts = has_counts || (stored.history && !stored.history->timed.empty());
      ids.push_back(stored.record.id);
    }
    Changes changes = begin_changes(ids);
    for (const StoredRecord& stored : records) {
      put_one(stored, schema, changes.at(stored.record.id));
    }
    commit(changes, has_counts ? &schema : nullptr);
  }

  void put_record(const Record& record) override {
    const std::scoped_lock writing(write_mutex_);
    require_writable();
    const BankSchema schema = read_schema(seen());
    check_record(record, schema);
    Changes changes = begin_changes(std::span(&record.id, 1));
    Change& change = changes.at(record.id);
    if (!change.old) {
      throw Error(ErrorKind::kNotFound, "the memory bank " + name_ + " has no record " +
                                            in_quotes(record.id) +
                                            " to replace; add it with its features");
    }
    load_vectors(changes);
    set_record(record, std::nullopt, schema, change);
    commit(changes, nullptr);
  }

  ObserveReport observe(std::span<const RecordObservation> observations) override {
    ObserveReport report;
    for (const RecordObservation& each : observations) {
      check_history(each.id, {std::nullopt, {each.observation}});
    }
    if (observations.empty()) return report;
    const std::scoped_lock writing(write_mutex_);
    require_writable();
    BankSchema schema = read_schema(seen());
    std::map<std::string, std::vector<std::size_t>> by_id;
    for (std::size_t i = 0; i < observations.size(); ++i) by_id[observations[i].id].push_back(i);
    std::vector<std::string> ids;
    for (const auto& [id, which] : by_id) {
      if (!fault_of_id(id)) ids.push_back(id);
    }
    Changes changes = begin_changes(ids);
    for (const auto& [id, which] : by_id) {
      const auto change = changes.find(id);
      if (change == changes.end() || !change->second.old) {
        report.unknown.insert(report.unknown.end(), which.begin(), which.end());
        if (change != changes.end()) changes.erase(change);
      } else if (!observe_one(schema, observations, which, change->second, report)) {
        changes.erase(change);
      }
    }
    std::sort(report.unknown.begin(), report.unknown.end());
    std::sort(report.early.begin(), report.early.end());
    if (report.num_added == 0) return report;
    load_vectors(changes);
    commit(changes, &schema);
    return report;
  }

  std::int64_t remove(std::span<const std::string> ids) override {
    const std::scoped_lock writing(write_mutex_);
    require_writable();
    std::vector<std::string> sound;
    for (const std::string& id : ids) {
      if (!fault_of_id(id)) sound.push_back(id);
    }
    Changes changes = begin_changes(sound);
    std::erase_if(changes, [](const auto& entry) { return !entry.second.old; });
    for (auto& [id, change] : changes) change.row.reset();
    if (!changes.empty()) commit(changes, nullptr);
    return static_cast<std::int64_t>(changes.size());
  }

  void add_context_columns(const std::map<std::string, ColumnType>& columns) override {
    const std::scoped_lock writing(write_mutex_);
    require_writable();
    BankSchema schema = read_schema(seen());
    if (!merge_columns(columns, name_, schema)) return;
    is_settled_ = false;
    write_schema(schema);
    Head head = read_head(seen());
    finish_commit(head.state);
  }

  [[nodiscard]] std::shared_ptr<const BankTable> table() const override {
    const std::scoped_lock lock(table_mutex_);
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const Head head = read_head(MilvusMoment::latest());
      const CommitStamp stamp{head.state.generation, head.state.commit_id};
      if (table_ != nullptr && table_stamp_ == stamp) return table_;
      table_ = nullptr;  // its memory goes before the new one's comes
      const BankSchema schema = read_schema(seen());
      auto table = map_or_make_table(schema, stamp);
      const Head after_reading = read_head(MilvusMoment::latest());
      if (CommitStamp{after_reading.state.generation, after_reading.state.commit_id} != stamp) {
        continue;  // it was written meanwhile
      }
      if (const auto horizon = horizon_of(schema.popularity_horizon)) {
        table = with_horizon(std::move(table), *horizon);
      }
      table_ = std::move(table);
      table_stamp_ = stamp;
      return table_;
    }
    throw Error(ErrorKind::kIo, "the memory bank " + name_ +
                                    " is being written while it is read; wait until that is done");
  }

  [[nodiscard]] std::optional<Candidates> find_candidates(std::span<const float> vector,
                                                          const CandidateFilter& filter,
                                                          int limit) const override {
    const BankSchema schema = read_schema(seen());
    std::vector<float> padded(vector.begin(), vector.end());
    padded.resize(static_cast<std::size_t>(stored_dim(schema.retrieval_dim)), 0.0F);
    const int asked = std::min(limit, kMaxCandidates);
    const auto hits = client_
                          .search(rows_, "vector", padded, padded.size(), to_milvus_filter(filter),
                                  asked, {{"ef", std::max(asked, kLeastWidth)}}, seen())
                          .front();
    std::vector<std::string> ids;
    Candidates found;
    for (const MilvusHit& hit : hits) ids.push_back(hit.key);
    if (hits.size() >= static_cast<std::size_t>(asked)) found.others_at_most = hits.back().score;
    std::sort(ids.begin(), ids.end());
    TableColumns columns;
    std::vector<float> vectors;
    const auto per_request = static_cast<std::size_t>(rows_per_vector_page(schema));
    for (std::size_t begin = 0; begin < ids.size(); begin += per_request) {
      const std::size_t count = std::min(per_request, ids.size() - begin);
      const auto some = std::span(ids).subspan(begin, count);
      append_rows(milvus_any_of("id", some), kNoLimit, schema, seen(), columns, vectors);
    }
    found.table = make_vector_table({}, columns, schema.retrieval_dim,
                                    each_of(vectors, columns.num_rows(), schema.retrieval_dim));
    if (const auto horizon = horizon_of(schema.popularity_horizon)) {
      found.table = with_horizon(std::move(found.table), *horizon);
    }
    return found;
  }

  void flush() override {
    const std::scoped_lock writing(write_mutex_);
    require_writable();
    if (is_settled_) return;
    client_.flush({values_, rows_});
    erase_keys(values_, "key", std::vector(stale_.begin(), stale_.end()));
    write_head({read_head(seen()).state});
    static_cast<void>(now());
    stale_.clear();
    is_settled_ = true;
  }

  [[nodiscard]] std::string own_index() const override {
    const auto index = client_.find_index(rows_, "vector");
    return index ? to_index_kind(*index) : "none";
  }

  void set_own_index(const std::string& kind, const std::stop_token& stop) override {
    const auto [type, num_links] = parse_index_kind(kind);
    const std::scoped_lock writing(write_mutex_);
    require_writable();
    client_.flush({values_, rows_}, stop);
    client_.release_collection(rows_);
    if (client_.find_index(rows_, "vector")) client_.drop_index(rows_, "vector");
    client_.create_index(
        rows_, "vector", type,
        num_links == 0 ? Json::object() : Json{{"M", num_links}, {"efConstruction", kBuildWidth}});
    client_.load_collection(rows_);
    for (;;) {
      const auto index = client_.find_index(rows_, "vector");
      if (index && index->is_built && index->num_indexed == index->num_rows) return;
      client_.wait(kIndexPolled, stop);
    }
  }

  [[nodiscard]] std::vector<Problem> verify() const override { return check_all(nullptr); }

  std::vector<Repair> repair() override {
    const std::scoped_lock writing(write_mutex_);
    require_writable();
    std::vector<Repair> repairs;
    std::vector<std::string> damaged;
    for (const Problem& problem : check_all(&damaged)) {
      repairs.push_back({problem.id, problem.what,
                         problem.id.empty() ? "counted anew" : "removed, to be ingested again"});
    }
    if (repairs.empty()) return repairs;
    erase_keys(rows_, "id", damaged);
    recover();
    return repairs;
  }

  void rebuild_derived_files() override {
    const std::scoped_lock lock(table_mutex_);
    table_ = nullptr;
    std::error_code ignored;
    fs::remove(vectors_file(directory_), ignored);
  }

 private:
  using Changes = std::map<std::string, Change>;

  // ---- reading

  /// Waits until reads see all that was acknowledged before, in either collection; and so do those
  /// that follow with what this returns, since one node serves a collection.
  MilvusMoment now() const {
    const auto wait_for = [this](const std::string& collection, const char* key) {
      const std::string nothing = "-";
      static_cast<void>(client_.query(collection, milvus_any_of(key, std::span(&nothing, 1)), {key},
                                      1, MilvusMoment::latest()));
    };
    auto values = std::async(std::launch::async, wait_for, values_, "key");
    wait_for(rows_, "id");
    values.get();
    return MilvusMoment::recent();
  }

  /// All that this bank wrote, and what others did until about the server's last tick.
  static MilvusMoment seen() { return MilvusMoment::recent(); }

  void require_shape() {
    const auto fields = client_.find_collection(rows_);
    if (!fields) {
      throw Error(ErrorKind::kNotFound,
                  "there is no memory bank in " + name_ +
                      "; make one with `mmra ingest MANIFEST --bank " + name_ +
                      "`, or put one there with `mmra bank push DIR " + name_ + "`");
    }
    const auto other = client_.find_collection(values_);
    const auto vector = std::find_if(fields->begin(), fields->end(), [](const MilvusField& field) {
      return field.name == "vector";
    });
    const int dim = vector == fields->end() ? 0 : vector->size;
    if (*fields != record_fields(dim) || !other || *other != value_fields()) {
      throw Error(ErrorKind::kInvalidInput,
                  name_ + " is a collection of another shape than a memory bank's; name another");
    }
    client_.load_collection(values_);
    try {
      client_.load_collection(rows_);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kNotFound) throw;
      // set_own_index() was killed.
      client_.create_index(rows_, "vector", "FLAT", Json::object());
      client_.load_collection(rows_);
    }
  }

  [[nodiscard]] std::optional<Bytes> find_named(const std::string& key, MilvusMoment moment) const {
    const MilvusRows found = client_.query(values_, milvus_any_of("key", std::span(&key, 1)),
                                           {"key", "value"}, kNoLimit, moment);
    if (found.num_rows() == 0) return std::nullopt;
    return decode_piece(key, found.texts("value").front());
  }

  [[nodiscard]] std::string require_named(const std::string& key, MilvusMoment moment) const {
    const auto value = find_named(key, moment);
    if (!value) {
      throw Error(ErrorKind::kCorruptData,
                  "the memory bank " + name_ + " is damaged: it has no " + key + "; push it again");
    }
    return decode_text(key, view_of(*value));
  }

  [[nodiscard]] BankSchema read_schema(MilvusMoment moment) const {
    return parse_schema(require_named(kSchemaKey, moment), name_);
  }

  [[nodiscard]] Head read_head(MilvusMoment moment) const {
    const std::string text = require_named(kStateKey, moment);
    const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return {parse_state(text, name_)};
    return {parse_state(text, name_), json.value("writing", false), json.value("settled", true)};
  }

  [[nodiscard]] std::vector<StoredRow> read_rows(std::span<const std::string> ids,
                                                 MilvusMoment moment) const {
    std::vector<StoredRow> rows;
    for (std::size_t begin = 0; begin < ids.size(); begin += kKeysPerRequest) {
      const std::size_t count = std::min(kKeysPerRequest, ids.size() - begin);
      auto some = parse_rows(client_.query(rows_, milvus_any_of("id", ids.subspan(begin, count)),
                                           row_columns(), kNoLimit, moment));
      std::move(some.begin(), some.end(), std::back_inserter(rows));
    }
    return rows;
  }

  /// Up to `limit` rows behind `last`, ascending.
  [[nodiscard]] std::vector<StoredRow> page_after(const std::string& last, int limit,
                                                  MilvusMoment moment) const {
    auto rows = parse_rows(client_.query(rows_, after(last), row_columns(), limit, moment));
    std::sort(rows.begin(), rows.end(),
              [](const StoredRow& a, const StoredRow& b) { return a.id < b.id; });
    return rows;
  }

  /// The values of these kinds of some rows, each row's own; of a row whose values are gone (it was
  /// written meanwhile), or damaged beyond reading, none.
  [[nodiscard]] std::vector<std::map<char, Bytes>> read_values(std::span<const StoredRow> rows,
                                                               std::string_view kinds,
                                                               MilvusMoment moment) const {
    std::vector<std::string> keys;
    for (const StoredRow& row : rows) {
      for (const ValueName& name : row.values) {
        if (kinds.find(name.kind) == std::string_view::npos) continue;
        for (std::string& key : keys_of(name, row.id)) keys.push_back(std::move(key));
      }
    }
    std::map<std::string, std::string> pieces;
    for (std::size_t begin = 0; begin < keys.size(); begin += kPiecesPerRequest) {
      const std::size_t count = std::min(kPiecesPerRequest, keys.size() - begin);
      const MilvusRows found =
          client_.query(values_, milvus_any_of("key", std::span(keys).subspan(begin, count)),
                        {"key", "value"}, kNoLimit, moment);
      for (std::size_t i = 0; i < found.num_rows(); ++i) {
        pieces[found.texts("key")[i]] = found.texts("value")[i];
      }
    }
    std::vector<std::map<char, Bytes>> values;
    for (const StoredRow& row : rows) values.push_back(assemble(row, kinds, pieces));
    return values;
  }

  static std::map<char, Bytes> assemble(const StoredRow& row, std::string_view kinds,
                                        const std::map<std::string, std::string>& pieces) {
    std::map<char, Bytes> values;
    for (const ValueName& name : row.values) {
      if (kinds.find(name.kind) == std::string_view::npos) continue;
      Bytes bytes;
      for (const std::string& key : keys_of(name, row.id)) {
        const auto piece = pieces.find(key);
        if (piece == pieces.end()) return {};
        bytes += decode_piece(key, piece->second);
      }
      values[name.kind] = std::move(bytes);
    }
    return values;
  }

  template <typename Use>
  void with_values(std::string_view id, std::string_view kinds, const Use& use) const {
    if (fault_of_id(id)) return;
    const std::string key(id);
    MilvusMoment moment = seen();
    for (int attempt = 0;; ++attempt) {
      const std::vector<StoredRow> rows = read_rows(std::span(&key, 1), moment);
      if (rows.empty()) return;
      const auto values = read_values(rows, kinds, moment);
      if (!values.front().empty()) {
        use(values.front());
        return;
      }
      if (attempt == kAttempts) fail_without_values(id);
      moment = now();
    }
  }

  [[noreturn]] void fail_without_values(std::string_view id) const {
    throw Error(ErrorKind::kCorruptData, "the record " + in_quotes(id) +
                                             " has no values in the bank " + name_ +
                                             "; remove it and ingest it again");
  }

  /// All records in ascending order of ids. Each is whole; what is written meanwhile is seen or
  /// not, page by page.
  void scan(
      std::string_view kinds, const std::function<bool(std::string_view id)>& wanted,
      const std::function<bool(const StoredRow&, const std::map<char, Bytes>&)>& visit) const {
    const MilvusMoment moment = now();
    std::string last;
    for (;;) {
      std::vector<StoredRow> rows = page_after(last, kRowsPerPage, moment);
      if (rows.empty()) return;
      last = rows.back().id;
      std::erase_if(rows, [&](const StoredRow& row) { return !wanted(row.id); });
      for (std::size_t begin = 0; begin < rows.size();) {
        const std::size_t end = end_of_group(rows, begin, kinds);
        const auto some = std::span(rows).subspan(begin, end - begin);
        const auto values = read_values(some, kinds, moment);
        for (std::size_t i = 0; i < some.size(); ++i) {
          if (values[i].empty()) {
            if (!visit_again(some[i].id, kinds, visit)) return;
          } else if (!visit(some[i], values[i])) {
            return;
          }
        }
        begin = end;
      }
    }
  }

  /// A row whose values were replaced between two requests: as it is now, if it still is.
  bool visit_again(
      const std::string& id, std::string_view kinds,
      const std::function<bool(const StoredRow&, const std::map<char, Bytes>&)>& visit) const {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const MilvusMoment moment = now();
      const std::vector<StoredRow> rows = read_rows(std::span(&id, 1), moment);
      if (rows.empty()) return true;
      const auto values = read_values(rows, kinds, moment);
      if (!values.front().empty()) return visit(rows.front(), values.front());
    }
    fail_without_values(id);
  }

  static std::size_t end_of_group(const std::vector<StoredRow>& rows, std::size_t begin,
                                  std::string_view kinds) {
    std::size_t num_pieces = 0;
    std::size_t end = begin;
    while (end < rows.size() && (end == begin || num_pieces < kPiecesPerRequest)) {
      for (const ValueName& name : rows[end].values) {
        if (kinds.find(name.kind) != std::string_view::npos) num_pieces += name.num_pieces;
      }
      ++end;
    }
    return end;
  }

  template <typename Visit>
  void for_each_row(const Visit& visit) const {
    const MilvusMoment moment = now();
    std::string last;
    for (;;) {
      const std::vector<StoredRow> rows = page_after(last, kRowsPerPage, moment);
      if (rows.empty()) return;
      for (const StoredRow& row : rows) visit(row);
      last = rows.back().id;
    }
  }

  [[nodiscard]] BankState recounted() const {
    BankState state;
    for_each_row([&](const StoredRow& row) { row.count(state, +1); });
    return state;
  }

  // ---- the table

  [[nodiscard]] std::shared_ptr<const BankTable> map_or_make_table(const BankSchema& schema,
                                                                   const CommitStamp& stamp) const {
    const fs::path file = vectors_file(directory_);
    if (auto table = try_map(file, stamp, schema.retrieval_dim)) return table;
    TableColumns columns;
    std::vector<float> vectors;
    read_columns(schema, columns, vectors);
    const ForEachVector for_each_vector =
        each_of(vectors, columns.num_rows(), schema.retrieval_dim);
    try {
      make_directories(file.parent_path());
      write_vector_file(file, stamp, columns, schema.retrieval_dim, for_each_vector);
    } catch (const Error& error) {
      // The file is a convenience.
      if (error.kind() != ErrorKind::kIo && error.kind() != ErrorKind::kNotFound) throw;
      return make_vector_table(stamp, columns, schema.retrieval_dim, for_each_vector);
    }
    if (auto table = try_map(file, stamp, schema.retrieval_dim)) return table;
    return make_vector_table(stamp, columns, schema.retrieval_dim, for_each_vector);
  }

  static std::shared_ptr<const BankTable> try_map(const fs::path& file, const CommitStamp& stamp,
                                                  int retrieval_dim) {
    try {
      std::string ignored;
      auto table = map_vector_file(file, stamp, ignored);
      return table != nullptr && table->retrieval_dim() == retrieval_dim ? table : nullptr;
    } catch (const Error&) {
      return nullptr;
    }
  }

  static ForEachVector each_of(const std::vector<float>& vectors, std::size_t num_rows,
                               int retrieval_dim) {
    return [&vectors, num_rows, dim = static_cast<std::size_t>(retrieval_dim)](
               const std::function<void(ByteView)>& visit) {
      for (std::size_t row = 0; row < num_rows; ++row) {
        visit(std::as_bytes(std::span(vectors).subspan(row * dim, dim)));
      }
    };
  }

  void read_columns(const BankSchema& schema, TableColumns& columns,
                    std::vector<float>& vectors) const {
    const int limit = rows_per_vector_page(schema);
    const MilvusMoment moment = now();
    std::string last;
    do {
      last = append_rows(after(last), limit, schema, moment, columns, vectors);
    } while (!last.empty());
  }

  /// Appends what `filter` admits in ascending order, and says the last id.
  std::string append_rows(const std::string& filter, int limit, const BankSchema& schema,
                          MilvusMoment moment, TableColumns& columns,
                          std::vector<float>& vectors) const {
    std::vector<std::string> fields = row_columns();
    fields.emplace_back("vector");
    const MilvusRows page = client_.query(rows_, filter, fields, limit, moment);
    const std::vector<StoredRow> rows = parse_rows(page);
    std::vector<std::size_t> order(rows.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return rows[a].id < rows[b].id; });
    const std::vector<std::optional<PopularityHistory>> histories = read_histories(rows, moment);
    const auto dim = static_cast<std::size_t>(stored_dim(schema.retrieval_dim));
    for (const std::size_t i : order) {
      Record record;
      record.id = rows[i].id;
      record.popularity = rows[i].popularity;
      record.posted_at = rows[i].posted_at;
      record.split = rows[i].split;
      columns.append(record, histories[i] ? &*histories[i] : nullptr);
      const auto vector =
          page.vector("vector", i, dim).first(static_cast<std::size_t>(schema.retrieval_dim));
      vectors.insert(vectors.end(), vector.begin(), vector.end());
    }
    return rows.empty() ? std::string() : rows[order.back()].id;
  }

  static int rows_per_vector_page(const BankSchema& schema) {
    const auto dim = static_cast<std::size_t>(stored_dim(schema.retrieval_dim));
    return static_cast<int>(
        std::clamp<std::size_t>(kFloatsPerRequest / dim, 1, std::size_t{kRowsPerPage}));
  }

  [[nodiscard]] std::vector<std::optional<PopularityHistory>> read_histories(
      std::span<const StoredRow> rows, MilvusMoment moment) const {
    std::vector<std::optional<PopularityHistory>> histories(rows.size());
    std::vector<StoredRow> with_counts;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].find('O') == nullptr) continue;
      with_counts.push_back(rows[i]);
      places.push_back(i);
    }
    const auto values = read_values(with_counts, "O", moment);
    for (std::size_t n = 0; n < places.size(); ++n) {
      const std::string& id = with_counts[n].id;
      histories[places[n]] =
          values[n].empty() ? find_history(id) : decode_history(id, view_of(values[n].at('O')));
    }
    return histories;
  }

  // ---- writing

  void require_writable() {
    if (lease_ == nullptr) {
      throw Error(ErrorKind::kInternal,
                  "the memory bank " + name_ + " was opened for reading only");
    }
    lease_->renew();
  }

  void write_named(const std::string& key, const std::string& text) {
    client_.upsert(values_, Json::array({named_row(key, encode_text(key, text))}));
  }

  void write_schema(const BankSchema& schema) { write_named(kSchemaKey, to_json_text(schema)); }

  void write_head(const Head& head) {
    Json json = Json::parse(to_json_text(head.state));
    if (head.is_writing) json["writing"] = true;
    if (!head.is_settled) json["settled"] = false;
    write_named(kStateKey, json.dump());
  }

  void finish_commit(BankState state) {
    ++state.generation;
    state.commit_id = random_id();
    write_head({state, false, is_settled_});
    static_cast<void>(now());
    has_failed_ = false;
  }

  /// A change for each of `ids`, with what is there now.
  [[nodiscard]] Changes begin_changes(std::span<const std::string> ids) const {
    Changes changes;
    if (has_failed_) static_cast<void>(now());
    for (const std::string& id : ids) changes[id];
    std::vector<std::string> unique;
    for (const auto& [id, change] : changes) unique.push_back(id);
    for (StoredRow& row : read_rows(unique, seen())) {
      Change& change = changes.at(row.id);
      change.old = row;
      change.row = std::move(row);
    }
    std::vector<StoredRow> rows;
    for (const auto& [id, change] : changes) {
      if (change.old) rows.push_back(*change.old);
    }
    const auto histories = read_histories(rows, seen());
    for (std::size_t i = 0; i < rows.size(); ++i) changes.at(rows[i].id).history = histories[i];
    return changes;
  }

  /// The vectors of those that stay as they are but for their label.
  void load_vectors(Changes& changes) const {
    std::vector<std::string> ids;
    for (const auto& [id, change] : changes) {
      if (change.row && change.vector.empty()) ids.push_back(id);
    }
    const BankSchema schema = read_schema(seen());
    const auto limit = static_cast<std::size_t>(rows_per_vector_page(schema));
    const auto dim = static_cast<std::size_t>(stored_dim(schema.retrieval_dim));
    for (std::size_t begin = 0; begin < ids.size(); begin += limit) {
      const std::size_t count = std::min(limit, ids.size() - begin);
      const MilvusRows rows =
          client_.query(rows_, milvus_any_of("id", std::span(ids).subspan(begin, count)),
                        {"id", "vector"}, kNoLimit, seen());
      for (std::size_t i = 0; i < rows.num_rows(); ++i) {
        const auto vector = rows.vector("vector", i, dim);
        changes.at(rows.texts("id")[i]).vector.assign(vector.begin(), vector.end());
      }
    }
  }

  static void set_value(char kind, Bytes bytes, Change& change) {
    StoredRow& row = *change.row;
    std::erase_if(row.values, [&](const ValueName& each) { return each.kind == kind; });
    row.values.push_back(name_value(kind, row.id, bytes));
    change.new_values[kind] = std::move(bytes);
  }

  static void unset_value(char kind, Change& change) {
    std::erase_if(change.row->values, [&](const ValueName& each) { return each.kind == kind; });
    change.new_values.erase(kind);
  }

  /// Sets everything of a row that a record says. `given`: its counts; empty: those that are there
  /// stay, and go before the record's own popularity.
  static void set_record(const Record& record, const std::optional<PopularityHistory>& given,
                         const BankSchema& schema, Change& change) {
    const auto horizon = horizon_of(schema.popularity_horizon);
    std::optional<PopularityHistory> history = given ? given : change.history;
    if (history && history->timed.empty()) history.reset();
    Record labelled = record;
    if (history) {
      // What was read and is written back changed nothing: the label is no count of a manifest.
      const bool is_label = change.row && record.popularity == change.row->popularity;
      if (!given && !is_label) history->untimed = record.popularity;
      labelled.popularity =
          label_of({history->untimed, history->timed}, record.posted_at, horizon).popularity;
    }
    StoredRow row = summarise(labelled, history ? &*history : nullptr, horizon);
    if (change.row) {
      row.values = change.row->values;
      row.visual_tokens = change.row->visual_tokens;
      row.text_tokens = change.row->text_tokens;
    }
    change.row = std::move(row);
    set_value('R', encode_record(labelled), change);
    if (history) {
      set_value('O', encode_history(record.id, *history), change);
    } else {
      unset_value('O', change);
    }
    change.history = std::move(history);
  }

  static void put_one(const StoredRecord& stored, const BankSchema& schema, Change& change) {
    const std::string& id = stored.record.id;
    set_record(stored.record, stored.history, schema, change);
    set_value('F', encode_features(id, stored.features), change);
    if (stored.record.thumbnails.empty()) {
      unset_value('T', change);
    } else {
      set_value('T', encode_thumbnails(id, stored.record.thumbnails), change);
    }
    change.row->visual_tokens = stored.features.visual_tokens.num_tokens;
    change.row->text_tokens = stored.features.text_tokens.num_tokens;
    change.vector = stored.features.retrieval_vector;
    change.vector.resize(static_cast<std::size_t>(stored_dim(schema.retrieval_dim)), 0.0F);
  }

  /// The counts of one record. False where nothing of it changes.
  bool observe_one(const BankSchema& schema, std::span<const RecordObservation> observations,
                   const std::vector<std::size_t>& which, Change& change,
                   ObserveReport& report) const {
    PopularityHistory history =
        change.history.value_or(PopularityHistory{change.row->popularity, {}});
    std::int64_t num_counts = 0;
    bool changed = false;
    for (const std::size_t i : which) {
      const Observation& observation = observations[i].observation;
      if (change.row->posted_at && observation.observed_at < *change.row->posted_at) {
        report.early.push_back(i);
      } else {
        ++num_counts;
        changed = history.add(observation) || changed;
      }
    }
    (changed ? report.num_added : report.num_unchanged) += num_counts;
    if (!changed) return false;
    const auto record = find(change.row->id);
    if (!record) fail_without_values(change.row->id);
    set_record(*record, history, schema, change);
    return true;
  }

  /// Values first, then the rows that name them; what no row names any more goes when all of that
  /// is flushed. Whenever it is killed, each record is the old one or the new one, whole; and so it
  /// is when the server loses the end of either collection's log (docs/milvus.md), but for records
  /// that are new.
  void commit(const Changes& changes, BankSchema* with_counts) {
    Head head = read_head(seen());
    ++head.state.generation;
    head.state.commit_id = random_id();
    is_settled_ = false;
    has_failed_ = true;
    write_head({head.state, true, false});
    if (with_counts != nullptr && with_counts->format_version < kFormatVersionWithHistories) {
      with_counts->format_version = kFormatVersionWithHistories;
      write_schema(*with_counts);
    }
    write_values(changes);
    const auto replaces = [](const auto& entry) { return entry.second.old && entry.second.row; };
    if (std::any_of(changes.begin(), changes.end(), replaces)) client_.flush({values_});
    write_rows(changes, head.state);
    note_stale(changes);
    finish_commit(head.state);
  }

  void write_values(const Changes& changes) {
    Json pieces = Json::array();
    for (const auto& [id, change] : changes) {
      if (!change.row) continue;
      for (const ValueName& name : change.row->values) {
        const auto bytes = change.new_values.find(name.kind);
        if (bytes != change.new_values.end()) append_pieces(name, id, bytes->second, pieces);
      }
      if (pieces.size() < kPiecesPerRequest) continue;
      upsert_in_pieces(values_, pieces, kPiecesPerRequest);
      pieces = Json::array();
    }
    upsert_in_pieces(values_, pieces, kPiecesPerRequest);
  }

  void write_rows(const Changes& changes, BankState& state) {
    std::vector<std::string> removed;
    Json rows = Json::array();
    std::size_t row_floats = 1;
    for (const auto& [id, change] : changes) {
      if (change.old) change.old->count(state, -1);
      if (!change.row) {
        removed.push_back(id);
        continue;
      }
      change.row->count(state, +1);
      row_floats = std::max(row_floats, change.vector.size());
      rows.push_back(to_json(*change.row, change.vector));
    }
    upsert_in_pieces(rows_, rows, std::max<std::size_t>(1, kFloatsPerRequest / row_floats));
    erase_keys(rows_, "id", removed);
  }

  void upsert_in_pieces(const std::string& collection, const Json& rows, std::size_t per_request) {
    for (std::size_t begin = 0; begin < rows.size(); begin += per_request) {
      const std::size_t end = std::min(begin + per_request, rows.size());
      client_.upsert(collection, Json(rows.begin() + static_cast<std::ptrdiff_t>(begin),
                                      rows.begin() + static_cast<std::ptrdiff_t>(end)));
    }
  }

  void erase_keys(const std::string& collection, const std::string& field,
                  const std::vector<std::string>& keys) {
    for (std::size_t begin = 0; begin < keys.size(); begin += kKeysPerRequest) {
      const std::size_t count = std::min(kKeysPerRequest, keys.size() - begin);
      client_.erase(collection, milvus_any_of(field, std::span(keys).subspan(begin, count)));
    }
  }

  void note_stale(const Changes& changes) {
    for (const auto& [id, change] : changes) {
      if (change.old) insert_keys(*change.old, stale_);
      if (!change.row) continue;
      for (const ValueName& name : change.row->values) {
        for (const std::string& key : keys_of(name, id)) stale_.erase(key);
      }
    }
  }

  /// Whether the bank is as its last writer left it.
  [[nodiscard]] bool is_as_left() const {
    const Head head = read_head(seen());
    std::int64_t num_records = 0;
    for (const std::int64_t in_split : head.state.num_in_split) num_records += in_split;
    return !head.is_writing && head.is_settled && num_records == count_rows();
  }

  /// After a writer or the server was killed: makes one row of those that are there twice, removes
  /// new records whose values are lost (whoever wrote them was not done, and writes them again) and
  /// values that no row names, and counts anew. Nothing is erased on the word of a scan alone.
  void recover() {
    Head head = read_head(MilvusMoment::latest());
    const std::uint64_t generation = head.state.generation;
    std::set<std::string> named;
    bool is_whole = false;
    for (int attempt = 0; attempt < kHealings && !is_whole; ++attempt) {
      head.state = BankState{};
      named.clear();
      std::vector<std::string> ids;
      for_each_row([&](const StoredRow& row) {
        row.count(head.state, +1);
        insert_keys(row, named);
        ids.push_back(row.id);
      });
      is_whole = count_rows() == static_cast<std::int64_t>(ids.size());
      if (!is_whole) heal_doubled_rows(ids);
    }
    if (is_whole) {
      std::vector<std::string> unnamed = unnamed_values(named);
      remove_without_values(named, head.state);
      unnamed = without_named(std::move(unnamed));
      // Or rows that are lost later would come back as they were, and name what is erased now.
      if (!unnamed.empty()) client_.flush({values_, rows_});
      erase_keys(values_, "key", unnamed);
    }
    stale_.clear();
    is_settled_ = true;
    head.state.generation = generation;
    finish_commit(head.state);
  }

  static void insert_keys(const StoredRow& row, std::set<std::string>& keys) {
    for (const ValueName& name : row.values) {
      for (std::string& key : keys_of(name, row.id)) keys.insert(std::move(key));
    }
  }

  /// `missing`: keys of values that a scan did not find.
  void remove_without_values(const std::set<std::string>& missing, BankState& state) {
    std::set<std::string> ids;
    for (const std::string& key : missing) ids.insert(id_of_key(key));
    std::vector<std::string> lost;
    const MilvusMoment moment = now();
    for (const StoredRow& row : read_rows(std::vector(ids.begin(), ids.end()), moment)) {
      if (!read_values(std::span(&row, 1), "RFTO", moment).front().empty()) continue;
      row.count(state, -1);
      lost.push_back(row.id);
    }
    erase_keys(rows_, "id", lost);
  }

  [[nodiscard]] std::int64_t count_rows() const {
    return client_.count(rows_, R"(id > "")", MilvusMoment::latest());
  }

  /// An upsert is two messages of Milvus' log, the new rows and the deletion of the old ones; a
  /// server that is killed between them has both, under one key. Either is whole then, since values
  /// of the old one are erased later; writing one again deletes both.
  void heal_doubled_rows(std::span<const std::string> ids) {
    const MilvusMoment moment = now();
    for (std::size_t begin = 0; begin < ids.size(); begin += kKeysPerRequest) {
      heal_among(ids.subspan(begin, std::min(kKeysPerRequest, ids.size() - begin)), moment);
    }
  }

  void heal_among(std::span<const std::string> ids, MilvusMoment moment) {
    if (client_.count(rows_, milvus_any_of("id", ids), moment) ==
        static_cast<std::int64_t>(ids.size())) {
      return;
    }
    if (ids.size() > kHealedTogether) {
      heal_among(ids.first(ids.size() / 2), moment);
      heal_among(ids.subspan(ids.size() / 2), moment);
      return;
    }
    // A query shows one of each; the others by leaving out what was seen. The last one whole stays.
    std::vector<std::string> fields = row_columns();
    fields.emplace_back("vector");
    const auto dim = static_cast<std::size_t>(stored_dim(read_schema(moment).retrieval_dim));
    std::map<std::string, Json> stays;
    std::vector<std::string> seen;
    for (;;) {
      std::string filter = milvus_any_of("id", ids);
      if (!seen.empty()) filter += " and not (" + milvus_any_of("contents", seen) + ")";
      const MilvusRows found = client_.query(rows_, filter, fields, kNoLimit, moment);
      const std::vector<StoredRow> rows = parse_rows(found);
      if (rows.empty()) break;
      const auto values = read_values(rows, "RFTO", moment);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!stays.contains(rows[i].id) || !values[i].empty()) {
          stays[rows[i].id] = to_json(rows[i], found.vector("vector", i, dim));
        }
        seen.push_back(to_text(rows[i].values));
      }
    }
    Json again = Json::array();
    for (auto& [id, row] : stays) again.push_back(std::move(row));
    client_.upsert(rows_, again);
  }

  /// Those of `keys` that the rows of their records, each asked for by its id, do not name either.
  [[nodiscard]] std::vector<std::string> without_named(std::vector<std::string> keys) const {
    std::set<std::string> ids;
    for (const std::string& key : keys) ids.insert(id_of_key(key));
    std::set<std::string> named;
    for (const StoredRow& row :
         read_rows(std::vector<std::string>(ids.begin(), ids.end()), now())) {
      insert_keys(row, named);
    }
    std::erase_if(keys, [&](const std::string& key) { return named.contains(key); });
    return keys;
  }

  /// The values that are not among `named`; those that are there are taken out of it.
  [[nodiscard]] std::vector<std::string> unnamed_values(std::set<std::string>& named) const {
    std::vector<std::string> unnamed;
    const MilvusMoment moment = now();
    std::string last;
    for (;;) {
      const MilvusRows rows =
          client_.query(values_, "key > " + milvus_literal(last), {"key"}, kRowsPerPage, moment);
      if (rows.num_rows() == 0) return unnamed;
      for (const std::string& key : rows.texts("key")) {
        const bool is_of_a_record =
            std::string_view("RFTO").find(key.front()) != std::string_view::npos;
        if (named.erase(key) == 0 && is_of_a_record) unnamed.push_back(key);
        last = std::max(last, key);
      }
    }
  }

  // ---- checking

  /// Everything that is wrong; `damaged` gets the records among it.
  [[nodiscard]] std::vector<Problem> check_all(std::vector<std::string>* damaged) const {
    std::vector<Problem> problems;
    const BankSchema schema = read_schema(MilvusMoment::latest());
    const Head before = read_head(MilvusMoment::latest());
    BankState counted;
    std::set<std::string> named;
    std::vector<std::string> fields = row_columns();
    fields.emplace_back("vector");
    const int limit = rows_per_vector_page(schema);
    std::string last;
    std::int64_t num_rows = 0;
    for (;;) {
      const MilvusMoment moment = now();
      const MilvusRows page = client_.query(rows_, after(last), fields, limit, moment);
      const std::vector<StoredRow> rows = parse_rows(page);
      for (std::size_t begin = 0; begin < rows.size();) {
        const std::size_t end = end_of_group(rows, begin, "RFTO");
        const auto some = std::span(rows).subspan(begin, end - begin);
        const auto values = read_values(some, "RFTO", moment);
        for (std::size_t i = 0; i < some.size(); ++i) {
          const auto vector = page.vector(
              "vector", begin + i, static_cast<std::size_t>(stored_dim(schema.retrieval_dim)));
          try {
            check_row(some[i], vector, values[i], schema);
          } catch (const Error& error) {
            problems.push_back({some[i].id, error.what()});
            if (damaged != nullptr) damaged->push_back(some[i].id);
          }
          some[i].count(counted, +1);
          insert_keys(some[i], named);
          last = std::max(last, some[i].id);
        }
        begin = end;
      }
      if (rows.empty()) break;
      num_rows += static_cast<std::int64_t>(rows.size());
    }
    if (before.is_writing) {
      problems.push_back(
          {"", "a writer is at work, or was killed; the next one puts its counts right"});
    } else if (problems.empty() && !counted.same_counts(before.state)) {
      problems.push_back(
          {"", "its counts of labels, videos, times, splits or tokens do not match the records"});
    }
    if (!before.is_writing) {
      if (const std::int64_t counted_there = count_rows(); counted_there != num_rows) {
        problems.push_back({"", std::to_string(counted_there) + " rows are there of " +
                                    std::to_string(num_rows) + " records"});
      }
      const auto unnamed = before.is_settled ? unnamed_values(named) : std::vector<std::string>();
      if (!unnamed.empty()) {
        problems.push_back({"", std::to_string(unnamed.size()) +
                                    " values of no record, the first is " +
                                    in_quotes(unnamed.front())});
      }
    }
    return problems;
  }

  static void check_row(const StoredRow& row, std::span<const float> vector,
                        const std::map<char, Bytes>& values, const BankSchema& schema) {
    const auto refuse = [](const std::string& what) { throw Error(ErrorKind::kCorruptData, what); };
    if (values.size() != row.values.size()) refuse("some of its values are missing");
    for (const ValueName& name : row.values) {
      if (name_value(name.kind, row.id, values.at(name.kind)) != name) {
        refuse(std::string("its value ") + name.kind + " is another than the one it names");
      }
    }
    const Record record = decode_record(row.id, view_of(values.at('R')));
    check_record(record, schema);
    const Features features = decode_features(row.id, view_of(values.at('F')));
    check_features(row.id, features, schema);
    const auto thumbnails = values.find('T');
    if (thumbnails != values.end()) {
      static_cast<void>(decode_thumbnails(row.id, view_of(thumbnails->second)));
    }
    std::optional<PopularityHistory> history;
    if (const auto counts = values.find('O'); counts != values.end()) {
      history = decode_history(row.id, view_of(counts->second));
      check_history(row.id, *history);
    }
    StoredRow expected =
        summarise(record, history ? &*history : nullptr, horizon_of(schema.popularity_horizon));
    expected.values = row.values;
    expected.visual_tokens = features.visual_tokens.num_tokens;
    expected.text_tokens = features.text_tokens.num_tokens;
    if (row != expected) refuse("its row differs from its record");
    if (!std::equal(features.retrieval_vector.begin(), features.retrieval_vector.end(),
                    vector.begin())) {
      refuse("the vector of its row differs from that of its features");
    }
  }

  std::string name_;
  std::string rows_;
  std::string values_;
  fs::path directory_;
  mutable MilvusClient client_;
  std::unique_ptr<WriterLease> lease_;
  std::mutex write_mutex_;
  bool has_failed_ = false;  ///< until a commit is finished: one that ended halfway
  bool is_settled_ = true;
  std::set<std::string> stale_;  ///< values that no row names, since the last flush
  mutable std::mutex table_mutex_;
  mutable std::shared_ptr<const BankTable> table_;
  mutable CommitStamp table_stamp_;
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
  MilvusClient client(address, options);
  if (client.find_collection(address.collection)) {
    throw Error(ErrorKind::kInvalidInput, "there is a memory bank in " + address.text() +
                                              " already; choose another collection");
  }
  const std::string values = values_collection(address.collection);
  client.create_collection(values, value_fields(), "unused");
  upload_encoders(client, values, encoders_below(local_directory(address)));
  const auto put_text = [&](const std::string& key, const std::string& text) {
    client.upsert(values, Json::array({named_row(key, encode_text(key, text))}));
  };
  put_text(kSchemaKey, to_json_text(schema));
  BankState state;
  state.generation = 1;
  state.commit_id = random_id();
  put_text(kStateKey, to_json_text(state));
  client.flush({values});
  // Last: from when on there is a bank.
  client.create_collection(address.collection, record_fields(schema.retrieval_dim), "vector");
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
