#include "mmra/plus/plus_predictor.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

#include "mmra/baselines/labels.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/fingerprint.h"
#include "mmra/plus/plus_files.h"

namespace mmra::plus {
namespace {

constexpr char kArraysFile[] = "model.safetensors";
constexpr char kTreesFile[] = "model.ubj";

/// Folds of equal size by the order of a seeded hash of the ids, so that they do not depend on how
/// the bank was filled.
std::vector<std::int32_t> divide_into_folds(const model::Batch& batch, int num_folds,
                                            std::uint64_t seed) {
  const bank::BankTable& table = *batch.own_retrieval->table;
  std::vector<std::pair<std::uint64_t, std::size_t>> order;
  for (std::size_t i = 0; i < batch.query_rows.size(); ++i) {
    const auto id = table.id(static_cast<std::size_t>(batch.query_rows[i]));
    order.emplace_back(seeded_hash(id, seed), i);
  }
  std::sort(order.begin(), order.end());
  std::vector<std::int32_t> folds(order.size());
  for (std::size_t place = 0; place < order.size(); ++place) {
    folds[order[place].second] =
        static_cast<std::int32_t>(place % static_cast<std::size_t>(num_folds));
  }
  return folds;
}

/// What rests on other clips.
constexpr std::pair<const char*, bool Parts::*> kRetrievalParts[] = {
    {"nearest instances", &Parts::neighbours}, {"kernel ridge", &Parts::kernel}};

bool retrieves(const Parts& parts) { return parts.neighbours || parts.kernel; }

Parts retrieval_left_out(Parts parts) {
  parts.neighbours = false;
  parts.kernel = false;
  return parts;
}

std::string readable(const PairedGain& gain) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.3f ± %.3f", gain.mean, gain.standard_error);
  return text.data();
}

}  // namespace

PlusPredictor::PlusPredictor(PlusConfig config, int num_threads)
    : config_(std::move(config)), num_threads_(num_threads) {
  validate_config(config_);
}

PlusPredictor::PlusPredictor(PlusConfig config, const std::filesystem::path& directory,
                             int num_threads)
    : config_(std::move(config)),
      num_threads_(num_threads),
      stage_(load_first_stage(config_, directory / kArraysFile)),
      trees_bytes_(read_file(directory / kTreesFile)) {
  // XGBoost's own reader trusts its input.
  const std::string actual = fingerprint(trees_bytes_);
  if (actual != config_.trees.fingerprint) {
    throw Error(ErrorKind::kCorruptData,
                (directory / kTreesFile).string() + " has the fingerprint " + actual +
                    ", config.json names " + config_.trees.fingerprint + "; train the model again");
  }
  trees_.emplace(trees_bytes_, (directory / kTreesFile).string(), num_threads_);
}

void PlusPredictor::fit(const model::LabelledBatch& train, const model::LabelledBatch& stop,
                        const std::stop_token& stop_token, ProgressSink& progress) {
  baselines::check_labelled(train);
  baselines::check_labelled(stop);
  require_retrieval(train.batch);
  findings_.clear();
  memory_.reset();
  config_.label_mean = baselines::mean_of(train.targets);
  const std::vector<std::int32_t> folds =
      divide_into_folds(train.batch, config_.num_folds, config_.seed);
  FirstStageFit first = fit_first_stage(train, config_, folds, num_threads_, stop_token, progress);
  stage_ = std::move(first.stage);
  if (config_.parts.kernel) config_.lambda = first.lambda;
  config_.has_visual = !stage_.spaces.visual.origin.empty();
  choose_parts(first.features, train, folds, stop_token, progress);
  std::string bytes = grow(first.features, train.targets, config_.parts, stop_token, progress);
  if (retrieves(config_.parts) && num_features(retrieval_left_out(config_.parts)) > 0) {
    const Parts fewer = retrieval_left_out(config_.parts);
    std::string others = grow(first.features, train.targets, fewer, stop_token, progress);
    if (retrieval_misleads(bytes, others, fewer, stop)) {
      config_.parts = fewer;
      bytes = std::move(others);
    }
  }
  if (!config_.parts.kernel) forget_train_rows();
  trees_bytes_ = std::move(bytes);
  config_.trees.fingerprint = fingerprint(trees_bytes_);
  trees_.emplace(trees_bytes_, "XGBoost's model", num_threads_);
}

/// Nothing but the kernel ridge needs them.
void PlusPredictor::forget_train_rows() {
  RowVectors none;
  none.retrieval.dim = stage_.spaces.retrieval_dim;
  none.visual.dim = stage_.spaces.visual.dim();
  stage_.ridge = {};
  stage_.train = std::make_unique<SimilarityIndex>(
      std::move(none), stage_.spaces.lexical.num_columns(), config_.kernel);
}

std::size_t PlusPredictor::num_features(const Parts& parts) const {
  const std::vector<Part> all = parts_of_features(config_);
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [&](Part part) { return has_part(parts, part); }));
}

std::string PlusPredictor::grow(const FeatureMatrix& features, const std::vector<float>& targets,
                                const Parts& parts, const std::stop_token& stop_token,
                                ProgressSink& progress) const {
  return grow_trees(select_parts(features, parts_of_features(config_), parts), targets,
                    config_.trees, config_.seed, stop_token, progress)
      .save_to_bytes();
}

