#include "mmra/bank/milvus/row_reader.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "mmra/bank/milvus/request_limits.h"

namespace mmra::bank {

std::vector<StoredRow> read_rows(const MilvusCollections& collections,
                                 std::span<const std::string> ids, MilvusMoment moment) {
  std::vector<StoredRow> rows;
  for_each_part(ids, kKeysPerRequest, [&](std::span<const std::string> some) {
    auto found = parse_rows(
        collections.query_rows(milvus_any_of("id", some), row_columns(), kNoLimit, moment));
    std::move(found.begin(), found.end(), std::back_inserter(rows));
  });
  return rows;
}

std::string filter_after(const std::string& id) { return "id > " + milvus_literal(id); }

std::vector<StoredRow> page_after(const MilvusCollections& collections, const std::string& last,
                                  MilvusMoment moment) {
  auto rows =
      parse_rows(collections.query_rows(filter_after(last), row_columns(), kRowsPerPage, moment));
  std::sort(rows.begin(), rows.end(),
            [](const StoredRow& a, const StoredRow& b) { return a.id < b.id; });
  return rows;
}

void for_each_row(const MilvusCollections& collections,
                  const std::function<void(const StoredRow&)>& visit) {
  const MilvusMoment moment = collections.now();
  std::string last;
  for (;;) {
    const std::vector<StoredRow> rows = page_after(collections, last, moment);
    if (rows.empty()) return;
    for (const StoredRow& row : rows) visit(row);
    last = rows.back().id;
  }
}

RowsWithVectors::RowsWithVectors(MilvusRows answer, int retrieval_dim)
    : answer_(std::move(answer)),
      rows_(parse_rows(answer_)),
      dim_(static_cast<std::size_t>(stored_dim(retrieval_dim))) {}

std::span<const float> RowsWithVectors::vector(std::size_t row) const {
  return answer_.vector("vector", row, dim_);
}

MilvusRows query_rows_with_vectors(const MilvusCollections& collections, const std::string& filter,
                                   int limit, MilvusMoment moment) {
  std::vector<std::string> fields = row_columns();
  fields.emplace_back("vector");
  return collections.query_rows(filter, fields, limit, moment);
}

RowsWithVectors read_rows_with_vectors(const MilvusCollections& collections,
                                       const std::string& filter, int limit, int retrieval_dim,
                                       MilvusMoment moment) {
  return {query_rows_with_vectors(collections, filter, limit, moment), retrieval_dim};
}

int rows_per_vector_page(int retrieval_dim) {
  const auto dim = static_cast<std::size_t>(stored_dim(retrieval_dim));
  return static_cast<int>(
      std::clamp<std::size_t>(kFloatsPerRequest / dim, 1, std::size_t{kRowsPerPage}));
}

}  // namespace mmra::bank
