#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/milvus/client.h"
#include "mmra/bank/milvus/collections.h"
#include "mmra/bank/milvus/record_values.h"
#include "mmra/bank/milvus/stored_row.h"

namespace mmra::bank {

// Reading records whole, each the old one or the new one, while they may be replaced: a row is read
// first and then the values that it names, and where these are gone, both again.

/// The values of these kinds of some rows, each row's own; of a row whose values are gone (it was
/// written meanwhile), none.
[[nodiscard]] std::vector<RecordValues> read_values(const MilvusCollections& collections,
                                                    std::span<const StoredRow> rows,
                                                    std::string_view kinds, MilvusMoment moment);

/// The same, so many rows at a time as one request takes: `visit` gets the place of each row and
/// what assemble() makes its values of, and returns false to stop. False where it did.
bool for_each_with_pieces(const MilvusCollections& collections, std::span<const StoredRow> rows,
                          std::string_view kinds, MilvusMoment moment,
                          const std::function<bool(std::size_t row, const ValuePieces&)>& visit);

/// Empty where there is no record of this id. Throws Error{kCorruptData} where its values stay
/// away.
[[nodiscard]] std::optional<RecordValues> find_values(const MilvusCollections& collections,
                                                      std::string_view id, std::string_view kinds);
/// With its thumbnails.
[[nodiscard]] std::optional<Record> find_record(const MilvusCollections& collections,
                                                std::string_view id);
/// Of a record that was there: throws Error{kCorruptData} where it is not.
[[nodiscard]] Record require_record(const MilvusCollections& collections, std::string_view id);
/// All that is known of its popularity.
[[nodiscard]] std::optional<PopularityHistory> find_history(const MilvusCollections& collections,
                                                            std::string_view id);
/// The counts of each row that has any.
[[nodiscard]] std::vector<std::optional<PopularityHistory>> read_histories(
    const MilvusCollections& collections, std::span<const StoredRow> rows, MilvusMoment moment);

/// All records that are wanted in ascending order of ids; `visit` returns false to stop. Each is
/// whole; what is written meanwhile is seen or not, page by page.
void scan_records(const MilvusCollections& collections, std::string_view kinds,
                  const std::function<bool(std::string_view id)>& wanted,
                  const std::function<bool(const StoredRow&, const RecordValues&)>& visit);

}  // namespace mmra::bank
