#include "mmra/bank/milvus/stored_row.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "mmra/bank/text_checks.h"
#include "mmra/core/binary_text.h"
#include "mmra/core/error.h"
#include "mmra/core/fingerprint.h"

namespace mmra::bank {
namespace {

using Json = nlohmann::json;

/// As base64 they are the longest text that Milvus takes, 65535 bytes.
constexpr std::size_t kPieceBytes = 49'149;
constexpr std::size_t kMaxPieces = 0xFFFF;
constexpr int kMaxTextBytes = 65'535;
constexpr int kMaxKeyBytes = 1 + 16 + 4 + 1 + static_cast<int>(kMaxIdBytes);
constexpr int kMaxNamesBytes = 256;
constexpr int kUnusedDim = 2;
constexpr std::string_view kKinds = "RFTOE";

std::string hex(std::uint64_t number, int digits) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(static_cast<std::size_t>(digits), '0');
  for (int i = digits - 1; i >= 0; --i, number >>= 4) {
    text[static_cast<std::size_t>(i)] = kDigits[number & 15];
  }
  return text;
}

template <typename Number>
std::optional<Number> parse(std::string_view text, int base) {
  Number number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::span<const std::uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

Json piece_row(const std::string& key, std::string_view bytes) {
  return {{"key", key}, {"value", to_base64(as_bytes(bytes))}, {"unused", {0.0, 0.0}}};
}

/// From when on popularity_as_of() has something to say.
std::int64_t first_known(const Record& labelled, const PopularityHistory* history,
                         std::optional<Duration> horizon, const Label& label) {
  if (!labelled.popularity) return kNever;
  if (horizon && labelled.posted_at) return label.known_at ? label.known_at->ms : kNoMoment;
  if (history == nullptr || history->untimed) return kNoMoment;
  return history->timed.front().observed_at.ms;
}

[[noreturn]] void damaged(std::string_view id, const std::string& what) {
  throw Error(ErrorKind::kCorruptData, "the row of the record " + in_quotes(id) +
                                           " is damaged: " + what +
                                           "; `mmra bank verify --repair` removes it, then "
                                           "ingest it again");
}

}  // namespace

std::string to_text(std::span<const ValueName> names) {
  std::string text;
  for (const ValueName& name : names) {
    if (!text.empty()) text += ';';
    text += name.kind + hex(name.hash, 16) + ":" + std::to_string(name.num_pieces);
  }
  return text;
}

std::vector<ValueName> parse_value_names(std::string_view text, std::string_view id) {
  std::vector<ValueName> names;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(';'), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (part.size() < 19 || part[17] != ':' || kKinds.find(part[0]) == std::string_view::npos) {
      damaged(id, "its values have no names");
    }
    const auto hash = parse<std::uint64_t>(part.substr(1, 16), 16);
    const auto pieces = parse<std::uint32_t>(part.substr(18), 10);
    if (!hash || !pieces || *pieces == 0 || *pieces > kMaxPieces) {
      damaged(id, "its values have no names");
    }
    names.push_back({part[0], *hash, *pieces});
  }
  return names;
}

ValueName name_value(char kind, std::string_view id, std::string_view bytes) {
  const std::size_t pieces =
      std::max<std::size_t>(1, (bytes.size() + kPieceBytes - 1) / kPieceBytes);
  if (pieces > kMaxPieces) {
    throw Error(ErrorKind::kUnsupported, "a value of " + in_quotes(id) + " has " +
                                             std::to_string(bytes.size()) +
                                             " bytes; a bank on a Milvus server takes " +
                                             std::to_string(kMaxPieces * kPieceBytes));
  }
  return {kind, checksum64(bytes), static_cast<std::uint32_t>(pieces)};
}

std::vector<std::string> keys_of(const ValueName& name, std::string_view id) {
  std::vector<std::string> keys;
  for (std::uint32_t piece = 0; piece < name.num_pieces; ++piece) {
    keys.push_back(name.kind + hex(name.hash, 16) + hex(piece, 4) + ":" + std::string(id));
  }
  return keys;
}

std::string id_of_key(const std::string& key) {
  const std::size_t colon = key.find(':');
  return colon == std::string::npos ? std::string() : key.substr(colon + 1);
}