void PlusPredictor::choose_parts(const FeatureMatrix& features, const model::LabelledBatch& train,
                                 std::span<const std::int32_t> folds,
                                 const std::stop_token& stop_token, ProgressSink& progress) {
  const std::vector<Part> part_of_feature = parts_of_features(config_);
  const auto validate = [&](const Parts& parts) {
    return cross_validate(select_parts(features, part_of_feature, parts), train.targets, folds,
                          config_.trees, config_.seed, num_threads_, stop_token, progress);
  };
  if (num_features(config_.parts) == 0) {
    throw Error(ErrorKind::kInvalidInput,
                "mmra-plus without kernel, retrieval, keys, shape and context sees nothing; leave "
                "one of them in");
  }
  CrossValidation best = validate(config_.parts);
  for (const auto& [name, part] : kRetrievalParts) {
    Parts fewer = config_.parts;
    if (!(fewer.*part)) continue;
    fewer.*part = false;
    if (num_features(fewer) == 0) continue;
    CrossValidation other = validate(fewer);
    const PairedGain gain = paired_gain(best.squared_errors, other.squared_errors);
    const std::string by = std::string(name) + " by " + readable(gain);
    if (gain.mean < gain.standard_error) {
      config_.parts = fewer;
      best = std::move(other);
      findings_.push_back("left out, since it helps by less than one standard error: " + by);
    } else {
      findings_.push_back("the squared error shrinks through the " + by);
    }
  }
  config_.trees.num_rounds = best.num_rounds;
}

bool PlusPredictor::retrieval_misleads(const std::string& with, const std::string& without,
                                       const Parts& fewer, const model::LabelledBatch& stop) {
  const FeatureMatrix features =
      make_features(stop.batch, config_, stage_, memory_of(stop.batch), num_threads_);
  const std::vector<Part> part_of_feature = parts_of_features(config_);
  const auto squared_errors = [&](const std::string& bytes, const Parts& parts) {
    const baselines::Booster trees(bytes, "XGBoost's model", num_threads_);
    const std::vector<float> values = trees.predict(
        baselines::TreeRows(select_parts(features, part_of_feature, parts), {}, num_threads_));
    std::vector<double> errors;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double error = static_cast<double>(values[i]) - stop.targets[i];
      errors.push_back(error * error);
    }
    return errors;
  };
  const PairedGain gain =
      paired_gain(squared_errors(with, config_.parts), squared_errors(without, fewer));
  if (gain.mean > -gain.standard_error) return false;
  findings_.push_back("retrieval is left out: on validation rows it misleads, by " +
                      readable(gain));
  return true;
}

std::string PlusPredictor::describe_fit() const {
  std::string text =
      std::to_string(config_.trees.num_rounds) + " trees, chosen by cross-validation";
  for (const std::string& finding : findings_) text += "; " + finding;
  return text;
}

const Memory& PlusPredictor::memory_of(const model::Batch& batch) {
  require_retrieval(batch);
  const model::OwnRetrieval& retrieval = *batch.own_retrieval;
  MemoryKey key{
      batch.memory, retrieval.table, batch.memory->num_rows(), retrieval.table->generation(), {}};
  for (const bank::Split split : {bank::Split::kTrain, bank::Split::kValid, bank::Split::kTest}) {
    key.admits_splits[static_cast<std::size_t>(split)] = retrieval.policy.splits.contains(split);
  }
  if (!memory_ || !(key == memory_key_)) {
    memory_ =
        std::make_unique<Memory>(*batch.memory, retrieval, config_, stage_.spaces, num_threads_);
    memory_key_ = key;
  }
  return *memory_;
}

std::vector<float> PlusPredictor::predict(const model::Batch& batch) {
  if (!trees_) throw Error(ErrorKind::kInternal, "mmra-plus predicts before it was fitted");
  if (batch.query_rows.empty()) return {};
  const FeatureMatrix features =
      make_features(batch, config_, stage_, memory_of(batch), num_threads_);
  return trees_->predict(baselines::TreeRows(
      select_parts(features, parts_of_features(config_), config_.parts), {}, num_threads_));
}

std::optional<std::vector<std::vector<model::UsedInstance>>> PlusPredictor::used_instances(
    const model::Batch& batch, int k) {
  const Memory& memory = memory_of(batch);
  const DistinctQueries distinct = distinct_queries(batch);
  const std::vector<TitleTerms> terms =
      terms_of_rows(*batch.queries, distinct.rows, config_, num_threads_);
  const auto neighbours =
      find_neighbours(make_vectors(*batch.queries, distinct.rows, terms, stage_.spaces),
                      distinct.row_of_query, *batch.own_retrieval, memory, num_threads_);
  std::vector<std::vector<model::UsedInstance>> used;
  for (const auto& of_query : neighbours) {
    const std::vector<double> weights = neighbour_weights(of_query, static_cast<std::size_t>(k));
    used.emplace_back();
    for (std::size_t j = 0; j < weights.size(); ++j) {
      used.back().push_back({memory.row_of(of_query[j].row), of_query[j].similarity, weights[j]});
    }
  }
  return used;
}

void PlusPredictor::save(const std::filesystem::path& directory) const {
  save_first_stage(stage_, directory / kArraysFile);
  write_file_atomically(directory / kTreesFile, trees_bytes_);
  save_config(config_, directory / "config.json");
}

}  // namespace mmra::plus
