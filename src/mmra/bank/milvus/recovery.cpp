#include "mmra/bank/milvus/recovery.h"

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mmra/bank/milvus/bank_head.h"
#include "mmra/bank/milvus/doubled_rows.h"
#include "mmra/bank/milvus/record_reader.h"
#include "mmra/bank/milvus/row_reader.h"
#include "mmra/bank/milvus/unnamed_values.h"

namespace mmra::bank {
namespace {

constexpr int kHealings = 3;

/// What a scan of all rows found.
struct Scan {
  BankState counts;
  std::set<std::string> named;  ///< keys of values
  bool is_whole = false;        ///< no row is there twice
};

Scan scan_rows(MilvusCollections& collections) {
  Scan scan;
  for (int attempt = 0; attempt < kHealings && !scan.is_whole; ++attempt) {
    scan = Scan{};
    std::vector<std::string> ids;
    for_each_row(collections, [&](const StoredRow& row) {
      row.count(scan.counts, +1);
      insert_keys(row, scan.named);
      ids.push_back(row.id);
    });
    scan.is_whole = collections.count_rows() == static_cast<std::int64_t>(ids.size());
    if (!scan.is_whole) heal_doubled_rows(ids, collections);
  }
  return scan;
}

/// `missing`: keys of values that a scan did not find. Returns the keys of what else the rows that
/// it removes have named.
std::vector<std::string> remove_without_values(const std::set<std::string>& missing,
                                               BankState& counts, MilvusCollections& collections) {
  std::set<std::string> ids;
  for (const std::string& key : missing) ids.insert(id_of_key(key));
  std::vector<std::string> lost;
  std::set<std::string> keys;
  const MilvusMoment moment = collections.now();
  for (const StoredRow& row : read_rows(collections, std::vector(ids.begin(), ids.end()), moment)) {
    const auto values = read_values(collections, std::span(&row, 1), kRecordKinds, moment);
    if (!values.front().empty()) continue;
    row.count(counts, -1);
    lost.push_back(row.id);
    insert_keys(row, keys);
  }
  collections.erase_rows(lost);
  return {keys.begin(), keys.end()};
}

/// Removes the rows whose values are not there, and returns the keys of the values that no row
/// names. `named`: keys of the values that the rows name.
std::vector<std::string> remove_lost(std::set<std::string> named, BankState& counts,
                                     MilvusCollections& collections) {
  std::vector<std::string> unnamed = unnamed_values(collections, named);
  const auto of_lost = remove_without_values(named, counts, collections);
  unnamed.insert(unnamed.end(), of_lost.begin(), of_lost.end());
  return without_named(collections, std::move(unnamed));
}

}  // namespace

bool is_as_left(const MilvusCollections& collections) {
  const BankHead head = read_head(collections, MilvusCollections::seen());
  std::int64_t num_records = 0;
  for (const std::int64_t in_split : head.state.num_in_split) num_records += in_split;
  return !head.is_writing && head.is_settled && num_records == collections.count_rows();
}

BankState recover(MilvusCollections& collections) {
  const BankHead head = read_head(collections, MilvusMoment::latest());
  Scan scan = scan_rows(collections);
  std::vector<std::string> unnamed;
  if (scan.is_whole) unnamed = remove_lost(std::move(scan.named), scan.counts, collections);
  // Before anything is erased: or rows that are lost later would come back as they were, and name
  // what is erased now.
  collections.flush();
  collections.erase_values(unnamed);
  scan.counts.generation = head.state.generation;
  return scan.counts;
}

BankState recount(const MilvusCollections& collections) {
  BankState counts;
  for_each_row(collections, [&](const StoredRow& row) { row.count(counts, +1); });
  return counts;
}

}  // namespace mmra::bank