void append_pieces(const ValueName& name, std::string_view id, std::string_view bytes, Json& rows) {
  std::size_t at = 0;
  for (const std::string& key : keys_of(name, id)) {
    rows.push_back(piece_row(key, bytes.substr(at, kPieceBytes)));
    at = std::min(at + kPieceBytes, bytes.size());
  }
}

Json named_row(const std::string& key, std::string_view bytes) {
  if (bytes.size() > kPieceBytes) {
    throw Error(ErrorKind::kUnsupported,
                "the bank's " + key + " has " + std::to_string(bytes.size()) +
                    " bytes; a bank on a Milvus server takes " + std::to_string(kPieceBytes));
  }
  return piece_row(key, bytes);
}

Bytes decode_piece(const std::string& key, const std::string& text) {
  const auto bytes = from_base64(text);
  if (!bytes) {
    throw Error(ErrorKind::kCorruptData, "the value " + in_quotes(key) + " is damaged: no base64");
  }
  return {reinterpret_cast<const char*>(bytes->data()), bytes->size()};
}

const ValueName* StoredRow::find(char kind) const {
  const auto found = std::find_if(values.begin(), values.end(),
                                  [&](const ValueName& name) { return name.kind == kind; });
  return found == values.end() ? nullptr : &*found;
}

void StoredRow::count(BankState& state, int sign) const {
  Record record;
  record.popularity = popularity;
  record.posted_at = posted_at;
  record.split = split;
  if (has_video) record.video_path = "there";
  state.count(record, sign);
  state.count_tokens(visual_tokens, text_tokens, sign);
}

StoredRow summarise(const Record& labelled, const PopularityHistory* history,
                    std::optional<Duration> horizon) {
  const PopularityHistory own =
      history != nullptr ? *history : PopularityHistory{labelled.popularity, {}};
  const Label label = label_of({own.untimed, own.timed}, labelled.posted_at, horizon);
  StoredRow row;
  row.id = labelled.id;
  row.popularity = labelled.popularity;
  row.posted_at = labelled.posted_at;
  row.split = labelled.split;
  row.known_at = label.popularity && label.known_at ? label.known_at->ms : kNoMoment;
  row.first_known_at = first_known(labelled, history, horizon, label);
  row.has_video = !labelled.video_path.empty();
  return row;
}

Json to_json(const StoredRow& row, std::span<const float> vector) {
  std::vector<float> padded(vector.begin(), vector.end());
  padded.resize(static_cast<std::size_t>(stored_dim(static_cast<int>(vector.size()))), 0.0F);
  return {{"id", row.id},
          {"vector", std::move(padded)},
          {"popularity", row.popularity.value_or(-1.0)},
          {"posted_at", row.posted_at ? row.posted_at->ms : kNoMoment},
          {"split", static_cast<int>(row.split)},
          {"known_at", row.known_at},
          {"first_known_at", row.first_known_at},
          {"has_video", row.has_video},
          {"visual_tokens", row.visual_tokens},
          {"text_tokens", row.text_tokens},
          {"contents", to_text(row.values)}};
}

StoredRow parse_row(const MilvusRows& rows, std::size_t i) {
  const std::string& id = rows.texts("id")[i];
  const auto number = [&](const char* field) { return rows.whole_numbers(field)[i]; };
  const auto tokens = [&](const char* field) {
    const std::int64_t count = number(field);
    if (count < 0 || count > std::numeric_limits<std::int32_t>::max()) {
      damaged(id, "fewer than no tokens");
    }
    return static_cast<int>(count);
  };
  StoredRow row;
  row.id = id;
  const double popularity = rows.numbers("popularity")[i];
  if (popularity >= 0.0) row.popularity = popularity;
  const std::int64_t posted_at = number("posted_at");
  if (posted_at != kNoMoment) row.posted_at = Timestamp{posted_at};
  const std::int64_t split = number("split");
  if (split < 0 || split > 2) damaged(id, "no split has the number it names");
  row.split = static_cast<Split>(split);
  row.known_at = number("known_at");
  row.first_known_at = number("first_known_at");
  row.has_video = number("has_video") != 0;
  row.visual_tokens = tokens("visual_tokens");
  row.text_tokens = tokens("text_tokens");
  row.values = parse_value_names(rows.texts("contents")[i], id);
  if (row.find('R') == nullptr || row.find('F') == nullptr) {
    damaged(id, "it names no record or no features");
  }
  return row;
}

