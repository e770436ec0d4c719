#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "mmra/pipeline/predict.h"
#include "mmra/serving/metrics.h"

namespace mmra::serving {

/// What encoders and model made of a job's query: [1] or [titles].
struct Inferred {
  std::vector<pipeline::EncodedQuery> queries;    ///< where no prediction was wanted
  std::vector<pipeline::Prediction> predictions;  ///< where it was
};

/// One request's work for encoders and model.
struct InferenceJob {
  pipeline::Query query;
  /// Where there are any, the query's clip or record under each of them instead.
  std::vector<std::string> titles;
  std::stop_token stop;  ///< nobody waits any more
  /// Predictions are made together with those for others.
  bool wants_prediction = false;
  /// On the queue's thread. May throw.
  std::function<void(pipeline::PredictionEngine&, Inferred)> answer;
  /// On the queue's thread, instead or when `answer` threw.
  std::function<void(std::exception_ptr)> fail;
};

/// The only way to the model: a bounded queue before one thread, which takes what has gathered,
/// gives it to the encoders and to the model in one batch, and answers one after the other. Queries
/// of words alone go before those with clips, which may take seconds. A fault is that of the query
/// that has it.
class Inference {
 public:
  /// `refreshed` is called on the queue's thread whenever an engine has looked at the bank.
  Inference(std::shared_ptr<pipeline::PredictionEngine> engine, std::size_t capacity,
            std::size_t max_batch, Metrics& metrics,
            std::function<void(const pipeline::PredictionEngine&)> refreshed);
  Inference(const Inference&) = delete;
  Inference& operator=(const Inference&) = delete;
  ~Inference();

  /// False where the queue is full or finish() was called.
  [[nodiscard]] bool try_submit(InferenceJob job);
  /// Jobs that are taken from now on use this one.
  void replace_engine(std::shared_ptr<pipeline::PredictionEngine> engine);
  /// Jobs that are taken from now on search by the bank's index anew (PredictionEngine).
  void offer_index(std::shared_ptr<const retrieval::SegmentedIndex> index);
  [[nodiscard]] std::shared_ptr<const pipeline::PredictionEngine> engine() const;
  /// Does what is queued, then ends the thread. May be called twice.
  void finish();
  [[nodiscard]] std::size_t num_queued() const;

 private:
  void work();
  std::vector<InferenceJob> take_batch();
  void run(pipeline::PredictionEngine& engine, std::vector<InferenceJob> jobs);
  static void answer_together(pipeline::PredictionEngine& engine, std::vector<InferenceJob*> jobs,
                              std::vector<pipeline::EncodedQuery> encoded);
  static void run_alone(pipeline::PredictionEngine& engine, InferenceJob& job);

  std::size_t capacity_;
  std::size_t max_batch_;
  Metrics& metrics_;
  std::function<void(const pipeline::PredictionEngine&)> refreshed_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<InferenceJob> jobs_;
  std::shared_ptr<pipeline::PredictionEngine> engine_;
  bool finishing_ = false;
  std::thread thread_;
};

}  // namespace mmra::serving
