#include "mmra/serving/inference.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "mmra/core/error.h"

namespace mmra::serving {
namespace {

using pipeline::EncodedQuery;
using pipeline::Prediction;
using pipeline::PredictionEngine;

void give_answer(PredictionEngine& engine, InferenceJob& job, Inferred inferred) {
  try {
    if (job.stop.stop_requested()) throw Interrupted();
    job.answer(engine, std::move(inferred));
  } catch (...) {
    job.fail(std::current_exception());
  }
}

}  // namespace

Inference::Inference(std::shared_ptr<PredictionEngine> engine, std::size_t capacity,
                     std::size_t max_batch, Metrics& metrics,
                     std::function<void(const PredictionEngine&)> refreshed)
    : capacity_(capacity),
      max_batch_(max_batch),
      metrics_(metrics),
      refreshed_(std::move(refreshed)),
      engine_(std::move(engine)),
      thread_([this] { work(); }) {}

Inference::~Inference() { finish(); }

bool Inference::try_submit(InferenceJob job) {
  const std::scoped_lock lock(mutex_);
  if (finishing_ || jobs_.size() >= capacity_) return false;
  jobs_.push_back(std::move(job));
  changed_.notify_one();
  return true;
}

void Inference::replace_engine(std::shared_ptr<PredictionEngine> engine) {
  const std::scoped_lock lock(mutex_);
  engine_.swap(engine);  // the old one goes when the last batch that has it is done
}

void Inference::offer_index(std::shared_ptr<const retrieval::SegmentedIndex> index) {
  const std::scoped_lock lock(mutex_);
  engine_->offer_index(std::move(index));
}

std::shared_ptr<const PredictionEngine> Inference::engine() const {
  const std::scoped_lock lock(mutex_);
  return engine_;
}

void Inference::finish() {
  {
    const std::scoped_lock lock(mutex_);
    finishing_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

std::size_t Inference::num_queued() const {
  const std::scoped_lock lock(mutex_);
  return jobs_.size();
}

/// Up to max_batch_ jobs from the front, those without clips first where there are any.
std::vector<InferenceJob> Inference::take_batch() {
  const auto is_quick = [](const InferenceJob& job) { return !job.query.has_clip(); };
  const bool any_quick = std::any_of(jobs_.begin(), jobs_.end(), is_quick);
  std::vector<InferenceJob> batch;
  for (auto job = jobs_.begin(); job != jobs_.end() && batch.size() < max_batch_;) {
    if (any_quick && !is_quick(*job)) {
      ++job;
      continue;
    }
    batch.push_back(std::move(*job));
    job = jobs_.erase(job);
  }
  return batch;
}

void Inference::work() {
  bool clips_waited = false;
  for (;;) {
    std::vector<InferenceJob> batch;
    std::shared_ptr<PredictionEngine> engine;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return finishing_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      // Words go first, but clips are not to wait for ever behind them.
      if (clips_waited && jobs_.front().query.has_clip()) {
        batch.push_back(std::move(jobs_.front()));
        jobs_.pop_front();
        clips_waited = false;
      } else {
        batch = take_batch();
        clips_waited = !jobs_.empty() && jobs_.front().query.has_clip();
      }
      engine = engine_;
    }
    run(*engine, std::move(batch));
  }
}

void Inference::run(PredictionEngine& engine, std::vector<InferenceJob> jobs) {
  try {
    engine.refresh();
    refreshed_(engine);
  } catch (...) {
    for (InferenceJob& job : jobs) job.fail(std::current_exception());
    return;
  }
  std::vector<InferenceJob*> together;
  std::vector<pipeline::Query> queries;
  for (InferenceJob& job : jobs) {
    if (job.stop.stop_requested()) {
      job.fail(std::make_exception_ptr(Interrupted()));
    } else if (!job.titles.empty()) {
      run_alone(engine, job);
    } else {
      together.push_back(&job);
      queries.push_back(job.query);
    }
  }
  if (together.empty()) return;
  metrics_.note_batch(queries.size());
  std::vector<EncodedQuery> encoded;
  try {
    encoded = engine.encode(queries, {});
  } catch (...) {  // of one of them; which one shows when each is alone
    for (InferenceJob* job : together) run_alone(engine, *job);
    return;
  }
  answer_together(engine, std::move(together), std::move(encoded));
}

/// Searches and the like first: they take no time. Then the predictions, made in one batch.
void Inference::answer_together(PredictionEngine& engine, std::vector<InferenceJob*> jobs,
                                std::vector<EncodedQuery> encoded) {
  std::vector<InferenceJob*> waiting;
  std::vector<EncodedQuery> queries;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!jobs[i]->wants_prediction) {
      Inferred inferred;
      inferred.queries.push_back(std::move(encoded[i]));
      give_answer(engine, *jobs[i], std::move(inferred));
      continue;
    }
    waiting.push_back(jobs[i]);
    queries.push_back(std::move(encoded[i]));
  }
  std::vector<Prediction> predictions;
  try {
    predictions = engine.predict_all(std::move(queries), {});
  } catch (...) {  // as above
    for (InferenceJob* job : waiting) run_alone(engine, *job);
    return;
  }
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    Inferred inferred;
    inferred.predictions.push_back(std::move(predictions[i]));
    give_answer(engine, *waiting[i], std::move(inferred));
  }
}

void Inference::run_alone(PredictionEngine& engine, InferenceJob& job) {
  Inferred inferred;
  try {
    auto encoded = job.titles.empty() ? engine.encode(std::span(&job.query, 1), job.stop)
                                      : engine.encode_titles(job.query, job.titles, job.stop);
    if (job.wants_prediction) {
      inferred.predictions = engine.predict_all(std::move(encoded), job.stop);
    } else {
      inferred.queries = std::move(encoded);
    }
  } catch (...) {
    job.fail(std::current_exception());
    return;
  }
  give_answer(engine, job, std::move(inferred));
}

}  // namespace mmra::serving
