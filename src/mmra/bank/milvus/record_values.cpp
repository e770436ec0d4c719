#include "mmra/bank/milvus/record_values.h"

#include <span>
#include <utility>

namespace mmra::bank {
namespace {

ByteView view_of(const Bytes& bytes) { return std::as_bytes(std::span(bytes)); }

}  // namespace

RecordValues assemble(const StoredRow& row, std::string_view kinds, const ValuePieces& pieces) {
  RecordValues values;
  for (const ValueName& name : row.values) {
    if (kinds.find(name.kind) == std::string_view::npos) continue;
    Bytes bytes;
    for (const std::string& key : keys_of(name, row.id)) {
      const auto piece = pieces.find(key);
      if (piece == pieces.end()) return {};
      bytes += decode_piece(key, piece->second);
    }
    values[name.kind] = std::move(bytes);
  }
  return values;
}

Record record_of(std::string_view id, const RecordValues& values) {
  return decode_record(id, view_of(values.at('R')));
}

Features features_of(std::string_view id, const RecordValues& values) {
  return decode_features(id, view_of(values.at('F')));
}

std::vector<std::vector<std::uint8_t>> thumbnails_of(std::string_view id,
                                                     const RecordValues& values) {
  const auto thumbnails = values.find('T');
  if (thumbnails == values.end()) return {};
  return decode_thumbnails(id, view_of(thumbnails->second));
}

std::optional<PopularityHistory> counts_of(std::string_view id, const RecordValues& values) {
  const auto counts = values.find('O');
  if (counts == values.end()) return std::nullopt;
  return decode_history(id, view_of(counts->second));
}

StoredRecord stored_record_of(std::string_view id, const RecordValues& values) {
  StoredRecord stored;
  stored.record = record_of(id, values);
  stored.features = features_of(id, values);
  stored.record.thumbnails = thumbnails_of(id, values);
  stored.history = counts_of(id, values);
  if (!stored.history) stored.history = PopularityHistory{stored.record.popularity, {}};
  return stored;
}

}  // namespace mmra::bank
