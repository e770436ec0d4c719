#include "mmra/baselines/hyfea.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "mmra/baselines/labels.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/fingerprint.h"

namespace mmra::baselines {
namespace {

constexpr char kFileName[] = "model.ubj";

/// With all digits.
std::string exact(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

}  // namespace

Hyfea::Hyfea(BaselineConfig config, const std::filesystem::path& directory, int num_threads)
    : config_(std::move(config)), num_threads_(num_threads) {
  const std::filesystem::path file = directory / kFileName;
  bytes_ = read_file(file);
  if (const std::string found = fingerprint(bytes_); found != config_.hyfea.trees_fingerprint) {
    throw Error(ErrorKind::kCorruptData, file.string() + " has the fingerprint " + found +
                                             ", config.json expects " +
                                             config_.hyfea.trees_fingerprint +
                                             ": it is damaged or another model's; train the "
                                             "model again");
  }
  booster_.emplace(bytes_, file.string(), num_threads_);
}

std::vector<Booster::Parameter> Hyfea::parameters() const {
  return {{"objective", "reg:squarederror"},
          {"tree_method", "hist"},
          {"max_bin", "64"},
          {"max_depth", std::to_string(config_.hyfea.max_depth)},
          {"eta", exact(config_.hyfea.learning_rate)},
          // Begins at the mean, as CatBoost does; XGBoost's own 0.5 would cost a hundred rounds.
          {"base_score", exact(config_.label_mean)},
          {"seed", std::to_string(config_.seed & 0x7FFFFFFFU)},
          {"nthread", std::to_string(num_threads_)}};
}

void Hyfea::fit(const model::LabelledBatch& train, const model::LabelledBatch& stop,
                const std::stop_token& stop_token, ProgressSink& progress) {
  check_labelled(train);
  check_labelled(stop);
  config_.label_mean = mean_of(train.targets);
  config_.hyfea.num_frames = most_frames(train.batch);
  const int num_frames = config_.hyfea.num_frames;
  const TreeRows train_rows(flattened_features(train.batch, config_, num_frames), train.targets,
                            num_threads_);
  const TreeRows stop_rows(flattened_features(stop.batch, config_, num_frames), {}, num_threads_);
  Booster booster(parameters(), {&train_rows, &stop_rows});
  grow(booster, train_rows, stop_rows, stop.targets, stop_token, progress);
  const auto best = std::min_element(stop_errors_.begin(), stop_errors_.end());
  config_.hyfea.best_rounds = static_cast<int>(best - stop_errors_.begin()) + 1;
  bytes_ = booster.first_rounds(config_.hyfea.best_rounds).save_to_bytes();
  config_.hyfea.trees_fingerprint = fingerprint(bytes_);
  // What is saved is what predicts.
  booster_.emplace(bytes_, "XGBoost's model", num_threads_);
}

void Hyfea::grow(Booster& booster, const TreeRows& train, const TreeRows& stop,
                 const std::vector<float>& stop_targets, const std::stop_token& stop_token,
                 ProgressSink& progress) {
  const auto patience = static_cast<std::size_t>(config_.hyfea.patience);
  stop_errors_.clear();
  std::size_t best = 0;
  progress.begin("growing trees", config_.hyfea.num_rounds);
  for (int round = 0; round < config_.hyfea.num_rounds; ++round) {
    if (stop_token.stop_requested()) throw Interrupted();
    booster.update(round, train);
    stop_errors_.push_back(std::sqrt(mean_squared_error(booster.predict(stop), stop_targets)));
    progress.advance(1);
    if (stop_errors_.back() < stop_errors_[best]) best = stop_errors_.size() - 1;
    if (stop_errors_.size() - 1 - best >= patience) break;
  }
  progress.end();
}

std::string Hyfea::describe_fit() const {
  return "best of " + std::to_string(stop_errors_.size()) +
         " rounds: " + std::to_string(config_.hyfea.best_rounds);
}

std::vector<float> Hyfea::predict(const model::Batch& batch) {
  if (!booster_) throw Error(ErrorKind::kInternal, "HyFea predicts before it was fitted");
  if (batch.query_rows.empty()) return {};
  return booster_->predict(
      TreeRows(flattened_features(batch, config_, config_.hyfea.num_frames), {}, num_threads_));
}

void Hyfea::save(const std::filesystem::path& directory) const {
  write_file_atomically(directory / kFileName, bytes_);
  save_config(config_, directory / "config.json");
}

}  // namespace mmra::baselines
