#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/bank/milvus/client.h"
#include "mmra/bank/milvus/collections.h"
#include "mmra/bank/vector_table.h"

namespace mmra::bank {

/// What a table is made from, read from a server in ascending order of ids.
class TableRows {
 public:
  explicit TableRows(int retrieval_dim) : retrieval_dim_(retrieval_dim) {}

  /// Appends what `filter` admits, up to `limit` rows, and says the last id; "": there was nothing.
  std::string append(const MilvusCollections& collections, const std::string& filter, int limit,
                     MilvusMoment moment);
  void append_all(const MilvusCollections& collections);

  [[nodiscard]] std::shared_ptr<const BankTable> table(const CommitStamp& stamp) const;
  /// save_table() of all of it.
  [[nodiscard]] std::shared_ptr<const BankTable> save(const std::filesystem::path& file,
                                                      const CommitStamp& stamp) const;

 private:
  [[nodiscard]] ForEachVector for_each_vector() const;

  int retrieval_dim_;
  TableColumns columns_;
  std::vector<float> vectors_;
};

}  // namespace mmra::bank
