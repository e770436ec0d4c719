#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/bank_state.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/bank/milvus/client.h"
#include "mmra/bank/record.h"
#include "mmra/bank/record_codec.h"

namespace mmra::bank {

// How a bank lies in two collections of a Milvus server (docs/formats/milvus.md). COLLECTION has a
// row for each record: its retrieval vector, what a query is filtered by, and the names of its
// values. COLLECTION_values has the values themselves, the same bytes as in a directory
// (record_codec.h), in pieces of base64, and the bank's schema, state and encoders.

/// Where known_at and first_known_at know no moment, and where posted_at is not known: earlier than
/// any.
inline constexpr std::int64_t kNoMoment = -(std::int64_t{1} << 62);
/// In first_known_at: no label at any time.
inline constexpr std::int64_t kNever = std::int64_t{1} << 62;

/// Names one stored value: by its contents, so that writing it twice is writing it once, and a
/// record's row decides which version of it counts.
struct ValueName {
  char kind = 'R';  ///< R record, F features, T thumbnails, O counts, E a file of the encoders
  std::uint64_t hash = 0;
  std::uint32_t num_pieces = 1;
  friend bool operator==(const ValueName&, const ValueName&) = default;
};

/// "R0123456789abcdef:1;F…:3".
[[nodiscard]] std::string to_text(std::span<const ValueName> names);
/// Throws Error{kCorruptData} naming the record.
[[nodiscard]] std::vector<ValueName> parse_value_names(std::string_view text, std::string_view id);

[[nodiscard]] ValueName name_value(char kind, std::string_view id, std::string_view bytes);
/// The keys of a value's pieces, in order.
[[nodiscard]] std::vector<std::string> keys_of(const ValueName& name, std::string_view id);
/// The id in such a key.
[[nodiscard]] std::string id_of_key(const std::string& key);
/// A value's rows of COLLECTION_values.
void append_pieces(const ValueName& name, std::string_view id, std::string_view bytes,
                   nlohmann::json& rows);
/// One row with a key of the bank's own. Throws Error{kUnsupported} where it is too long for one.
[[nodiscard]] nlohmann::json named_row(const std::string& key, std::string_view bytes);
/// base64 of a row. Throws Error{kCorruptData} naming the key.
[[nodiscard]] Bytes decode_piece(const std::string& key, const std::string& text);

/// Everything of a record's row but its vector.
struct StoredRow {
  std::string id;
  std::optional<double> popularity;  ///< the label
  std::optional<Timestamp> posted_at;
  Split split = Split::kTrain;
  std::int64_t known_at = kNoMoment;        ///< BankTable::label_known_at
  std::int64_t first_known_at = kNoMoment;  ///< before it, popularity_as_of() is empty
  bool has_video = false;
  int visual_tokens = 0;
  int text_tokens = 0;
  std::vector<ValueName> values;  ///< R, F, and T and O where there are any; in any order

  [[nodiscard]] const ValueName* find(char kind) const;
  void count(BankState& state, int sign) const;
  friend bool operator==(const StoredRow&, const StoredRow&) = default;
};

/// The row without `values` and tokens.
[[nodiscard]] StoredRow summarise(const Record& labelled, const PopularityHistory* history,
                                  std::optional<Duration> horizon);

[[nodiscard]] nlohmann::json to_json(const StoredRow& row, std::span<const float> vector);
/// The `i`-th. Throws Error{kCorruptData}.
[[nodiscard]] StoredRow parse_row(const MilvusRows& rows, std::size_t i);
[[nodiscard]] std::vector<StoredRow> parse_rows(const MilvusRows& rows);

/// A filter over the fields of a row.
[[nodiscard]] std::string to_milvus_filter(const CandidateFilter& filter);

/// "HNSW32" as Milvus' type and the number of links of a node; "Flat" as FLAT and 0. Throws
/// Error{kUnsupported} for other kinds.
struct IndexKind {
  std::string type;
  int num_links = 0;
};
[[nodiscard]] IndexKind parse_index_kind(std::string_view text);
/// The other way round; of a kind that this program does not make, Milvus' own name.
[[nodiscard]] std::string to_index_kind(const MilvusIndex& index);

/// Milvus' smallest dimension is 2.
[[nodiscard]] int stored_dim(int retrieval_dim);
[[nodiscard]] std::string values_collection(const std::string& collection);
/// The fields of the two collections, as they are made and expected.
[[nodiscard]] std::vector<MilvusField> record_fields(int retrieval_dim);
[[nodiscard]] std::vector<MilvusField> value_fields();
/// Those of a row that parse_rows reads.
[[nodiscard]] const std::vector<std::string>& row_columns();

}  // namespace mmra::bank
