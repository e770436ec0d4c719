#include "mmra/bank/milvus/bank_head.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <span>

#include "mmra/bank/milvus/stored_row.h"
#include "mmra/bank/record_codec.h"
#include "mmra/core/error.h"
#include "mmra/core/json_view.h"

namespace mmra::bank {
namespace {

using Json = nlohmann::json;

constexpr const char* kSchemaKey = "M:schema";
constexpr const char* kStateKey = "M:state";

std::uint64_t random_id() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

std::optional<Bytes> find_named(const MilvusCollections& collections, const std::string& key,
                                MilvusMoment moment) {
  const MilvusRows found = collections.query_pieces(std::span(&key, 1), moment);
  if (found.num_rows() == 0) return std::nullopt;
  return decode_piece(key, found.texts("value").front());
}

std::string require_named(const MilvusCollections& collections, const std::string& key,
                          MilvusMoment moment) {
  const auto value = find_named(collections, key, moment);
  if (!value) {
    throw Error(ErrorKind::kCorruptData, "the memory bank " + collections.bank() +
                                             " is damaged: it has no " + key + "; push it again");
  }
  return decode_text(key, std::as_bytes(std::span(*value)));
}

void write_named(const std::string& key, const std::string& text, MilvusCollections& collections) {
  collections.upsert_values(Json::array({named_row(key, encode_text(key, text))}));
}

}  // namespace

std::string to_json_text(const BankHead& head) {
  Json json = Json::parse(to_json_text(head.state));
  if (head.is_writing) json["writing"] = true;
  if (!head.is_settled) json["settled"] = false;
  return json.dump();
}

BankHead parse_head(const std::string& text, const std::string& bank) {
  BankHead head{parse_state(text, bank)};
  const JsonView json = JsonView::parse(text, "the state of the memory bank " + bank);
  head.is_writing = json.boolean_or("writing", head.is_writing);
  head.is_settled = json.boolean_or("settled", head.is_settled);
  return head;
}

BankSchema read_schema(const MilvusCollections& collections, MilvusMoment moment) {
  return parse_schema(require_named(collections, kSchemaKey, moment), collections.bank());
}

BankHead read_head(const MilvusCollections& collections, MilvusMoment moment) {
  return parse_head(require_named(collections, kStateKey, moment), collections.bank());
}

void write_schema(const BankSchema& schema, MilvusCollections& collections) {
  write_named(kSchemaKey, to_json_text(schema), collections);
}

void write_head(const BankHead& head, MilvusCollections& collections) {
  write_named(kStateKey, to_json_text(head), collections);
}

void begin_generation(BankState& state) {
  ++state.generation;
  state.commit_id = random_id();
}

}  // namespace mmra::bank
