#include "mmra/bank/milvus/table_cache.h"

#include <system_error>
#include <utility>

#include "mmra/bank/label_table.h"
#include "mmra/bank/milvus/bank_head.h"
#include "mmra/bank/milvus/table_rows.h"
#include "mmra/bank/saved_table.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

constexpr int kAttempts = 5;

}  // namespace

TableCache::TableCache(const MilvusCollections& collections, std::filesystem::path file)
    : collections_(collections), file_(std::move(file)) {}

std::shared_ptr<const BankTable> TableCache::table() {
  const std::scoped_lock lock(mutex_);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const CommitStamp stamp = last_commit();
    if (table_ != nullptr && stamp_ == stamp) return table_;
    table_ = nullptr;  // its memory goes before the new one's comes
    const BankSchema schema = read_schema(collections_, MilvusCollections::seen());
    auto table = map_or_make(schema, stamp);
    if (last_commit() != stamp) continue;  // it was written meanwhile
    if (const auto horizon = horizon_of(schema.popularity_horizon)) {
      table = with_horizon(std::move(table), *horizon);
    }
    table_ = std::move(table);
    stamp_ = stamp;
    return table_;
  }
  throw Error(ErrorKind::kIo, "the memory bank " + collections_.bank() +
                                  " is being written while it is read; wait until that is done");
}

void TableCache::forget() {
  const std::scoped_lock lock(mutex_);
  table_ = nullptr;
  std::error_code ignored;
  std::filesystem::remove(file_, ignored);
}

CommitStamp TableCache::last_commit() const {
  const BankHead head = read_head(collections_, MilvusMoment::latest());
  return {head.state.generation, head.state.commit_id};
}

std::shared_ptr<const BankTable> TableCache::map_or_make(const BankSchema& schema,
                                                         const CommitStamp& stamp) const {
  if (auto table = find_saved_table(file_, stamp, schema.retrieval_dim)) return table;
  TableRows rows(schema.retrieval_dim);
  rows.append_all(collections_);
  return rows.save(file_, stamp);
}

}  // namespace mmra::bank
