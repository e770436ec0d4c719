#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/bank/milvus/record_values.h"
#include "mmra/bank/milvus/stored_row.h"

namespace mmra::bank {

/// What becomes of one record.
struct RecordChange {
  std::optional<StoredRow> old;
  std::optional<StoredRow> row;  ///< empty: it is removed
  std::vector<float> vector;     ///< padded to stored_dim(); empty: not known, it stays
  /// Kept between two changes of one record in one batch.
  std::optional<PopularityHistory> history;
  RecordValues new_values;

  /// Sets everything of a row that a record says. `given`: its counts; empty: those that are there
  /// stay, and go before the record's own popularity.
  void set_record(const Record& record, const std::optional<PopularityHistory>& given,
                  const BankSchema& schema);
  void put(const StoredRecord& stored, const BankSchema& schema);
  /// The counts of a record that is there with these, `which` of `observations`; says in `report`
  /// what becomes of each. Empty where none of them changes anything.
  [[nodiscard]] std::optional<PopularityHistory> observe(
      std::span<const RecordObservation> observations, std::span<const std::size_t> which,
      ObserveReport& report) const;

 private:
  void set_value(char kind, Bytes bytes);
  void unset_value(char kind);
};

/// By id.
using RecordChanges = std::map<std::string, RecordChange>;

/// Keeps `stale`, the keys of values that no row names, right when changes have been written.
void note_stale(const RecordChanges& changes, std::set<std::string>& stale);

}  // namespace mmra::bank
