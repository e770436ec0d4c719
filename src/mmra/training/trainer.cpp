#include "mmra/training/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>
#include <random>
#include <span>
#include <string>

#include "mmra/core/error.h"
#include "mmra/evaluation/metrics.h"
#include "mmra/training/checkpoint.h"

namespace mmra::training {
namespace {

using Clock = std::chrono::steady_clock;

void check_examples(const Examples& examples, const bank::FeatureTable& features,
                    const std::string& which) {
  if (examples.rows.empty()) {
    throw Error(ErrorKind::kInvalidInput,
                "there are no " + which +
                    "; training needs labelled rows in both the train and the "
                    "valid split");
  }
  for (const std::int32_t row : examples.rows) {
    if (row < 0 || static_cast<std::size_t>(row) >= features.num_rows() ||
        !std::isfinite(features.log2_popularity(static_cast<std::size_t>(row)))) {
      throw Error(ErrorKind::kInvalidInput, "row " + std::to_string(row) + " of the " + which +
                                                " has no popularity to learn from");
    }
  }
}

void check(const TrainingData& data, const TrainOptions& options) {
  if (options.batch_size < 1 || options.max_epochs < 1 || options.patience < 1 ||
      options.num_micro_batches < 1) {
    throw Error(ErrorKind::kInvalidInput,
                "training needs batches, epochs, patience and micro-batches of at least 1, got " +
                    std::to_string(options.batch_size) + ", " + std::to_string(options.max_epochs) +
                    ", " + std::to_string(options.patience) + " and " +
                    std::to_string(options.num_micro_batches));
  }
  if (data.features == nullptr) throw Error(ErrorKind::kInternal, "training without features");
  check_examples(data.train, *data.features, "training rows");
  check_examples(data.stop, *data.features, "rows that decide when to stop");
}

/// The order of the training rows in an epoch: a function of seed and epoch alone, so that a
/// resumed run sees the same batches. (std::shuffle may differ between standard libraries.)
std::vector<std::size_t> order_of(std::size_t count, const TrainOptions& options, int epoch) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (!options.shuffle) return order;
  const std::uint64_t seed = options.seed;
  std::seed_seq sequence{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
                         static_cast<std::uint32_t>(epoch)};
  std::mt19937_64 random(sequence);
  for (std::size_t i = count; i > 1; --i) {
    // 2^64 is so far above i that the remainder's bias does not matter.
    std::swap(order[i - 1], order[random() % i]);
  }
  return order;
}

model::Batch make_batch(const bank::FeatureTable& queries, const bank::FeatureTable& memory,
                        const Examples& examples, std::span<const std::size_t> indices) {
  model::Batch batch;
  batch.queries = &queries;
  batch.memory = &memory;
  batch.k = examples.instances.k;
  const auto k = static_cast<std::size_t>(std::max(0, batch.k));
  if (examples.own_retrieval) {
    batch.own_retrieval = {examples.own_retrieval->table, examples.own_retrieval->policy, {}};
    for (const std::size_t i : indices) {
      batch.own_retrieval->queries.push_back(examples.own_retrieval->queries[i]);
    }
  }
  for (const std::size_t i : indices) {
    batch.query_rows.push_back(examples.rows[i]);
    const auto first = static_cast<std::ptrdiff_t>(i * k);
    const auto last = first + static_cast<std::ptrdiff_t>(k);
    batch.instance_rows.insert(batch.instance_rows.end(), examples.instances.rows.begin() + first,
                               examples.instances.rows.begin() + last);
    batch.similarities.insert(batch.similarities.end(),
                              examples.instances.similarities.begin() + first,
                              examples.instances.similarities.begin() + last);
  }
  return batch;
}

/// Predictions for the examples `share`, log2, in batches of `batch_size`.
std::vector<float> predict_range(model::Predictor& predictor, const bank::FeatureTable& queries,
                                 const bank::FeatureTable& memory, const Examples& examples,
                                 distributed::Share share, int batch_size) {
  std::vector<float> predictions;
  predictions.reserve(share.count);
  std::vector<std::size_t> indices;
  const std::size_t end = share.begin + share.count;
  for (std::size_t begin = share.begin; begin < end;) {
    const std::size_t size = std::min(static_cast<std::size_t>(batch_size), end - begin);
    indices.resize(size);
    std::iota(indices.begin(), indices.end(), begin);
    const std::vector<float> part =
        predictor.predict(make_batch(queries, memory, examples, indices));
    predictions.insert(predictions.end(), part.begin(), part.end());
    begin += size;
  }
  return predictions;
}

void check_instances(const Examples& examples) {
  const std::size_t expected =
      examples.rows.size() * static_cast<std::size_t>(std::max(0, examples.instances.k));
  if (examples.instances.rows.size() != expected ||
      examples.instances.similarities.size() != expected) {
    throw Error(ErrorKind::kInternal,
                "examples of " + std::to_string(examples.rows.size()) +
                    " rows with k = " + std::to_string(examples.instances.k) + " have " +
                    std::to_string(examples.instances.rows.size()) + " instances");
  }
}

std::vector<float> labels_of(const bank::FeatureTable& features,
                             std::span<const std::int32_t> rows) {
  std::vector<float> labels;
  labels.reserve(rows.size());
  for (const std::int32_t row : rows) {
    labels.push_back(features.log2_popularity(static_cast<std::size_t>(row)));
  }
  return labels;
}

/// Ranks stop together: none may wait for a step of one that has stopped.
bool is_stopped(const TrainOptions& options) {
  const bool stopped = options.stop.stop_requested();
  return distributed::is_alone(options.ranks) ? stopped
                                              : distributed::any_of(*options.ranks, stopped);
}

/// One pass over the training rows; the mean loss a row.
double run_epoch(model::IterativePredictor& predictor, const TrainingData& data,
                 const TrainOptions& options, int epoch, ProgressSink& progress) {
  const std::vector<std::size_t> order = order_of(data.train.rows.size(), options, epoch);
  const auto batch_size = static_cast<std::size_t>(options.batch_size);
  double loss = 0.0;
  progress.begin("epoch " + std::to_string(epoch), static_cast<std::int64_t>(order.size()));
  for (std::size_t begin = 0; begin < order.size(); begin += batch_size) {
    if (is_stopped(options)) throw Interrupted();
    const std::size_t size = std::min(batch_size, order.size() - begin);
    const model::Batch batch = make_batch(*data.features, *data.features, data.train,
                                          std::span(order).subspan(begin, size));
    loss += predictor.train_step(batch, labels_of(*data.features, batch.query_rows)) *
            static_cast<double>(size);
    progress.advance(static_cast<std::int64_t>(size));
  }
  progress.end();
  return loss / static_cast<double>(order.size());
}

/// Smaller is better. The rows' own error where all their labels are equal and nMSE is undefined.
double criterion(const EpochRecord& record) {
  return std::isnan(record.stop_nmse) ? record.stop_mae : record.stop_nmse;
}

std::string describe(const EpochRecord& record, bool best) {
  char line[200];
  std::snprintf(line, sizeof line,
                "epoch %d: training loss %.4f, validation nMSE %.4f, MAE %.4f, SRC %.4f, %.1f s%s",
                record.epoch, record.train_loss, record.stop_nmse, record.stop_mae, record.stop_src,
                record.seconds, best ? " (best so far)" : "");
  return line;
}

/// Each rank predicts its share. Zeros elsewhere add up to every rank's own numbers, bit by bit.
std::vector<float> predict_stop_rows(model::IterativePredictor& predictor, const TrainingData& data,
                                     const TrainOptions& options) {
  const auto predict = [&](std::size_t begin, std::size_t count) {
    return predict_range(predictor, *data.features, *data.features, data.stop, {begin, count},
                         options.batch_size);
  };
  const std::size_t total = data.stop.rows.size();
  if (distributed::is_alone(options.ranks)) return predict(0, total);
  distributed::Communicator& ranks = *options.ranks;
  const distributed::Share share = distributed::share_of(total, ranks.rank(), ranks.size());
  const std::vector<float> own = predict(share.begin, share.count);
  std::vector<double> all(total, 0.0);
  std::copy(own.begin(), own.end(), all.begin() + static_cast<std::ptrdiff_t>(share.begin));
  ranks.all_reduce_sum(all);
  return {all.begin(), all.end()};
}

EpochRecord measure(model::IterativePredictor& predictor, const TrainingData& data,
                    const TrainOptions& options) {
  const std::vector<float> predictions = predict_stop_rows(predictor, data, options);
  const evaluation::Metrics metrics =
      evaluation::compute_metrics(predictions, labels_of(*data.features, data.stop.rows));
  EpochRecord record;
  record.stop_nmse = metrics.nmse;
  record.stop_mae = metrics.mae;
  record.stop_src = metrics.src;
  return record;
}

/// The history of the checkpoint, whose state `predictor` then has; empty where there is none.
TrainingHistory resume(const Checkpoint& checkpoint, model::IterativePredictor& predictor,
                       const TrainOptions& options) {
  if (!options.resume) return {};
  if (!distributed::is_alone(options.ranks)) {
    return checkpoint.load_on_all(predictor, *options.ranks).value_or(TrainingHistory{});
  }
  return checkpoint.exists() ? checkpoint.load(predictor) : TrainingHistory{};
}

bool is_finished(const TrainingHistory& history, const TrainOptions& options) {
  const auto epochs = static_cast<int>(history.epochs.size());
  return epochs >= options.max_epochs ||
         (epochs > 0 && epochs - history.best_epoch >= options.patience);
}

}  // namespace

