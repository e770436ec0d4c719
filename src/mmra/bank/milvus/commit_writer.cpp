#include "mmra/bank/milvus/commit_writer.h"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "mmra/bank/milvus/client.h"
#include "mmra/bank/milvus/record_reader.h"
#include "mmra/bank/milvus/recovery.h"
#include "mmra/bank/milvus/request_limits.h"
#include "mmra/bank/milvus/row_reader.h"
#include "mmra/bank/milvus/stored_row.h"

namespace mmra::bank {
namespace {

using Json = nlohmann::json;

bool replaces_a_record(const RecordChanges& changes) {
  return std::any_of(changes.begin(), changes.end(),
                     [](const auto& entry) { return entry.second.old && entry.second.row; });
}

}  // namespace

CommitWriter::CommitWriter(MilvusCollections& collections)
    : collections_(collections), lease_(collections.client(), collections.values()) {}

void CommitWriter::prepare() {
  if (has_failed_) commit_recovery();
}

RecordChanges CommitWriter::begin(std::span<const std::string> ids) const {
  RecordChanges changes;
  for (const std::string& id : ids) changes[id];
  std::vector<std::string> unique;
  unique.reserve(changes.size());
  for (const auto& [id, change] : changes) unique.push_back(id);
  for (StoredRow& row : read_rows(collections_, unique, MilvusCollections::seen())) {
    RecordChange& change = changes.at(row.id);
    change.old = row;
    change.row = std::move(row);
  }
  std::vector<StoredRow> rows;
  for (const auto& [id, change] : changes) {
    if (change.old) rows.push_back(*change.old);
  }
  const auto histories = read_histories(collections_, rows, MilvusCollections::seen());
  for (std::size_t i = 0; i < rows.size(); ++i) changes.at(rows[i].id).history = histories[i];
  return changes;
}

void CommitWriter::load_vectors(RecordChanges& changes) const {
  std::vector<std::string> ids;
  for (const auto& [id, change] : changes) {
    if (change.row && change.vector.empty()) ids.push_back(id);
  }
  const BankSchema schema = read_schema(collections_, MilvusCollections::seen());
  const auto dim = static_cast<std::size_t>(stored_dim(schema.retrieval_dim));
  const auto per_request = static_cast<std::size_t>(rows_per_vector_page(schema.retrieval_dim));
  for_each_part(ids, per_request, [&](std::span<const std::string> some) {
    const MilvusRows rows = collections_.query_rows(milvus_any_of("id", some), {"id", "vector"},
                                                    kNoLimit, MilvusCollections::seen());
    for (std::size_t i = 0; i < rows.num_rows(); ++i) {
      const auto vector = rows.vector("vector", i, dim);
      changes.at(rows.texts("id")[i]).vector.assign(vector.begin(), vector.end());
    }
  });
}

void CommitWriter::commit(const RecordChanges& changes, BankSchema* with_counts) {
  BankHead head = read_head(collections_, MilvusCollections::seen());
  begin_generation(head.state);
  is_settled_ = false;
  has_failed_ = true;
  write_head({head.state, /*is_writing=*/true, /*is_settled=*/false}, collections_);
  if (with_counts != nullptr) raise_version(*with_counts);
  write_values(changes);
  if (replaces_a_record(changes)) collections_.flush_values();
  write_rows(changes, head.state);
  note_stale(changes, stale_);
  finish_commit(head.state);
}

void CommitWriter::commit_schema(const BankSchema& schema) {
  is_settled_ = false;
  write_schema(schema, collections_);
  finish_commit(read_head(collections_, MilvusCollections::seen()).state);
}

void CommitWriter::commit_recovery(std::span<const std::string> damaged) {
  has_failed_ = true;
  collections_.erase_rows(damaged);
  const BankState recovered = recover(collections_);
  stale_.clear();
  is_settled_ = true;
  finish_commit(recovered);
}

void CommitWriter::flush() {
  if (is_settled_) return;
  collections_.flush();
  collections_.erase_values(std::vector(stale_.begin(), stale_.end()));
  write_head({read_head(collections_, MilvusCollections::seen()).state}, collections_);
  static_cast<void>(collections_.now());
  stale_.clear();
  is_settled_ = true;
}

void CommitWriter::raise_version(BankSchema& schema) {
  if (schema.format_version >= kFormatVersionWithHistories) return;
  schema.format_version = kFormatVersionWithHistories;
  write_schema(schema, collections_);
}

void CommitWriter::write_values(const RecordChanges& changes) {
  Json pieces = Json::array();
  for (const auto& [id, change] : changes) {
    if (!change.row) continue;
    for (const ValueName& name : change.row->values) {
      const auto bytes = change.new_values.find(name.kind);
      if (bytes != change.new_values.end()) append_pieces(name, id, bytes->second, pieces);
    }
    if (pieces.size() < kPiecesPerRequest) continue;
    collections_.upsert_values(pieces);
    pieces = Json::array();
  }
  collections_.upsert_values(pieces);
}

void CommitWriter::write_rows(const RecordChanges& changes, BankState& state) {
  std::vector<std::string> removed;
  Json rows = Json::array();
  std::size_t row_floats = 1;
  for (const auto& [id, change] : changes) {
    if (change.old) change.old->count(state, -1);
    if (!change.row) {
      removed.push_back(id);
      continue;
    }
    change.row->count(state, +1);
    row_floats = std::max(row_floats, change.vector.size());
    rows.push_back(to_json(*change.row, change.vector));
  }
  collections_.upsert_rows(rows, std::max<std::size_t>(1, kFloatsPerRequest / row_floats));
  collections_.erase_rows(removed);
}

void CommitWriter::finish_commit(BankState state) {
  begin_generation(state);
  write_head({state, /*is_writing=*/false, is_settled_}, collections_);
  static_cast<void>(collections_.now());
  has_failed_ = false;
}

}  // namespace mmra::bank