std::vector<StoredRow> parse_rows(const MilvusRows& rows) {
  std::vector<StoredRow> parsed;
  parsed.reserve(rows.num_rows());
  for (std::size_t i = 0; i < rows.num_rows(); ++i) parsed.push_back(parse_row(rows, i));
  return parsed;
}

std::string to_milvus_filter(const CandidateFilter& filter) {
  std::vector<std::string> terms;
  std::string splits;
  for (int split = 0; split < 3; ++split) {
    if (filter.takes_split[split]) splits += (splits.empty() ? "" : ",") + std::to_string(split);
  }
  const bool takes_all = filter.takes_split[0] && filter.takes_split[1] && filter.takes_split[2];
  if (!takes_all) terms.push_back("split in [" + splits + "]");
  if (filter.labelled_only) terms.emplace_back("popularity >= 0.0");
  const auto before = [&](const char* field, const std::optional<Timestamp>& moment) {
    if (moment) terms.push_back(field + (" < " + std::to_string(moment->ms)));
  };
  before("posted_at", filter.posted_before);
  if (filter.posted_before) terms.push_back("posted_at > " + std::to_string(kNoMoment));
  before("known_at", filter.label_known_before);
  before("first_known_at", filter.any_label_known_before);
  if (!filter.without_ids.empty()) {
    terms.push_back("not (" + milvus_any_of("id", filter.without_ids) + ")");
  }
  std::string text;
  for (const std::string& term : terms) text += (text.empty() ? "" : " and ") + term;
  return text;
}

IndexKind parse_index_kind(std::string_view text) {
  constexpr std::string_view kGraph = "HNSW";
  constexpr int kMinLinks = 2;
  constexpr int kMaxLinks = 2048;
  if (text == "Flat") return {"FLAT", 0};
  int num_links = 0;
  const bool is_graph = text.substr(0, kGraph.size()) == kGraph;
  const std::string_view number = is_graph ? text.substr(kGraph.size()) : std::string_view();
  const auto [end, fault] =
      std::from_chars(number.data(), number.data() + number.size(), num_links);
  if (fault != std::errc() || end != number.data() + number.size() || num_links < kMinLinks ||
      num_links > kMaxLinks) {
    throw Error(ErrorKind::kUnsupported,
                "a bank on a server has the index Flat or HNSW with 2 to 2048 links, such as "
                "HNSW32, not " +
                    in_quotes(text));
  }
  return {std::string(kGraph), num_links};
}

std::string to_index_kind(const MilvusIndex& index) {
  if (index.type == "FLAT") return "Flat";
  return index.type == "HNSW" ? index.type + std::to_string(index.num_links) : index.type;
}

int stored_dim(int retrieval_dim) { return std::max(kUnusedDim, retrieval_dim); }

std::string values_collection(const std::string& collection) { return collection + "_values"; }

std::vector<MilvusField> record_fields(int retrieval_dim) {
  return {{"id", MilvusType::kVarChar, static_cast<int>(kMaxIdBytes), true},
          {"vector", MilvusType::kFloatVector, stored_dim(retrieval_dim)},
          {"popularity", MilvusType::kDouble},
          {"posted_at", MilvusType::kInt64},
          {"split", MilvusType::kInt8},
          {"known_at", MilvusType::kInt64},
          {"first_known_at", MilvusType::kInt64},
          {"has_video", MilvusType::kBool},
          {"visual_tokens", MilvusType::kInt32},
          {"text_tokens", MilvusType::kInt32},
          {"contents", MilvusType::kVarChar, kMaxNamesBytes}};
}

std::vector<MilvusField> value_fields() {
  return {{"key", MilvusType::kVarChar, kMaxKeyBytes, true},
          {"value", MilvusType::kVarChar, kMaxTextBytes},
          {"unused", MilvusType::kFloatVector, kUnusedDim}};
}

const std::vector<std::string>& row_columns() {
  static const std::vector<std::string> kColumns = {
      "id",        "popularity",    "posted_at",   "split",   "known_at", "first_known_at",
      "has_video", "visual_tokens", "text_tokens", "contents"};
  return kColumns;
}

}  // namespace mmra::bank
