#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/popularity_history.h"
#include "mmra/bank/record.h"

namespace mmra::bank {

enum class ColumnType : std::uint8_t { kNumber, kCategory };

/// What was decided when the bank was made; never changes afterwards except that context columns
/// are added.
struct BankSchema {
  /// 1, or from the first count with a time on 2.
  int format_version = 1;
  std::string popularity_unit = "popularity";  ///< "comments", "views", …: shown with predictions
  std::string popularity_horizon;              ///< "7d"; empty: unspecified
  std::string encoders_name;                   ///< "builtin", …
  std::string encoders_fingerprint;
  int num_frames = 10;  ///< L
  int visual_dim = 0;
  int text_dim = 0;
  int retrieval_dim = 0;
  std::map<std::string, ColumnType> context_columns;
};

struct BankInfo {
  BankSchema schema;
  std::uint64_t generation = 0;  ///< counts commits
  std::int64_t num_records = 0;
  std::int64_t num_labelled = 0;
  std::int64_t num_with_video = 0;
  std::int64_t num_with_time = 0;
  std::int64_t num_in_split[3] = {0, 0, 0};  ///< by Split
  std::int64_t num_visual_tokens = 0;        ///< of all records
  std::int64_t num_text_tokens = 0;
  std::int64_t disk_bytes = 0;
};

/// Everything retrieval and training need of a consistent snapshot, in contiguous arrays; row order
/// is ascending id (bytewise), so "ties broken by id" is "by row". Immutable, thread-safe, may map
/// files.
class BankTable {
 public:
  virtual ~BankTable() = default;
  [[nodiscard]] virtual std::uint64_t generation() const = 0;
  /// Tells commits of one generation apart (docs/formats/bank.md); 0: the table is of no bank.
  [[nodiscard]] virtual std::uint64_t commit_id() const { return 0; }
  [[nodiscard]] virtual std::size_t num_rows() const = 0;
  [[nodiscard]] virtual int retrieval_dim() const = 0;
  /// Row-major [num_rows × retrieval_dim], float32.
  [[nodiscard]] virtual std::span<const float> retrieval_vectors() const = 0;
  [[nodiscard]] virtual std::string_view id(std::size_t row) const = 0;
  [[nodiscard]] virtual std::optional<std::size_t> row_of(std::string_view id) const = 0;
  [[nodiscard]] virtual std::optional<double> popularity(std::size_t row) const = 0;
  [[nodiscard]] virtual std::optional<Timestamp> posted_at(std::size_t row) const = 0;
  [[nodiscard]] virtual Split split(std::size_t row) const = 0;

  /// All counts of a row; lives as long as the table.
  [[nodiscard]] virtual HistoryView history(std::size_t row) const { return {popularity(row), {}}; }
  /// From when on popularity(row) was known; empty where nothing says so.
  [[nodiscard]] virtual std::optional<Timestamp> label_known_at(std::size_t /*row*/) const {
    return std::nullopt;
  }
  /// What the label was strictly before `moment`: popularity(row) or an earlier count; empty where
  /// nothing was known then.
  [[nodiscard]] virtual std::optional<double> popularity_as_of(std::size_t row,
                                                               Timestamp moment) const {
    const auto known_at = label_known_at(row);
    return known_at && !(*known_at < moment) ? std::nullopt : popularity(row);
  }
};

/// A count of one record.
struct RecordObservation {
  std::string id;
  Observation observation;
};

struct ObserveReport {
  std::int64_t num_added = 0;        ///< counts that are new, or differ from the one of that moment
  std::int64_t num_unchanged = 0;    ///< the bank has them already
  std::vector<std::size_t> unknown;  ///< which were of no record of the bank
  std::vector<std::size_t> early;    ///< which were made before their record was posted
};

/// Which records a bank's own index may leave out of a search, since its caller would refuse them:
/// retrieval::RetrievalPolicy in terms of what every record has.
struct CandidateFilter {
  bool takes_split[3] = {true, true, true};  ///< by Split
  bool labelled_only = false;                ///< by the label of the bank's horizon
  std::optional<Timestamp> posted_before = {};
  std::optional<Timestamp> label_known_before = {};      ///< by BankTable::label_known_at
  std::optional<Timestamp> any_label_known_before = {};  ///< by popularity_as_of
  std::vector<std::string> without_ids = {};
};

/// What a bank's own index found.
struct Candidates {
  std::shared_ptr<const BankTable> table;  ///< of these records alone, with the bank's labels
  /// No record that the filter admits and that is not in the table has a larger inner product with
  /// the query (but for rounding); empty: there are no others.
  std::optional<float> others_at_most;
};

struct Problem {
  std::string id;    ///< empty: the bank as a whole
  std::string what;  ///< one line
};

struct Repair {
  std::string id;     ///< empty: the bank as a whole
  std::string found;  ///< one line
  std::string done;   ///< one line
};

/// The memory bank B of the paper (2.1): records by id with their features. This interface has an
/// embedded implementation (a directory); a distributed engine can be another. One writer at a time
/// (a second one gets Error{kIo} that says who), any number of readers in any process; a reader
/// sees a consistent snapshot per call. put() and remove() return when the change is durable, on a
/// server as far as the server's log is: flush().
class MemoryBank {
 public:
  virtual ~MemoryBank() = default;

