#include "mmra/pipeline/train.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>

#include "mmra/bank/feature_table.h"
#include "mmra/bank/load_feature_table.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/fingerprint.h"
#include "mmra/model/neural_library.h"
#include "mmra/retrieval/exact_search.h"

namespace mmra::pipeline {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kCalibrationSeed = 0x63616c6962726174;  // "calibrat"
constexpr int kPredictBatch = 256;
// Below these a stop decision or a quantile would be noise with a number's face.
constexpr std::size_t kMinTrainRows = 10;
constexpr std::size_t kMinValidRows = 8;

/// A bank's snapshot with everything that training and evaluation gather from it.
struct LoadedBank {
  bank::BankInfo info;
  std::shared_ptr<const bank::BankTable> table;
  bank::FeatureTable features;
};

LoadedBank load_bank(const std::filesystem::path& directory, ProgressSink& progress) {
  const auto bank = bank::open_bank(directory, bank::OpenMode::kReadOnly);
  progress.begin("loading features", std::nullopt);
  bank::LoadedFeatures loaded = bank::load_feature_table(*bank);
  progress.end();
  return {bank->info(), std::move(loaded.table), std::move(loaded.features)};
}

std::vector<std::int32_t> labelled_rows(const bank::BankTable& table, bank::Split split) {
  std::vector<std::int32_t> rows;
  for (std::size_t row = 0; row < table.num_rows(); ++row) {
    if (table.split(row) == split && table.popularity(row)) {
      rows.push_back(static_cast<std::int32_t>(row));
    }
  }
  return rows;
}

std::vector<float> labels_of(const bank::FeatureTable& features,
                             const std::vector<std::int32_t>& rows) {
  std::vector<float> labels;
  labels.reserve(rows.size());
  for (const std::int32_t row : rows) {
    labels.push_back(features.log2_popularity(static_cast<std::size_t>(row)));
  }
  return labels;
}

retrieval::RetrievalPolicy policy_of(Protocol protocol) {
  return protocol == Protocol::kAuthors ? retrieval::RetrievalPolicy::authors_training()
                                        : retrieval::RetrievalPolicy::honest_training();
}

/// The instances of stored rows, each row itself left out, nothing posted at or after it.
training::Examples retrieve_for_rows(const bank::BankTable& table, std::vector<std::int32_t> rows,
                                     int k, Protocol protocol, int num_threads,
                                     const std::stop_token& stop) {
  const auto dim = static_cast<std::size_t>(table.retrieval_dim());
  std::vector<float> vectors;
  vectors.reserve(rows.size() * dim);
  std::vector<retrieval::QueryIdentity> identities;
  identities.reserve(rows.size());
  const std::span<const float> all = table.retrieval_vectors();
  for (const std::int32_t row : rows) {
    const auto index = static_cast<std::size_t>(row);
    const auto vector = all.subspan(index * dim, dim);
    vectors.insert(vectors.end(), vector.begin(), vector.end());
    identities.push_back({index, table.posted_at(index)});
  }
  training::Examples examples;
  examples.instances = retrieval::search_exact(table, vectors, identities, k, policy_of(protocol),
                                               num_threads, stop);
  examples.rows = std::move(rows);
  return examples;
}

void select(const training::Examples& from, const std::vector<std::size_t>& indices,
            training::Examples& to) {
  const auto k = static_cast<std::size_t>(from.instances.k);
  to.instances.k = from.instances.k;
  for (const std::size_t i : indices) {
    to.rows.push_back(from.rows[i]);
    const auto begin = static_cast<std::ptrdiff_t>(i * k);
    const auto end = static_cast<std::ptrdiff_t>((i + 1) * k);
    to.instances.rows.insert(to.instances.rows.end(), from.instances.rows.begin() + begin,
                             from.instances.rows.begin() + end);
    to.instances.similarities.insert(to.instances.similarities.end(),
                                     from.instances.similarities.begin() + begin,
                                     from.instances.similarities.begin() + end);
  }
}

/// Half of the validation rows stop the training, the other half calibrates: by the order of a
/// seeded hash of their ids, so that the halves do not depend on how the bank was filled.
struct ValidationHalves {
  std::vector<std::size_t> stop;
  std::vector<std::size_t> calibration;
};

ValidationHalves divide_validation(const bank::BankTable& table,
                                   const std::vector<std::int32_t>& rows) {
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), 0);
  const auto key = [&](std::size_t i) {
    return seeded_hash(table.id(static_cast<std::size_t>(rows[i])), kCalibrationSeed);
  };
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(key(a), a) < std::pair(key(b), b);
  });
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(order.size() / 2);
  ValidationHalves halves{{order.begin(), middle}, {middle, order.end()}};
  std::sort(halves.stop.begin(), halves.stop.end());
  std::sort(halves.calibration.begin(), halves.calibration.end());
  return halves;
}

