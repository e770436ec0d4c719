#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <stop_token>
#include <vector>

#include "mmra/bank/feature_table.h"
#include "mmra/baselines/baseline.h"
#include "mmra/core/float16.h"
#include "mmra/core/progress.h"
#include "mmra/model/predictor.h"

namespace mmra::baselines::testing {

/// A table and its rows divided in those that train, that choose, and that are predicted.
struct MadeRows {
  bank::FeatureTable table{0, 0};
  std::vector<float> targets;
  model::LabelledBatch train;
  model::LabelledBatch stop;
  model::Batch test;
};

/// Rows [begin, end) with their `k` instances: the rows after each, and none every fifth time.
inline model::Batch rows_of(const bank::FeatureTable& table, int begin, int end, int k) {
  model::Batch batch;
  batch.queries = &table;
  batch.memory = &table;
  batch.k = k;
  for (int row = begin; row < end; ++row) {
    batch.query_rows.push_back(row);
    for (int j = 1; j <= k; ++j) {
      const bool none = row % 5 == 0;
      const auto instance =
          static_cast<std::int32_t>((row + j) % static_cast<int>(table.num_rows()));
      batch.instance_rows.push_back(none ? -1 : instance);
      batch.similarities.push_back(none ? 0.0F : 1.0F / static_cast<float>(j));
    }
  }
  return batch;
}

/// The targets of each part from those of all rows. `rows` must stay where it is afterwards.
inline void divide(MadeRows& rows, int num_train, int num_stop, int k = 3) {
  const int all = static_cast<int>(rows.table.num_rows());
  const auto labelled = [&](int begin, int end) {
    model::LabelledBatch part{rows_of(rows.table, begin, end, k), {}};
    part.targets.assign(rows.targets.begin() + begin, rows.targets.begin() + end);
    return part;
  };
  rows.train = labelled(0, num_train);
  rows.stop = labelled(num_train, num_train + num_stop);
  rows.test = rows_of(rows.table, num_train + num_stop, all, k);
}

/// 90 rows of up to 3 visual tokens [4] and 2 text tokens [5]: every fourth without a video, every
/// seventh without a title, row 88 without both. The label is mostly the first frame's first value.
inline void make_rows(MadeRows& rows) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  rows.table = bank::FeatureTable(4, 5);
  for (int row = 0; row < 90; ++row) {
    const int num_visual = row % 4 == 0 ? 0 : 1 + row % 3;
    const int num_text = row % 7 == 6 || row == 88 ? 0 : 1 + row % 2;
    std::vector<Float16Bits> visual(static_cast<std::size_t>(num_visual) * 4);
    std::vector<Float16Bits> text(static_cast<std::size_t>(num_text) * 5);
    for (Float16Bits& value : visual) value = float_to_half(normal(random));
    for (Float16Bits& value : text) value = float_to_half(normal(random));
    const float signal = visual.empty() ? 0.0F : half_to_float(visual[0]);
    rows.targets.push_back(5.0F + 2.0F * signal + 0.1F * normal(random));
    rows.table.append({num_visual, 4, visual}, {num_text, 5, text},
                      std::exp2(static_cast<double>(rows.targets.back())));
  }
  divide(rows, 60, 20);
}

inline BaselineConfig made_config(Kind kind) {
  BaselineConfig config;
  config.kind = kind;
  config.visual_dim = 4;
  config.text_dim = 5;
  config.k = 3;
  // Fewer and smaller trees than the default: enough for made rows, and quick.
  config.hyfea.num_rounds = 60;
  config.hyfea.max_depth = 4;
  config.hyfea.learning_rate = 0.1;
  return config;
}

inline void fit(model::FittedPredictor& predictor, const MadeRows& rows,
                const std::stop_token& stop = {}) {
  SilentProgress silent;
  predictor.fit(rows.train, rows.stop, stop, silent);
}

/// One query of a batch as a batch of its own.
inline model::Batch single(const model::Batch& batch, std::size_t index) {
  model::Batch one = batch;
  const auto k = static_cast<std::size_t>(batch.k);
  one.query_rows = {batch.query_rows[index]};
  one.instance_rows.clear();
  one.similarities.clear();
  for (std::size_t j = index * k; j < (index + 1) * k; ++j) {
    one.instance_rows.push_back(batch.instance_rows[j]);
    one.similarities.push_back(batch.similarities[j]);
  }
  return one;
}

}  // namespace mmra::baselines::testing
