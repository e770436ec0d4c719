#include "mmra/bank/table_source.h"

#include <utility>

#include "mmra/bank/row_search.h"

namespace mmra::bank {
namespace {

/// Of a changed record that is there.
void append_record(const Snapshot& seen, const Record& record, TableColumns& columns) {
  const auto history = seen.find_history(record.id);
  columns.append(record, history ? &*history : nullptr);
}

ByteView vector_of(const Snapshot& seen, std::string_view id) {
  return read_features_header(id, seen.features_value(id), /*check=*/true).retrieval_vector;
}

/// Where a row comes from: the earlier table, or a changed record.
struct RowOrigin {
  bool is_changed;
  std::size_t index;  ///< row of the table, or among the changed ids
};

/// Rows in ascending order of ids; of changed records those that are there.
std::vector<RowOrigin> merge_rows(const Snapshot& seen, const TableChanges::Since& since,
                                  TableColumns& columns) {
  const BankTable& table = *since.table;
  std::vector<RowOrigin> origins;
  std::size_t row = 0;
  const auto take_rows_before = [&](std::size_t end) {
    for (; row < end; ++row) {
      columns.append(table, row);
      origins.push_back({false, row});
    }
  };
  for (std::size_t i = 0; i < since.ids.size(); ++i) {
    const std::string& id = since.ids[i];
    take_rows_before(first_row_from(table, id, row, table.num_rows()));
    if (row < table.num_rows() && table.id(row) == id) ++row;
    const auto record = seen.find(id);
    if (!record) continue;
    append_record(seen, *record, columns);
    origins.push_back({true, i});
  }
  take_rows_before(table.num_rows());
  return origins;
}

}  // namespace

TableSource source_of_records(const Snapshot& seen) {
  TableSource source;
  seen.transaction().for_each(Database::kRecords, [&](std::string_view id, ByteView value) {
    append_record(seen, decode_record(id, value), source.columns);
    return true;
  });
  source.vectors = [&seen](const std::function<void(ByteView)>& visit) {
    seen.transaction().for_each(Database::kRecords, [&](std::string_view id, ByteView) {
      visit(vector_of(seen, id));
      return true;
    });
  };
  return source;
}

TableSource source_of_changes(const Snapshot& seen, const TableChanges::Since& since) {
  TableSource source;
  source.vectors = [&seen, since, origins = merge_rows(seen, since, source.columns)](
                       const std::function<void(ByteView)>& visit) {
    const auto vectors = since.table->retrieval_vectors();
    const auto dim = static_cast<std::size_t>(since.table->retrieval_dim());
    for (const RowOrigin& origin : origins) {
      visit(origin.is_changed ? vector_of(seen, since.ids[origin.index])
                              : std::as_bytes(vectors.subspan(origin.index * dim, dim)));
    }
  };
  return source;
}

}  // namespace mmra::bank
