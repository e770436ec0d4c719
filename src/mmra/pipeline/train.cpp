#include "mmra/pipeline/train.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>

#include "mmra/bank/feature_table.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/fingerprint.h"
#include "mmra/pipeline/systems.h"
#include "mmra/pipeline/training_rows.h"

namespace mmra::pipeline {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kCalibrationSeed = 0x63616c6962726174;  // "calibrat"
constexpr int kPredictBatch = 256;
// Below these a stop decision or a quantile would be noise with a number's face.
constexpr std::size_t kMinTrainRows = 10;
constexpr std::size_t kMinValidRows = 8;

void select(const training::Examples& from, const std::vector<std::size_t>& indices,
            training::Examples& to) {
  const auto k = static_cast<std::size_t>(from.instances.k);
  to.instances.k = from.instances.k;
  to.own_retrieval = {from.own_retrieval->table, from.own_retrieval->policy, {}};
  for (const std::size_t i : indices) {
    to.rows.push_back(from.rows[i]);
    to.own_retrieval->queries.push_back(from.own_retrieval->queries[i]);
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

void require_rows(std::size_t count, std::size_t minimum, const std::string& split,
                  const TrainRequest& request) {
  if (count >= minimum) return;
  if (!request.horizon.empty() || request.rules.protocol == Protocol::kChronological) {
    throw Error(ErrorKind::kInvalidInput,
                "the bank has " + std::to_string(count) + " rows in the split \"" + split +
                    "\" whose label was known in time, training needs at least " +
                    std::to_string(minimum) +
                    ": give a --horizon at which their popularity was counted (docs/time.md)");
  }
  throw Error(ErrorKind::kInvalidInput,
              "the bank has " + std::to_string(count) + " labelled rows in the split \"" + split +
                  "\", training needs at least " + std::to_string(minimum) +
                  ": ingest more rows with a popularity");
}

/// Identifies data, configuration and options of a run, so that --resume never mixes two.
std::string fingerprint_run(const TrainRequest& request, const bank::BankInfo& info) {
  const Json identity = {{"generation", info.generation},
                         {"records", info.num_records},
                         {"encoders", info.schema.encoders_fingerprint},
                         {"config", find_system(request.model).config_text(request)},
                         {"protocol", name_of(request.rules.protocol)},
                         {"instances", retrieval::name_of(request.rules.instances)},
                         {"near_duplicates_dropped", request.rules.drop_near_duplicates},
                         {"horizon", request.horizon},
                         {"batch", request.batch_size},
                         {"micro_batches", request.num_micro_batches},
                         {"patience", request.patience},
                         {"least_steps", request.least_steps},
                         {"bank", bank::full_name_of(request.bank_directory)}};
  return fingerprint(identity.dump());
}

std::filesystem::path checkpoint_directory(const TrainRequest& request) {
  return request.model_directory / "checkpoint";
}

/// There from before the first file of a model until after the last: what a full disk or a kill
/// left may be written over. Runs with checkpoints go on from these.
std::filesystem::path unfinished_marker(const TrainRequest& request) {
  return request.model_directory / "unfinished";
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
  const bool is_ours = started || std::filesystem::exists(unfinished_marker(request));
  if (bank::bank_exists(directory) || (!is_ours && !std::filesystem::is_empty(directory))) {
    throw Error(ErrorKind::kInvalidInput,
                directory.string() +
                    " holds other things; name a new directory for the model, so that nothing of "
                    "theirs is written over");
  }
  if (started && !request.resume) {
    throw Error(ErrorKind::kInvalidInput,
                directory.string() + " holds an unfinished run; go on with --resume, or remove it");
  }
  write_file_atomically(unfinished_marker(request), "");
}

void copy_encoders(const std::filesystem::path& bank_directory,
                   const std::filesystem::path& model_directory) {
  copy_directory(bank::encoders_directory(bank_directory), model_directory / "encoders");
}

Json metrics_json(const evaluation::Metrics& metrics) {
  return {{"n", metrics.n}, {"nmse", metrics.nmse}, {"mae", metrics.mae}, {"src", metrics.src}};
}

void save_metrics(const TrainSummary& summary, const std::filesystem::path& directory) {
  Json document = {{"valid", metrics_json(summary.valid)},
                   {"valid_not_used_for_stopping", metrics_json(summary.calibrated)},
                   {"seconds", summary.seconds}};
  if (summary.fit.empty()) {
    document["best_epoch"] = summary.history.best_epoch;
    document["epochs"] = summary.history.epochs.size();
  } else {
    document["fit"] = summary.fit;
  }
  write_file_atomically(directory / "metrics.json", document.dump(2) + "\n");
}

/// Appends the `count` values of `own` on rank `from`.
template <typename T>
void append_from(distributed::Communicator& ranks, int from, std::size_t count,
                 const std::vector<T>& own, std::vector<T>& to) {
  std::string bytes;
  if (ranks.rank() == from) {
    bytes.assign(reinterpret_cast<const char*>(own.data()), own.size() * sizeof(T));
  }
  ranks.broadcast(bytes, from);
  if (bytes.size() != count * sizeof(T)) {
    throw Error(ErrorKind::kInternal, "rank " + std::to_string(from) + " retrieved " +
                                          std::to_string(bytes.size() / sizeof(T)) +
                                          " instances, expected " + std::to_string(count));
  }
  const std::size_t begin = to.size();
  to.resize(begin + count);
  std::memcpy(to.data() + begin, bytes.data(), bytes.size());
}

void require_learns_in_epochs(const System& system) {
  if (system.learns_in_epochs()) return;
  throw Error(ErrorKind::kUnsupported,
              std::string(system.name()) +
                  " is fitted at once, by one process: train it without mpirun (the steps of mmra "
                  "and of the neural baselines can be divided)");
}

/// Ranks that see another state of the bank, or were given other flags, would train nonsense.
void require_same_run(const TrainRequest& request, const std::string& run) {
  std::string first = run;
  request.ranks->broadcast(first, 0);
  if (first == run) return;
  throw Error(ErrorKind::kInvalidInput,
              "rank " + std::to_string(request.ranks->rank()) +
                  " sees another bank or other flags than rank 0: give all ranks the same command "
                  "and the same " +
                  request.bank_directory.string());
}

/// Each rank retrieves for its share of the rows and tells the others.
training::Examples retrieve_together(const bank::BankTable& table, std::vector<std::int32_t> rows,
                                     int k, const TrainRequest& request) {
  distributed::Communicator& ranks = *request.ranks;
  const std::size_t total = rows.size();
  const auto share_of = [&](int rank) { return distributed::share_of(total, rank, ranks.size()); };
  const auto first = rows.begin() + static_cast<std::ptrdiff_t>(share_of(ranks.rank()).begin);
  const std::vector<std::int32_t> own(
      first, first + static_cast<std::ptrdiff_t>(share_of(ranks.rank()).count));
  const training::Examples part =
      retrieve_for_rows(table, own, k, request.rules, request.num_threads, request.stop);
  // Who the queries are is known without retrieval.
  training::Examples all = identify_rows(table, std::move(rows), request.rules);
  all.instances.k = part.instances.k;
  for (int rank = 0; rank < ranks.size(); ++rank) {
    const std::size_t count = share_of(rank).count * static_cast<std::size_t>(all.instances.k);
    append_from(ranks, rank, count, part.instances.rows, all.instances.rows);
    append_from(ranks, rank, count, part.instances.similarities, all.instances.similarities);
  }
  return all;
}

/// The labelled rows of train and valid with their instances, valid also in its halves.
struct Rows {
  training::TrainingData data;
  training::Examples valid;
  training::Examples calibration;
};

Rows retrieve_for_training(const bank::FeatureTable& features, const bank::BankTable& table,
                           std::vector<std::int32_t> train_rows,
                           std::vector<std::int32_t> valid_rows, int k, const TrainRequest& request,
                           ProgressSink& progress) {
  const auto retrieve = [&](std::vector<std::int32_t> rows) {
    if (!distributed::is_alone(request.ranks)) {
      return retrieve_together(table, std::move(rows), k, request);
    }
    return retrieve_for_rows(table, std::move(rows), k, request.rules, request.num_threads,
                             request.stop);
  };
  progress.begin("retrieving", std::nullopt);
  Rows rows;
  rows.data.features = &features;
  rows.data.train = retrieve(std::move(train_rows));
  rows.valid = retrieve(std::move(valid_rows));
  progress.end();
  const ValidationHalves halves = divide_validation(table, rows.valid.rows);
  select(rows.valid, halves.stop, rows.data.stop);
  select(rows.valid, halves.calibration, rows.calibration);
  return rows;
}

model::LabelledBatch whole(const bank::FeatureTable& features, const training::Examples& examples) {
  return {{&features, examples.rows, &features, examples.instances.k, examples.instances.rows,
           examples.instances.similarities, examples.own_retrieval},
          labels_of(features, examples.rows)};
}

/// Trains `learner` by the way it learns; the summary gets what there is to say about it.
/// What makes least_steps of max_epochs.
int epochs_factor(const TrainRequest& request, std::size_t num_rows) {
  const auto batch = static_cast<std::size_t>(std::max(1, request.batch_size));
  const int steps = static_cast<int>((num_rows + batch - 1) / batch) * request.max_epochs;
  return steps < 1 ? 1 : std::max(1, (request.least_steps + steps - 1) / steps);
}

std::unique_ptr<model::Predictor> learn(Learner learner, const Rows& rows,
                                        const TrainRequest& request, const LoadedBank& loaded,
                                        const bank::BankTable& table, TrainSummary& summary,
                                        ProgressSink& progress) {
  if (auto* fitted = std::get_if<std::unique_ptr<model::FittedPredictor>>(&learner)) {
    const bank::FeatureTable& features = *rows.data.features;
    (*fitted)->fit(whole(features, rows.data.train), whole(features, rows.data.stop), request.stop,
                   progress);
    summary.fit = (*fitted)->describe_fit();
    return std::move(*fitted);
  }
  auto network = std::get<std::unique_ptr<model::IterativePredictor>>(std::move(learner));
  network->see_unlabelled(loaded.features, unlabelled_rows(table, request.rules));
  training::TrainOptions options;
  const int factor = epochs_factor(request, rows.data.train.rows.size());
  options.max_epochs = factor * request.max_epochs;
  options.batch_size = request.batch_size;
  options.num_micro_batches = request.num_micro_batches;
  options.patience = factor * request.patience;
  options.seed = find_system(request.model).seed(request);
  options.shuffle = request.rules.protocol != Protocol::kAuthors;
  options.checkpoint_directory = checkpoint_directory(request);
  options.resume = request.resume;
  options.run_fingerprint = fingerprint_run(request, loaded.info);
  options.stop = request.stop;
  options.ranks = request.ranks;
  summary.history = training::train(*network, rows.data, options, progress);
  return network;
}

/// Calibrates the interval, and measures on the validation rows.
void assess(model::Predictor& predictor, const Rows& rows, double interval_level,
            TrainSummary& summary) {
  const bank::FeatureTable& features = *rows.data.features;
  const auto predict = [&](const training::Examples& examples) {
    return training::predict_all(predictor, features, features, examples, kPredictBatch);
  };
  const auto signals = [&](const training::Examples& examples,
                           const std::vector<float>& predictions) {
    return training::error_signals(training::as_batch(features, features, examples), predictions);
  };
  // The rows that stopped the training know how errors vary; how large they are is for others to
  // say.
  const std::vector<float> stop_predictions = predict(rows.data.stop);
  const training::ErrorScale scale =
      training::fit_error_scale(signals(rows.data.stop, stop_predictions), stop_predictions,
                                labels_of(features, rows.data.stop.rows));
  const std::vector<float> predictions = predict(rows.calibration);
  const std::vector<float> labels = labels_of(features, rows.calibration.rows);
  summary.calibration = training::calibrate_conformal(predictions, labels, interval_level, scale,
                                                      signals(rows.calibration, predictions));
  summary.calibrated = evaluation::compute_metrics(predictions, labels);
  summary.valid =
      evaluation::compute_metrics(predict(rows.valid), labels_of(features, rows.valid.rows));
}

TrainingCard make_card(const TrainRequest& request, const bank::BankSchema& schema,
                       const Rows& rows) {
  return {request.model,
          schema.encoders_name,
          schema.encoders_fingerprint,
          schema.popularity_unit,
          request.horizon.empty() ? schema.popularity_horizon : request.horizon,
          rows.data.train.instances.k,
          request.rules,
          static_cast<std::int64_t>(rows.data.train.rows.size()),
          static_cast<std::int64_t>(rows.data.stop.rows.size()),
          static_cast<std::int64_t>(rows.calibration.rows.size())};
}

/// training.json last: with it the directory is a model.
void save_model(const model::Predictor& predictor, const TrainRequest& request,
                const TrainSummary& summary) {
  const std::filesystem::path& directory = request.model_directory;
  predictor.save(directory);
  copy_encoders(request.bank_directory, directory);
  training::save_calibration(summary.calibration, directory / "calibration.json");
  if (summary.fit.empty()) training::write_history(summary.history, directory);
  save_metrics(summary, directory);
  save_training_card(summary.card, directory);
  std::error_code ignored;
  std::filesystem::remove_all(checkpoint_directory(request), ignored);
  std::filesystem::remove(unfinished_marker(request), ignored);
}

}  // namespace

TrainSummary train_model(const TrainRequest& request, ProgressSink& progress) {
  const auto started = std::chrono::steady_clock::now();
  const System& system = find_system(request.model);
  if (!distributed::is_alone(request.ranks)) require_learns_in_epochs(system);
  std::optional<Duration> horizon;
  if (!request.horizon.empty()) horizon = bank::require_horizon(request.horizon);
  const LoadedBank loaded =
      load_bank(request.bank_directory, progress, system.feature_columns(), horizon);
  TrainRequest run = request;
  const auto table = apply_rules(loaded, run.rules, run.num_threads, run.stop);
  std::vector<std::int32_t> train_rows = labelled_rows(*table, bank::Split::kTrain);
  std::vector<std::int32_t> valid_rows = labelled_rows(*table, bank::Split::kValid);
  require_rows(train_rows.size(), kMinTrainRows, "train", run);
  require_rows(valid_rows.size(), kMinValidRows, "valid", run);
  system.take_from_bank(run, loaded.info.schema, labels_of(loaded.features, train_rows));
  if (!distributed::is_alone(request.ranks)) {
    require_same_run(run, fingerprint_run(run, loaded.info));
  }
  if (distributed::is_first(request.ranks)) prepare_model_directory(request);

  const Rows rows =
      retrieve_for_training(loaded.features, *table, std::move(train_rows), std::move(valid_rows),
                            system.num_instances(run), run, progress);
  TrainSummary summary;
  const auto predictor = learn(system.make(run), rows, run, loaded, *table, summary, progress);
  if (!distributed::is_first(request.ranks)) return summary;
  assess(*predictor, rows, run.interval_level, summary);
  summary.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  summary.card = make_card(run, loaded.info.schema, rows);
  save_model(*predictor, run, summary);
  return summary;
}

}  // namespace mmra::pipeline
