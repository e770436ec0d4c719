#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "../retrieval/memory_table.h"
#include "mmra/bank/feature_table.h"
#include "mmra/core/progress.h"
#include "mmra/model/predictor.h"
#include "mmra/plus/plus_predictor.h"

namespace mmra::plus::testing {

struct MadeClip {
  std::string title;
  float label = 0.0F;  ///< log2
  std::vector<float> vector = {0.0F, 0.0F, 0.0F};
  bank::Context context;
  std::optional<Timestamp> posted_at;
  std::vector<float> visual_mean;
};

/// Clips as a bank's tables give them: the first rows train, the next are validation's, the rest
/// test's.
class MadeBank {
 public:
  MadeBank(std::vector<MadeClip> clips, std::size_t num_train, std::size_t num_valid)
      : num_train_(num_train), num_valid_(num_valid) {
    std::vector<mmra::testing::MemoryTable::Row> rows;
    for (std::size_t i = 0; i < clips.size(); ++i) {
      MadeClip& clip = clips[i];
      const auto split = i < num_train               ? bank::Split::kTrain
                         : i < num_train + num_valid ? bank::Split::kValid
                                                     : bank::Split::kTest;
      labels_.push_back(clip.label);
      rows.push_back({std::to_string(100000 + i), clip.vector,
                      std::exp2(static_cast<double>(clip.label)), clip.posted_at, split});
      features_.append({0, 0, {}}, {0, 0, {}}, std::exp2(static_cast<double>(clip.label)));
      features_.append_details(
          {clip.title, clip.visual_mean, clip.vector, clip.context, clip.posted_at});
    }
    table_ = std::make_unique<mmra::testing::MemoryTable>(3, std::move(rows));
  }

  [[nodiscard]] model::LabelledBatch train() const { return rows(0, num_train_); }
  [[nodiscard]] model::LabelledBatch stop() const {
    return rows(num_train_, num_train_ + num_valid_);
  }
  [[nodiscard]] model::LabelledBatch test() const {
    return rows(num_train_ + num_valid_, labels_.size());
  }
  /// Rows [begin, end), which retrieve from train.
  [[nodiscard]] model::LabelledBatch rows(std::size_t begin, std::size_t end) const {
    model::LabelledBatch part;
    part.batch.queries = &features_;
    part.batch.memory = &features_;
    part.batch.own_retrieval = {table_.get(), retrieval::RetrievalPolicy::honest_training(), {}};
    for (std::size_t row = begin; row < end; ++row) {
      part.batch.query_rows.push_back(static_cast<std::int32_t>(row));
      part.batch.own_retrieval->queries.push_back({row, table_->posted_at(row)});
      part.targets.push_back(labels_[row]);
    }
    return part;
  }
  [[nodiscard]] const bank::FeatureTable& features() const { return features_; }

 private:
  std::size_t num_train_;
  std::size_t num_valid_;
  bank::FeatureTable features_{0, 0};
  std::vector<float> labels_;
  std::unique_ptr<mmra::testing::MemoryTable> table_;
};

/// Small enough for tests: few folds, quick trees.
inline PlusConfig made_config() {
  PlusConfig config;
  config.retrieval_dim = 3;
  config.num_folds = 5;
  config.trees.learning_rate = 0.1;
  config.trees.max_rounds = 200;
  config.trees.patience = 20;
  config.trees.min_child_weight = 5.0;
  return config;
}

inline void fit(PlusPredictor& predictor, const MadeBank& bank, const std::stop_token& stop = {}) {
  SilentProgress silent;
  predictor.fit(bank.train(), bank.stop(), stop, silent);
}

/// Mean squared error over the labels' variance.
inline double nmse_of(PlusPredictor& predictor, const model::LabelledBatch& rows) {
  const std::vector<float> values = predictor.predict(rows.batch);
  double mean = 0.0;
  for (const float label : rows.targets) mean += label / static_cast<double>(rows.targets.size());
  double error = 0.0;
  double variance = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    error += std::pow(static_cast<double>(values[i]) - rows.targets[i], 2);
    variance += std::pow(rows.targets[i] - mean, 2);
  }
  return error / variance;
}

/// Titles of a subject and some filling; the subject decides most of the label, if `title_matters`.
inline std::vector<MadeClip> made_titles(std::size_t count, bool title_matters, unsigned seed) {
  const char* const subjects[] = {"boat", "cake", "tiger", "piano", "rocket", "garden"};
  const char* const fillings[] = {"my",           "old",          "the best",
                                  "how I made a", "look at this", "day with"};
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<MadeClip> clips;
  for (std::size_t i = 0; i < count; ++i) {
    MadeClip clip;
    const std::size_t subject = random() % 6;
    clip.title = std::string(fillings[random() % 6]) + " " + subjects[subject] + " # " +
                 subjects[random() % 6];
    clip.label = 5.0F + 0.4F * normal(random);
    if (title_matters) clip.label += static_cast<float>(subject);
    clip.vector = mmra::testing::random_unit_vector(3, random);
    clips.push_back(clip);
  }
  return clips;
}

}  // namespace mmra::plus::testing