  [[nodiscard]] virtual BankInfo info() const = 0;
  [[nodiscard]] virtual std::optional<Record> find(std::string_view id) const = 0;
  [[nodiscard]] virtual std::optional<Features> find_features(std::string_view id) const = 0;
  /// Visits a snapshot in ascending id order; `visit` returns false to stop. Thumbnails are left
  /// out here (find() has them), so that a scan stays cheap.
  virtual void for_each(const std::function<bool(const Record&)>& visit) const = 0;
  virtual void for_each_with_features(
      const std::function<bool(const Record&, const Features&)>& visit) const = 0;

  /// Visits all that there is of the records that `wanted` names: thumbnails and counts too.
  virtual void for_each_stored(const std::function<bool(std::string_view id)>& wanted,
                               const std::function<bool(StoredRecord&&)>& visit) const = 0;
  /// A checksum of all that a record has, the same in every kind of bank; ascending ids.
  virtual void for_each_digest(
      const std::function<void(std::string_view id, std::uint64_t digest)>& visit) const = 0;

  /// Inserts or replaces, all or nothing, durable on return. A record that has counts with times
  /// keeps them, and they go before the popularity given here, which has none. Throws
  /// Error{kInvalidInput} where a record does not fit the schema (dims, context type: names id and
  /// column), {kIo} on a full disk.
  virtual void put(std::span<const StoredRecord> records) = 0;
  /// Replaces the record and leaves its features, thumbnails and counts as they are (as put);
  /// Error{kNotFound} where it is not there.
  virtual void put_record(const Record& record) = 0;
  /// Adds counts to the records' histories and makes their labels anew (label_of with the bank's
  /// horizon); all of it in one commit, durable on return. Those of unknown records, and those made
  /// before their record was posted, are left out and reported. Throws Error{kInvalidInput} where a
  /// count is no number of 0 or more.
  virtual ObserveReport observe(std::span<const RecordObservation> observations) = 0;
  /// All counts of a record; empty where there is no record of this id.
  [[nodiscard]] virtual std::optional<PopularityHistory> find_history(
      std::string_view id) const = 0;

  /// How many of them were there.
  virtual std::int64_t remove(std::span<const std::string> ids) = 0;
  /// Adds context columns; a known one with another type is Error{kInvalidInput}.
  virtual void add_context_columns(const std::map<std::string, ColumnType>& columns) = 0;

  /// A snapshot for retrieval and training, with the labels of the bank's horizon: mapped from the
  /// derived file where that is of this generation, else made from the records (and, where this
  /// bank is writable, saved again).
  [[nodiscard]] virtual std::shared_ptr<const BankTable> table() const = 0;

