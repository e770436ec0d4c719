#include "mmra/bank/milvus/doubled_rows.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "mmra/bank/milvus/bank_head.h"
#include "mmra/bank/milvus/client.h"
#include "mmra/bank/milvus/record_reader.h"
#include "mmra/bank/milvus/request_limits.h"
#include "mmra/bank/milvus/row_reader.h"

namespace mmra::bank {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kHealedTogether = 32;

/// Of these ids the row of each that is to stay, as it is written.
std::map<std::string, Json> rows_that_stay(const MilvusCollections& collections,
                                           std::span<const std::string> ids, MilvusMoment moment) {
  // A query shows one of each; the others by leaving out what was seen. The last one whole stays.
  const int dim = read_schema(collections, moment).retrieval_dim;
  std::map<std::string, Json> stays;
  std::vector<std::string> seen;
  for (;;) {
    std::string filter = milvus_any_of("id", ids);
    if (!seen.empty()) filter += " and not (" + milvus_any_of("contents", seen) + ")";
    const RowsWithVectors found =
        read_rows_with_vectors(collections, filter, kNoLimit, dim, moment);
    const std::vector<StoredRow>& rows = found.rows();
    if (rows.empty()) return stays;
    const auto values = read_values(collections, rows, kRecordKinds, moment);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!stays.contains(rows[i].id) || !values[i].empty()) {
        stays[rows[i].id] = to_json(rows[i], found.vector(i));
      }
      seen.push_back(to_text(rows[i].values));
    }
  }
}

void heal_among(std::span<const std::string> ids, MilvusMoment moment,
                MilvusCollections& collections) {
  if (collections.count_rows(ids, moment) == static_cast<std::int64_t>(ids.size())) return;
  if (ids.size() > kHealedTogether) {
    heal_among(ids.first(ids.size() / 2), moment, collections);
    heal_among(ids.subspan(ids.size() / 2), moment, collections);
    return;
  }
  Json again = Json::array();
  for (auto& [id, row] : rows_that_stay(collections, ids, moment)) again.push_back(std::move(row));
  collections.upsert_rows(again, kHealedTogether);
}

}  // namespace

void heal_doubled_rows(std::span<const std::string> ids, MilvusCollections& collections) {
  const MilvusMoment moment = collections.now();
  for_each_part(ids, kKeysPerRequest,
                [&](std::span<const std::string> some) { heal_among(some, moment, collections); });
}

}  // namespace mmra::bank
