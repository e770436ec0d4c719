#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mmra/bank/bank_state.h"
#include "mmra/bank/snapshot.h"

namespace mmra::bank {

/// Changes records inside one write transaction and keeps the counts right. A damaged value can be
/// replaced and removed like any other.
class Editor {
 public:
  explicit Editor(Snapshot& snapshot);

  void put(const StoredRecord& stored);
  void put_record(const Record& record);
  /// False where the record's counts stay as they are.
  bool observe(const Record& record, std::span<const Observation> observations);
  /// False where nothing of this id was there.
  bool remove(const std::string& id);
  /// Of a damaged record: one of its values alone.
  void remove_value(Database database, const std::string& id);
  /// Counts all records again. False where the counts were right.
  bool recount();
  void commit();
  /// Of the records that were changed or removed so far; some more than once.
  [[nodiscard]] const std::vector<std::string>& changed_ids() const { return changed_ids_; }
  /// What commit() makes.
  [[nodiscard]] std::uint64_t next_generation() const { return state_.generation + 1; }

 private:
  void put_value(Database database, const std::string& id, const Bytes& value);
  void put_counted(const Record& record);
  void put_with_history(const Record& record, const PopularityHistory& history);
  std::optional<PopularityHistory> sound_history(const std::string& id);
  template <typename Action>
  void tolerating_damage(const Action& action);
  /// What was there.
  std::optional<Record> count_out(const std::string& id);
  void count_out_features(const std::string& id);

  Snapshot& snapshot_;
  BankState state_;
  std::optional<Duration> horizon_;
  bool must_recount_ = false;
  std::vector<std::string> changed_ids_;
};

}  // namespace mmra::bank
