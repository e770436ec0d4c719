#include "mmra/bank/snapshot.h"

#include <random>

#include "mmra/bank/text_checks.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

constexpr std::string_view kSchemaKey = "schema";
constexpr std::string_view kStateKey = "state";

std::uint64_t random_id() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

}  // namespace

BankSchema Snapshot::schema() const { return parse_schema(text(kSchemaKey), bank_); }

BankState Snapshot::state() const { return parse_state(text(kStateKey), bank_); }

void Snapshot::set_schema(const BankSchema& schema) {
  transaction_.put(Database::kMeta, kSchemaKey, encode_text(kSchemaKey, to_json_text(schema)));
}

void Snapshot::commit(BankState state) {
  ++state.generation;
  state.commit_id = random_id();
  transaction_.put(Database::kMeta, kStateKey, encode_text(kStateKey, to_json_text(state)));
  transaction_.commit();
}

std::optional<Record> Snapshot::find(std::string_view id) const {
  const auto value = transaction_.get(Database::kRecords, id);
  if (!value) return std::nullopt;
  return decode_record(id, *value);
}

std::optional<PopularityHistory> Snapshot::find_history(std::string_view id) const {
  const auto value = transaction_.get(Database::kHistories, id);
  if (!value) return std::nullopt;
  return decode_history(id, *value);
}

ByteView Snapshot::features_value(std::string_view id) const {
  const auto value = transaction_.get(Database::kFeatures, id);
  if (!value) {
    throw Error(ErrorKind::kCorruptData, "the record " + in_quotes(id) +
                                             " has no features in the bank " + bank_ +
                                             "; remove it and ingest it again");
  }
  return *value;
}

std::string Snapshot::text(std::string_view key) const {
  const auto value = transaction_.get(Database::kMeta, key);
  if (!value) {
    throw Error(ErrorKind::kCorruptData, "the memory bank " + bank_ + " is damaged: it has no " +
                                             std::string(key) + "; restore it from a backup");
  }
  return decode_text(key, *value);
}

}  // namespace mmra::bank
