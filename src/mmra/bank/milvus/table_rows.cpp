#include "mmra/bank/milvus/table_rows.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <numeric>
#include <optional>
#include <span>

#include "mmra/bank/milvus/record_reader.h"
#include "mmra/bank/milvus/row_reader.h"
#include "mmra/bank/saved_table.h"

namespace mmra::bank {
namespace {

std::vector<std::size_t> order_of_ids(const std::vector<StoredRow>& rows) {
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return rows[a].id < rows[b].id; });
  return order;
}

/// What a table has of a record.
Record shown_of(const StoredRow& row) {
  Record record;
  record.id = row.id;
  record.popularity = row.popularity;
  record.posted_at = row.posted_at;
  record.split = row.split;
  return record;
}

}  // namespace

std::string TableRows::append(const MilvusCollections& collections, const std::string& filter,
                              int limit, MilvusMoment moment) {
  const RowsWithVectors page =
      read_rows_with_vectors(collections, filter, limit, retrieval_dim_, moment);
  const std::vector<StoredRow>& rows = page.rows();
  if (rows.empty()) return {};
  const std::vector<std::size_t> order = order_of_ids(rows);
  const std::vector<std::optional<PopularityHistory>> histories =
      read_histories(collections, rows, moment);
  for (const std::size_t i : order) {
    columns_.append(shown_of(rows[i]), histories[i] ? &*histories[i] : nullptr);
    const auto vector = page.vector(i).first(static_cast<std::size_t>(retrieval_dim_));
    vectors_.insert(vectors_.end(), vector.begin(), vector.end());
  }
  return rows[order.back()].id;
}

void TableRows::append_all(const MilvusCollections& collections) {
  const int limit = rows_per_vector_page(retrieval_dim_);
  const MilvusMoment moment = collections.now();
  std::string last;
  do {
    last = append(collections, filter_after(last), limit, moment);
  } while (!last.empty());
}

std::shared_ptr<const BankTable> TableRows::table(const CommitStamp& stamp) const {
  return make_vector_table(stamp, columns_, retrieval_dim_, for_each_vector());
}

std::shared_ptr<const BankTable> TableRows::save(const std::filesystem::path& file,
                                                 const CommitStamp& stamp) const {
  return save_table(file, stamp, columns_, retrieval_dim_, for_each_vector());
}

ForEachVector TableRows::for_each_vector() const {
  return [this](const std::function<void(ByteView)>& visit) {
    const auto dim = static_cast<std::size_t>(retrieval_dim_);
    for (std::size_t row = 0; row < columns_.num_rows(); ++row) {
      visit(std::as_bytes(std::span(vectors_).subspan(row * dim, dim)));
    }
  };
}

}  // namespace mmra::bank
