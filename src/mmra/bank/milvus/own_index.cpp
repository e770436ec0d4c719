#include "mmra/bank/milvus/own_index.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "mmra/bank/label_table.h"
#include "mmra/bank/milvus/bank_head.h"
#include "mmra/bank/milvus/client.h"
#include "mmra/bank/milvus/request_limits.h"
#include "mmra/bank/milvus/row_reader.h"
#include "mmra/bank/milvus/table_rows.h"

namespace mmra::bank {
namespace {

using Json = nlohmann::json;

/// How many records a graph's walk keeps in view at least (docs/milvus.md: what that finds).
constexpr int kLeastWidth = 128;
constexpr int kBuildWidth = 200;
/// While an index is built, it is looked at so often.
constexpr std::chrono::milliseconds kIndexPolled{500};

std::shared_ptr<const BankTable> table_of(const MilvusCollections& collections,
                                          const std::vector<std::string>& ids,
                                          const BankSchema& schema) {
  TableRows rows(schema.retrieval_dim);
  const auto per_request = static_cast<std::size_t>(rows_per_vector_page(schema.retrieval_dim));
  for_each_part(ids, per_request, [&](std::span<const std::string> some) {
    rows.append(collections, milvus_any_of("id", some), kNoLimit, MilvusCollections::seen());
  });
  auto table = rows.table({});
  const auto horizon = horizon_of(schema.popularity_horizon);
  return horizon ? with_horizon(std::move(table), *horizon) : table;
}

}  // namespace

std::string kind_of_own_index(const MilvusCollections& collections) {
  const auto index = collections.find_index();
  return index ? to_index_kind(*index) : "none";
}

void make_own_index(const IndexKind& kind, const std::stop_token& stop,
                    MilvusCollections& collections) {
  collections.flush(stop);
  collections.replace_index(kind.type, kind.num_links == 0 ? Json::object()
                                                           : Json{{"M", kind.num_links},
                                                                  {"efConstruction", kBuildWidth}});
  for (;;) {
    const auto index = collections.find_index();
    if (index && index->is_built && index->num_indexed == index->num_rows) return;
    collections.client().wait(kIndexPolled, stop);
  }
}

Candidates search_own_index(const MilvusCollections& collections, std::span<const float> vector,
                            const CandidateFilter& filter, int limit) {
  const BankSchema schema = read_schema(collections, MilvusCollections::seen());
  std::vector<float> padded(vector.begin(), vector.end());
  padded.resize(static_cast<std::size_t>(stored_dim(schema.retrieval_dim)), 0.0F);
  const int asked = std::min(limit, kMaxCandidates);
  const auto hits = collections.search(padded, to_milvus_filter(filter), asked,
                                       {{"ef", std::max(asked, kLeastWidth)}});
  Candidates found;
  if (hits.size() >= static_cast<std::size_t>(asked)) found.others_at_most = hits.back().score;
  std::vector<std::string> ids;
  ids.reserve(hits.size());
  for (const MilvusHit& hit : hits) ids.push_back(hit.key);
  std::sort(ids.begin(), ids.end());
  found.table = table_of(collections, ids, schema);
  return found;
}

}  // namespace mmra::bank
