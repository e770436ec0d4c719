#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "mmra/bank/feature_table.h"
#include "mmra/core/float16.h"
#include "mmra/model/predictor.h"

namespace mmra::testing {

/// Random tokens [count × dim], as stored.
inline std::vector<Float16Bits> made_tokens(std::mt19937& random, int count, int dim) {
  std::normal_distribution<float> normal;
  std::vector<Float16Bits> values;
  for (int i = 0; i < count * dim; ++i) values.push_back(float_to_half(normal(random)));
  return values;
}

inline void append_row(bank::FeatureTable& table, int num_visual,
                       const std::vector<Float16Bits>& visual, int num_text,
                       const std::vector<Float16Bits>& text, std::optional<double> popularity) {
  table.append({num_visual, table.visual_dim(), visual}, {num_text, table.text_dim(), text},
               popularity);
}

/// `rows` rows of which every fifth has no video, every seventh no title, and of the others the
/// lengths differ (at most `max_visual` and `max_text` tokens).
inline bank::FeatureTable made_table(int rows, int visual_dim, int text_dim, int max_visual,
                                     int max_text, unsigned seed) {
  std::mt19937 random(seed);
  bank::FeatureTable table(visual_dim, text_dim);
  for (int row = 0; row < rows; ++row) {
    const int num_visual = row % 5 == 4 ? 0 : 1 + row % max_visual;
    const int num_text = row % 7 == 6 ? 0 : 1 + (row * 3) % max_text;
    append_row(table, num_visual, made_tokens(random, num_visual, visual_dim), num_text,
               made_tokens(random, num_text, text_dim), 1.0 + static_cast<double>(random() % 1000));
  }
  return table;
}

/// Queries 0 … num_queries − 1 with k random instances each; the last query has none, and others
/// have gaps.
inline model::Batch made_batch(const bank::FeatureTable& table, int num_queries, int k,
                               unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> similarity(0.0F, 1.0F);
  model::Batch batch;
  batch.queries = &table;
  batch.memory = &table;
  batch.k = k;
  for (int query = 0; query < num_queries; ++query) {
    batch.query_rows.push_back(query);
    for (int j = 0; j < k; ++j) {
      const bool none = query == num_queries - 1 || (query % 3 == 1 && j + 1 == k);
      batch.instance_rows.push_back(none ? -1
                                         : static_cast<std::int32_t>(random() % table.num_rows()));
      batch.similarities.push_back(none ? 0.0F : similarity(random));
    }
  }
  return batch;
}

/// One query of a batch as a batch of its own.
inline model::Batch single(const model::Batch& batch, std::size_t index) {
  model::Batch one = batch;
  const auto k = static_cast<std::ptrdiff_t>(batch.k);
  const auto begin = static_cast<std::ptrdiff_t>(index) * k;
  one.query_rows = {batch.query_rows[index]};
  one.instance_rows.assign(batch.instance_rows.begin() + begin,
                           batch.instance_rows.begin() + begin + k);
  one.similarities.assign(batch.similarities.begin() + begin,
                          batch.similarities.begin() + begin + k);
  return one;
}

}  // namespace mmra::testing
