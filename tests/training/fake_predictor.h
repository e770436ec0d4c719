#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/model/predictor.h"

namespace mmra::testing {

/// A predictor whose only weight is the number of steps it has taken. Its prediction for a row is
/// the row's label plus `offset(steps)`, so a test decides how good each epoch is.
class FakePredictor final : public model::IterativePredictor {
 public:
  explicit FakePredictor(std::function<double(int steps)> offset) : offset_(std::move(offset)) {}

  std::vector<float> predict(const model::Batch& batch) override {
    predicted.push_back(batch);
    std::vector<float> values;
    for (const std::int32_t row : batch.query_rows) {
      values.push_back(batch.queries->log2_popularity(static_cast<std::size_t>(row)) +
                       static_cast<float>(offset_(steps)));
    }
    return values;
  }
  void save(const std::filesystem::path& /*directory*/) const override {}
  /// The loss is the batch's first row.
  double train_step(const model::Batch& batch, const std::vector<float>& targets) override {
    trained.push_back(batch);
    trained_targets.push_back(targets);
    ++steps;
    if (after_step) after_step(steps);
    return batch.query_rows.at(0);
  }
  void divide_steps(int num_micro_batches, distributed::Communicator* all_ranks) override {
    divided_into = num_micro_batches;
    ranks = all_ranks;
  }
  void save_training_state(const std::filesystem::path& file) const override {
    write_file_atomically(file, std::to_string(steps) + " " + std::to_string(best));
  }
  void load_training_state(const std::filesystem::path& file) override {
    const std::string text = read_file(file);
    steps = std::stoi(text);
    best = std::stoi(text.substr(text.find(' ')));
  }
  void keep_best() override { best = steps; }
  void restore_best() override { steps = best; }

  int steps = 0;
  int best = 0;
  std::vector<model::Batch> trained;
  std::vector<std::vector<float>> trained_targets;
  std::vector<model::Batch> predicted;
  int divided_into = 0;
  distributed::Communicator* ranks = nullptr;
  std::function<void(int steps)> after_step;

 private:
  std::function<double(int)> offset_;
};

}  // namespace mmra::testing