TrainingHistory train(model::IterativePredictor& predictor, const TrainingData& data,
                      const TrainOptions& options, ProgressSink& progress) {
  check(data, options);
  check_instances(data.train);
  check_instances(data.stop);
  const Checkpoint checkpoint(options.checkpoint_directory, options.run_fingerprint);
  predictor.divide_steps(options.num_micro_batches, options.ranks);
  TrainingHistory history = resume(checkpoint, predictor, options);
  if (!history.epochs.empty()) {
    progress.note("resuming after epoch " + std::to_string(history.epochs.back().epoch));
  }
  while (!is_finished(history, options)) {
    const auto start = Clock::now();
    const int epoch = static_cast<int>(history.epochs.size()) + 1;
    const double loss = run_epoch(predictor, data, options, epoch, progress);
    EpochRecord record = measure(predictor, data, options);
    record.epoch = epoch;
    record.train_loss = loss;
    record.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const bool best =
        history.best_epoch == 0 ||
        criterion(record) <
            criterion(history.epochs[static_cast<std::size_t>(history.best_epoch) - 1]);
    history.epochs.push_back(record);
    if (best) {
      history.best_epoch = epoch;
      predictor.keep_best();
    }
    if (distributed::is_first(options.ranks)) checkpoint.save(predictor, history);
    progress.note(describe(record, best));
  }
  predictor.restore_best();
  return history;
}

std::vector<float> predict_all(model::Predictor& predictor, const bank::FeatureTable& queries,
                               const bank::FeatureTable& memory, const Examples& examples,
                               int batch_size) {
  if (batch_size < 1) throw Error(ErrorKind::kInvalidInput, "a batch needs at least one row");
  check_instances(examples);
  return predict_range(predictor, queries, memory, examples, {0, examples.rows.size()}, batch_size);
}

model::Batch as_batch(const bank::FeatureTable& queries, const bank::FeatureTable& memory,
                      const Examples& examples) {
  check_instances(examples);
  std::vector<std::size_t> indices(examples.rows.size());
  std::iota(indices.begin(), indices.end(), std::size_t{0});
  return make_batch(queries, memory, examples, indices);
}

}  // namespace mmra::training
