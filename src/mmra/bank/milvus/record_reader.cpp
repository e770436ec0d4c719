#include "mmra/bank/milvus/record_reader.h"

#include <map>
#include <utility>

#include "mmra/bank/milvus/request_limits.h"
#include "mmra/bank/milvus/row_reader.h"
#include "mmra/bank/text_checks.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

using VisitRecord = std::function<bool(const StoredRow&, const RecordValues&)>;

constexpr int kAttempts = 5;

[[noreturn]] void fail_without_values(const MilvusCollections& collections, std::string_view id) {
  throw Error(ErrorKind::kCorruptData, "the record " + in_quotes(id) +
                                           " has no values in the bank " + collections.bank() +
                                           "; remove it and ingest it again");
}

std::vector<std::string> keys_of_values(std::span<const StoredRow> rows, std::string_view kinds) {
  std::vector<std::string> keys;
  for (const StoredRow& row : rows) {
    for (const ValueName& name : row.values) {
      if (kinds.find(name.kind) == std::string_view::npos) continue;
      for (std::string& key : keys_of(name, row.id)) keys.push_back(std::move(key));
    }
  }
  return keys;
}

/// Of those from `begin` on whose pieces one request takes; at least one.
std::size_t end_of_group(std::span<const StoredRow> rows, std::size_t begin,
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

/// A row whose values were replaced between two requests: as it is now, if it still is.
bool visit_again(const MilvusCollections& collections, const std::string& id,
                 std::string_view kinds, const VisitRecord& visit) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const MilvusMoment moment = collections.now();
    const std::vector<StoredRow> rows = read_rows(collections, std::span(&id, 1), moment);
    if (rows.empty()) return true;
    const auto values = read_values(collections, rows, kinds, moment);
    if (!values.front().empty()) return visit(rows.front(), values.front());
  }
  fail_without_values(collections, id);
}

}  // namespace

ValuePieces read_pieces(const MilvusCollections& collections, std::span<const StoredRow> rows,
                        std::string_view kinds, MilvusMoment moment) {
  ValuePieces pieces;
  for_each_part(keys_of_values(rows, kinds), kPiecesPerRequest,
                [&](std::span<const std::string> some) {
                  const MilvusRows found = collections.query_pieces(some, moment);
                  for (std::size_t i = 0; i < found.num_rows(); ++i) {
                    pieces[found.texts("key")[i]] = found.texts("value")[i];
                  }
                });
  return pieces;
}

std::vector<RecordValues> read_values(const MilvusCollections& collections,
                                      std::span<const StoredRow> rows, std::string_view kinds,
                                      MilvusMoment moment) {
  const ValuePieces pieces = read_pieces(collections, rows, kinds, moment);
  std::vector<RecordValues> values;
  values.reserve(rows.size());
  for (const StoredRow& row : rows) values.push_back(assemble(row, kinds, pieces));
  return values;
}

bool for_each_with_pieces(const MilvusCollections& collections, std::span<const StoredRow> rows,
                          std::string_view kinds, MilvusMoment moment,
                          const std::function<bool(std::size_t row, const ValuePieces&)>& visit) {
  for (std::size_t begin = 0; begin < rows.size();) {
    const std::size_t end = end_of_group(rows, begin, kinds);
    const auto pieces = read_pieces(collections, rows.subspan(begin, end - begin), kinds, moment);
    for (std::size_t i = begin; i < end; ++i) {
      if (!visit(i, pieces)) return false;
    }
    begin = end;
  }
  return true;
}

std::optional<RecordValues> find_values(const MilvusCollections& collections, std::string_view id,
                                        std::string_view kinds) {
  if (fault_of_id(id)) return std::nullopt;
  const std::string key(id);
  MilvusMoment moment = MilvusCollections::seen();
  for (int attempt = 0;; ++attempt) {
    const std::vector<StoredRow> rows = read_rows(collections, std::span(&key, 1), moment);
    if (rows.empty()) return std::nullopt;
    auto values = read_values(collections, rows, kinds, moment);
    if (!values.front().empty()) return std::move(values.front());
    if (attempt == kAttempts) fail_without_values(collections, id);
    moment = collections.now();
  }
}

std::optional<Record> find_record(const MilvusCollections& collections, std::string_view id) {
  const auto values = find_values(collections, id, "RT");
  if (!values) return std::nullopt;
  Record record = record_of(id, *values);
  record.thumbnails = thumbnails_of(id, *values);
  return record;
}

Record require_record(const MilvusCollections& collections, std::string_view id) {
  auto record = find_record(collections, id);
  if (!record) fail_without_values(collections, id);
  return std::move(*record);
}

std::optional<PopularityHistory> find_history(const MilvusCollections& collections,
                                              std::string_view id) {
  const auto values = find_values(collections, id, "RO");
  if (!values) return std::nullopt;
  if (auto counts = counts_of(id, *values)) return counts;
  return PopularityHistory{record_of(id, *values).popularity, {}};
}

std::vector<std::optional<PopularityHistory>> read_histories(const MilvusCollections& collections,
                                                             std::span<const StoredRow> rows,
                                                             MilvusMoment moment) {
  std::vector<std::optional<PopularityHistory>> histories(rows.size());
  std::vector<StoredRow> with_counts;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].find('O') == nullptr) continue;
    with_counts.push_back(rows[i]);
    places.push_back(i);
  }
  const auto values = read_values(collections, with_counts, "O", moment);
  for (std::size_t n = 0; n < places.size(); ++n) {
    const std::string& id = with_counts[n].id;
    histories[places[n]] =
        values[n].empty() ? find_history(collections, id) : counts_of(id, values[n]);
  }
  return histories;
}

void scan_records(const MilvusCollections& collections, std::string_view kinds,
                  const std::function<bool(std::string_view id)>& wanted,
                  const VisitRecord& visit) {
  const MilvusMoment moment = collections.now();
  std::string last;
  for (;;) {
    std::vector<StoredRow> rows = page_after(collections, last, moment);
    if (rows.empty()) return;
    last = rows.back().id;
    std::erase_if(rows, [&](const StoredRow& row) { return !wanted(row.id); });
    const auto visit_one = [&](std::size_t i, const ValuePieces& pieces) {
      const RecordValues values = assemble(rows[i], kinds, pieces);
      return values.empty() ? visit_again(collections, rows[i].id, kinds, visit)
                            : visit(rows[i], values);
    };
    if (!for_each_with_pieces(collections, rows, kinds, moment, visit_one)) return;
  }
}

}  // namespace mmra::bank
