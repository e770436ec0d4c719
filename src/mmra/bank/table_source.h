#pragma once

#include "mmra/bank/snapshot.h"
#include "mmra/bank/table_changes.h"
#include "mmra/bank/vector_table.h"

namespace mmra::bank {

/// What a table is made from; its vectors are read when they are asked for, of a snapshot that
/// lives as long.
struct TableSource {
  TableColumns columns;
  ForEachVector vectors;
};

/// All records.
[[nodiscard]] TableSource source_of_records(const Snapshot& seen);
/// The same, for the price of the records that have changed: the others are as an earlier table of
/// vector_table.h has them.
[[nodiscard]] TableSource source_of_changes(const Snapshot& seen, const TableChanges::Since& since);

}  // namespace mmra::bank