void require_rows(std::size_t count, std::size_t minimum, const std::string& split) {
  if (count >= minimum) return;
  throw Error(ErrorKind::kInvalidInput,
              "the bank has " + std::to_string(count) + " labelled rows in the split \"" + split +
                  "\", training needs at least " + std::to_string(minimum) +
                  ": ingest more rows with a popularity");
}

void set_label_statistics(const std::vector<float>& labels, model::MmraConfig& config) {
  double sum = 0.0;
  for (const float label : labels) sum += label;
  const double mean = sum / static_cast<double>(labels.size());
  double squares = 0.0;
  for (const float label : labels) squares += (label - mean) * (label - mean);
  config.label_mean = mean;
  const double deviation = std::sqrt(squares / static_cast<double>(labels.size()));
  config.label_std = deviation > 0.0 ? deviation : 1.0;
}

/// Identifies data, configuration and options of a run, so that --resume never mixes two.
std::string fingerprint_run(const TrainRequest& request, const bank::BankInfo& info) {
  const Json identity = {{"generation", info.generation},
                         {"records", info.num_records},
                         {"encoders", info.schema.encoders_fingerprint},
                         {"config", model::config_to_json(request.config)},
                         {"protocol", name_of(request.protocol)},
                         {"batch", request.batch_size},
                         {"patience", request.patience},
                         {"bank", std::filesystem::absolute(request.bank_directory).string()}};
  return fingerprint(identity.dump());
}

void prepare_model_directory(const TrainRequest& request) {
  const auto& directory = request.model_directory;
  if (std::filesystem::exists(directory) && !std::filesystem::is_directory(directory)) {
    throw Error(ErrorKind::kInvalidInput,
                directory.string() + " is a file; --out needs a directory");
  }
  make_directories(directory);
  if (std::filesystem::exists(directory / "training.json")) {
    throw Error(ErrorKind::kInvalidInput, directory.string() +
                                              " holds a finished model already; name another "
                                              "directory, or remove that one");
  }
  const bool started = std::filesystem::exists(directory / "checkpoint");
  if (bank::bank_exists(directory) || (!started && !std::filesystem::is_empty(directory))) {
    throw Error(ErrorKind::kInvalidInput,
                directory.string() +
                    " holds other things; name a new directory for the model, so that nothing of "
                    "theirs is written over");
  }
  if (started && !request.resume) {
    throw Error(ErrorKind::kInvalidInput,
                directory.string() + " holds an unfinished run; go on with --resume, or remove it");
  }
}

void copy_encoders(const std::filesystem::path& bank_directory,
                   const std::filesystem::path& model_directory) {
  std::error_code code;
  std::filesystem::copy(
      bank::encoders_directory(bank_directory), model_directory / "encoders",
      std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing,
      code);
  if (code) {
    throw system_error("copy the encoders to", (model_directory / "encoders").string(),
                       code.value());
  }
}

Json metrics_json(const evaluation::Metrics& metrics) {
  return {{"n", metrics.n}, {"nmse", metrics.nmse}, {"mae", metrics.mae}, {"src", metrics.src}};
}

void save_metrics(const TrainSummary& summary, const std::filesystem::path& directory) {
  const Json document = {{"valid", metrics_json(summary.valid)},
                         {"valid_not_used_for_stopping", metrics_json(summary.calibrated)},
                         {"best_epoch", summary.history.best_epoch},
                         {"epochs", summary.history.epochs.size()},
                         {"seconds", summary.seconds}};
  write_file_atomically(directory / "metrics.json", document.dump(2) + "\n");
}

}  // namespace

