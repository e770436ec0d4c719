#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "mmra/bank/milvus/client.h"
#include "mmra/bank/milvus/collections.h"
#include "mmra/bank/milvus/stored_row.h"

namespace mmra::bank {

// Reading the rows of records, without their values. All of it throws Error{kCorruptData} where a
// row is damaged.

/// Those of `ids` that are there.
[[nodiscard]] std::vector<StoredRow> read_rows(const MilvusCollections& collections,
                                               std::span<const std::string> ids,
                                               MilvusMoment moment);

/// The filter of all rows behind this id.
[[nodiscard]] std::string filter_after(const std::string& id);

/// Up to kRowsPerPage rows behind `last`, ascending; none: there are no others.
[[nodiscard]] std::vector<StoredRow> page_after(const MilvusCollections& collections,
                                                const std::string& last, MilvusMoment moment);

/// Visits all rows, ascending.
void for_each_row(const MilvusCollections& collections,
                  const std::function<void(const StoredRow&)>& visit);

/// Rows with their vectors, in the order of the server's answer.
class RowsWithVectors {
 public:
  RowsWithVectors(MilvusRows answer, int retrieval_dim);

  [[nodiscard]] const std::vector<StoredRow>& rows() const { return rows_; }
  /// Padded to stored_dim().
  [[nodiscard]] std::span<const float> vector(std::size_t row) const;

 private:
  MilvusRows answer_;
  std::vector<StoredRow> rows_;
  std::size_t dim_;
};

[[nodiscard]] RowsWithVectors read_rows_with_vectors(const MilvusCollections& collections,
                                                     const std::string& filter, int limit,
                                                     int retrieval_dim, MilvusMoment moment);
/// The same as the server says it, for whom a damaged row is no end.
[[nodiscard]] MilvusRows query_rows_with_vectors(const MilvusCollections& collections,
                                                 const std::string& filter, int limit,
                                                 MilvusMoment moment);
/// How many of them one request asks for.
[[nodiscard]] int rows_per_vector_page(int retrieval_dim);

}  // namespace mmra::bank
