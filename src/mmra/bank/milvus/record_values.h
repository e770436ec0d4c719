#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/milvus/stored_row.h"
#include "mmra/bank/popularity_history.h"
#include "mmra/bank/record.h"
#include "mmra/bank/record_codec.h"

namespace mmra::bank {

/// The kinds of all values of a record (ValueName::kind).
inline constexpr std::string_view kRecordKinds = "RFTO";

/// Values of one record by kind, as encode made them.
using RecordValues = std::map<char, Bytes>;

/// In base64 by key.
using ValuePieces = std::map<std::string, std::string>;

/// Those of these kinds that a row names. None where one of the pieces is not there. Throws
/// Error{kCorruptData} where one is no base64.
[[nodiscard]] RecordValues assemble(const StoredRow& row, std::string_view kinds,
                                    const ValuePieces& pieces);

// Each throws Error{kCorruptData} as the decode functions; R and F must be among `values`.
/// Without thumbnails.
[[nodiscard]] Record record_of(std::string_view id, const RecordValues& values);
[[nodiscard]] Features features_of(std::string_view id, const RecordValues& values);
/// Empty where it has none.
[[nodiscard]] std::vector<std::vector<std::uint8_t>> thumbnails_of(std::string_view id,
                                                                   const RecordValues& values);
/// Empty where it has no counts with times.
[[nodiscard]] std::optional<PopularityHistory> counts_of(std::string_view id,
                                                         const RecordValues& values);
/// All that there is.
[[nodiscard]] StoredRecord stored_record_of(std::string_view id, const RecordValues& values);

}  // namespace mmra::bank