TrainSummary train_model(const TrainRequest& request, ProgressSink& progress) {
  const auto started = std::chrono::steady_clock::now();
  const LoadedBank loaded = load_bank(request.bank_directory, progress);
  const bank::BankTable& table = *loaded.table;
  std::vector<std::int32_t> train_rows = labelled_rows(table, bank::Split::kTrain);
  std::vector<std::int32_t> valid_rows = labelled_rows(table, bank::Split::kValid);
  require_rows(train_rows.size(), kMinTrainRows, "train");
  require_rows(valid_rows.size(), kMinValidRows, "valid");
  prepare_model_directory(request);

  TrainRequest run = request;
  run.config.visual_dim = loaded.info.schema.visual_dim;
  run.config.text_dim = loaded.info.schema.text_dim;
  set_label_statistics(labels_of(loaded.features, train_rows), run.config);

  progress.begin("retrieving", std::nullopt);
  training::TrainingData data;
  data.features = &loaded.features;
  data.train = retrieve_for_rows(table, std::move(train_rows), run.config.k, run.protocol,
                                 run.num_threads, run.stop);
  const training::Examples valid = retrieve_for_rows(table, std::move(valid_rows), run.config.k,
                                                     run.protocol, run.num_threads, run.stop);
  progress.end();
  const ValidationHalves halves = divide_validation(table, valid.rows);
  training::Examples calibration;
  select(valid, halves.stop, data.stop);
  select(valid, halves.calibration, calibration);

  const auto network = model::make_mmra(run.config, run.num_threads);
  training::TrainOptions options;
  options.max_epochs = run.max_epochs;
  options.batch_size = run.batch_size;
  options.patience = run.patience;
  options.seed = run.config.seed;
  options.checkpoint_directory = run.model_directory / "checkpoint";
  options.resume = run.resume;
  options.run_fingerprint = fingerprint_run(run, loaded.info);
  options.stop = run.stop;

  TrainSummary summary;
  summary.history = training::train(*network, data, options, progress);

  const auto predict = [&](const training::Examples& examples) {
    return training::predict_all(*network, loaded.features, loaded.features, examples,
                                 kPredictBatch);
  };
  const std::vector<float> calibration_predictions = predict(calibration);
  const std::vector<float> calibration_labels = labels_of(loaded.features, calibration.rows);
  summary.calibration = training::calibrate_conformal(calibration_predictions, calibration_labels,
                                                      run.interval_level);
  summary.calibrated = evaluation::compute_metrics(calibration_predictions, calibration_labels);
  summary.valid =
      evaluation::compute_metrics(predict(valid), labels_of(loaded.features, valid.rows));
  summary.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();

  const bank::BankSchema& schema = loaded.info.schema;
  summary.card = {"mmra",
                  schema.encoders_name,
                  schema.encoders_fingerprint,
                  schema.popularity_unit,
                  schema.popularity_horizon,
                  run.config.k,
                  run.protocol,
                  static_cast<std::int64_t>(data.train.rows.size()),
                  static_cast<std::int64_t>(data.stop.rows.size()),
                  static_cast<std::int64_t>(calibration.rows.size())};
  network->save(run.model_directory);
  copy_encoders(run.bank_directory, run.model_directory);
  training::save_calibration(summary.calibration, run.model_directory / "calibration.json");
  training::write_history(summary.history, run.model_directory);
  save_metrics(summary, run.model_directory);
  save_training_card(summary.card, run.model_directory);
  std::error_code ignored;
  std::filesystem::remove_all(options.checkpoint_directory, ignored);
  return summary;
}

EvaluationReport evaluate_model(const std::filesystem::path& bank_directory,
                                const std::filesystem::path& model_directory, bank::Split split,
                                std::size_t batch_size, int num_threads,
                                const std::stop_token& stop, ProgressSink& progress) {
  EvaluationReport report;
  report.split = split;
  report.card = load_training_card(model_directory);
  const training::Calibration calibration =
      training::load_calibration(model_directory / "calibration.json");
  check_same_encoders(report.card,
                      bank::open_bank(bank_directory, bank::OpenMode::kReadOnly)->info().schema);
  const auto predictor = model::load_mmra(model_directory, num_threads);
  const LoadedBank loaded = load_bank(bank_directory, progress);
  const bank::BankTable& table = *loaded.table;

  std::vector<std::int32_t> rows = labelled_rows(table, split);
  if (rows.empty()) {
    throw Error(ErrorKind::kInvalidInput, "the bank has no labelled rows in the split \"" +
                                              std::string(bank::name_of(split)) +
                                              "\"; name another one with --split");
  }
  progress.begin("retrieving", std::nullopt);
  const training::Examples examples = retrieve_for_rows(table, std::move(rows), report.card.k,
                                                        report.card.protocol, num_threads, stop);
  progress.end();
  report.predictions =
      training::predict_all(*predictor, loaded.features, loaded.features, examples, kPredictBatch);
  report.targets = labels_of(loaded.features, examples.rows);
  for (const std::int32_t row : examples.rows) {
    report.ids.emplace_back(table.id(static_cast<std::size_t>(row)));
  }
  report.metrics = evaluation::compute_metrics(report.predictions, report.targets);
  if (batch_size > 0) {
    report.batch_means =
        evaluation::compute_batch_mean_metrics(report.predictions, report.targets, batch_size);
  }
  report.interval_level = calibration.level;
  std::size_t covered = 0;
  for (std::size_t i = 0; i < report.targets.size(); ++i) {
    covered += std::abs(report.targets[i] - report.predictions[i]) <= calibration.half_width_log2;
  }
  report.interval_coverage =
      static_cast<double>(covered) / static_cast<double>(report.targets.size());

  const std::vector<float> train_labels =
      labels_of(loaded.features, labelled_rows(table, bank::Split::kTrain));
  if (!train_labels.empty()) {
    const double mean = std::accumulate(train_labels.begin(), train_labels.end(), 0.0) /
                        static_cast<double>(train_labels.size());
    report.mean_of_train = evaluation::compute_metrics(
        std::vector<float>(report.targets.size(), static_cast<float>(mean)), report.targets);
  }
  return report;
}

}  // namespace mmra::pipeline