  /// The `limit` records that `filter` admits and that are most similar to `vector`, by an index of
  /// the bank's own; empty for a bank that has none, whose table() is what is to be searched.
  [[nodiscard]] virtual std::optional<Candidates> find_candidates(std::span<const float> /*vector*/,
                                                                  const CandidateFilter& /*filter*/,
                                                                  int /*limit*/) const {
    return std::nullopt;
  }

  /// Returns when what was written survives a restart of whatever keeps it; to be called at the end
  /// of a piece of work. In a directory it does anyway; a server takes seconds (docs/milvus.md).
  virtual void flush() {}

  /// The kind of that index, as set_own_index() takes it; empty for a bank that has none.
  [[nodiscard]] virtual std::string own_index() const { return {}; }
  /// Makes it anew, of the kind "Flat" (exact) or "HNSW" and the number of a node's links, as in
  /// FAISS's factory strings. Returns when it is made; for a moment of that time the bank cannot be
  /// searched. Throws Error{kUnsupported} for another kind, or a bank that has no index of its own;
  /// Interrupted, and then the server goes on by itself.
  virtual void set_own_index(const std::string& kind, const std::stop_token& stop);

  /// Reads everything: checksums, decodability, dims, derived files against records. Empty: sound.
  [[nodiscard]] virtual std::vector<Problem> verify() const = 0;
  /// Puts right what verify() finds and can be put right, and says what it found and did: what is
  /// damaged is removed, so that it can be ingested again; counts and derived files are made anew.
  /// Throws Error{kCorruptData} where the damage is deeper (LMDB's pages, the schema).
  virtual std::vector<Repair> repair();

  /// Writes all records into fresh files and puts these in the place of the old ones: the space of
  /// what was removed is free afterwards, and no byte of it is left in the bank. Needs the space of
  /// a second copy meanwhile. Readers go on undisturbed. Whenever it is killed, the bank is the old
  /// or the new one, whole; what is left over then goes when the bank is next opened for writing.
  virtual void compact();
  /// Copies a snapshot of the bank, with its encoders, to `directory`, which must not be there or
  /// be empty. Compact, as compact() makes it. The bank may be written meanwhile.
  virtual void backup(const std::filesystem::path& directory) const;
  /// Makes the derived files anew.
  virtual void rebuild_derived_files();
};

enum class OpenMode { kReadOnly, kReadWrite };

/// Opens the bank in `directory`, or on a Milvus server where that is
/// milvus://HOST:PORT/COLLECTION (docs/milvus.md). Throws Error{kNotFound} (no bank there: says how
/// to make one), {kCorruptData}, {kUnsupported} (a newer format version).
[[nodiscard]] std::unique_ptr<MemoryBank> open_bank(const std::filesystem::path& directory,
                                                    OpenMode mode);

/// Makes an empty bank in `directory` (created if needed; must not hold one). The encoder artefact
/// is the caller's to put into encoders_directory() beforehand.
[[nodiscard]] std::unique_ptr<MemoryBank> create_bank(const std::filesystem::path& directory,
                                                      const BankSchema& schema);

[[nodiscard]] bool bank_exists(const std::filesystem::path& directory);
/// Throws Error{kInvalidInput} where `directory` holds what a killed ingest, backup or copy did not
/// leave there: a new bank gets a directory of its own. Of a bank on a server nothing is asked.
void require_free_directory(const std::filesystem::path& directory);
/// What `bank_directory` is called from anywhere: an absolute path, or a server's address.
[[nodiscard]] std::string full_name_of(const std::filesystem::path& bank_directory);
/// Where a bank has files beside its records: the directory itself; of a bank on a server, a folder
/// of this user's cache.
[[nodiscard]] std::filesystem::path files_directory(const std::filesystem::path& bank_directory);
/// Where a bank keeps its frozen encoder artefact, and the failures of its last ingest.
[[nodiscard]] std::filesystem::path encoders_directory(const std::filesystem::path& bank_directory);
[[nodiscard]] std::filesystem::path failures_file(const std::filesystem::path& bank_directory);

}  // namespace mmra::bank
