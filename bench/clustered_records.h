#pragma once

#include <cstddef>
#include <string>

#include "clustered_table.h"
#include "mmra/bank/memory_bank.h"

namespace mmra::bench {

/// Of records that have vectors of `dim` already and need no encoders.
[[nodiscard]] inline bank::BankSchema schema_of(int dim) {
  bank::BankSchema schema;
  schema.encoders_name = "none";
  schema.encoders_fingerprint = "none";
  schema.num_frames = 1;
  schema.visual_dim = dim;
  schema.text_dim = dim;
  schema.retrieval_dim = dim;
  return schema;
}

/// A row of the table as a record of its own, with so many text tokens of zeros.
[[nodiscard]] inline bank::StoredRecord record_of(const ClusteredTable& table, std::size_t row,
                                                  int num_tokens) {
  const auto dim = static_cast<std::size_t>(table.retrieval_dim());
  bank::StoredRecord stored;
  stored.record.id = "video-" + std::to_string(100'000'000 + row);
  stored.record.title = "a title of the usual length, number " + std::to_string(row);
  stored.record.popularity = static_cast<double>(row % 1000);
  stored.record.posted_at = table.posted_at(row);
  const auto vector = table.retrieval_vectors().subspan(row * dim, dim);
  stored.features.retrieval_vector.assign(vector.begin(), vector.end());
  stored.features.text_tokens.num_tokens = num_tokens;
  stored.features.text_tokens.dim = table.retrieval_dim();
  stored.features.text_tokens.values.resize(static_cast<std::size_t>(num_tokens) * dim);
  return stored;
}

}  // namespace mmra::bench
