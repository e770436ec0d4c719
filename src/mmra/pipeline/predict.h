#pragma once

#include <filesystem>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/bank/feature_table.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/encoders/encoder_set.h"
#include "mmra/model/predictor.h"
#include "mmra/pipeline/model_directory.h"
#include "mmra/pipeline/query.h"
#include "mmra/retrieval/byte_vectors.h"
#include "mmra/retrieval/index/segmented_index.h"
#include "mmra/training/calibration.h"

namespace mmra::pipeline {

/// What a prediction owes to one of its inputs. The instances stay the same without the video or
/// the title, though both took part in finding them: the effect is that of what the network sees.
struct PartEffect {
  std::string part;          ///< "video", "title" or "retrieval"
  double effect_log2 = 0.0;  ///< the prediction minus what it would be without it
  double popularity_without = 0.0;
  double share = 0.0;  ///< |effect| of all parts' sum; 0 where none has an effect
};

/// What the program says about one clip.
struct Prediction {
  double log2_popularity = 0.0;
  double popularity = 0.0;  ///< 2^log2_popularity, in `unit`
  double interval_level = 0.8;
  double interval_low = 0.0;  ///< popularity; the truth lies between with probability >= level
  double interval_high = 0.0;
  double error_scale = 1.0;  ///< the error that is expected of this query against an average one
  double percentile = 0.0;   ///< share of the bank's labelled records below, in percent
  std::string unit;
  std::string horizon;
  std::vector<Instance> instances;  ///< with their weights
  /// False where the model does not look at instances (its weights are then 0): they are shown
  /// for comparison only.
  bool instances_used = true;
  std::vector<PartEffect> parts;  ///< of what the query has
  std::vector<std::string> captions;
  std::vector<std::vector<std::uint8_t>> thumbnails;
  /// Of each frame (log2): the prediction minus what it would be without what the model sees of
  /// that frame; the others, and what was retrieved, stay. Empty with fewer than two frames.
  std::vector<double> frame_effects_log2;
  std::optional<std::string> warning;
};

/// A bank and a model, opened once for many predictions. The model loads on a thread of its own
/// (LibTorch takes half a second) while the first clip is decoded; where it cannot be loaded, every
/// prediction throws that. Not thread-safe.
class PredictionEngine {
 public:
  /// Throws where bank or model cannot be opened, or do not belong together (check_same_encoders).
  /// `horizon` ("7d"): labels so long after posting instead of those that the model learned.
  /// `network_threads`: of the model alone, where others than `num_threads` suit it. `opened`: the
  /// same bank where the caller has it open; its writer knows what has changed in it.
  PredictionEngine(const std::filesystem::path& bank_directory,
                   const std::filesystem::path& model_directory, int num_threads,
                   encoders::Precision precision = encoders::Precision::kAuto,
                   std::optional<int> network_threads = {}, const std::string& horizon = {},
                   std::shared_ptr<const bank::MemoryBank> opened = nullptr);

  [[nodiscard]] Prediction predict(const Query& query, const std::stop_token& stop);
  /// [titles] what predict() says of the clip or stored record under each of them (`query.title` is
  /// not looked at). The clip is decoded and encoded once.
  [[nodiscard]] std::vector<Prediction> predict_titles(const Query& query,
                                                       const std::vector<std::string>& titles,
                                                       const std::stop_token& stop);

  // The steps of the above, for who has many queries at once. What one query gives does not depend
  // on the others.

  /// Throws where the bank's features were made elsewhere, so that this query cannot be asked.
  void check(const Query& query) const;
  [[nodiscard]] std::vector<EncodedQuery> encode(std::span<const Query> queries,
                                                 const std::stop_token& stop) const;
  /// The query's clip or stored record under each title.
  [[nodiscard]] std::vector<EncodedQuery> encode_titles(const Query& query,
                                                        const std::vector<std::string>& titles,
                                                        const std::stop_token& stop) const;
  [[nodiscard]] Prediction predict(EncodedQuery query, const std::stop_token& stop);
  /// [queries] what predict() says of each, to the last digits of float32: the model is asked once
  /// for all of them.
  [[nodiscard]] std::vector<Prediction> predict_all(std::vector<EncodedQuery> queries,
                                                    const std::stop_token& stop);
  /// The k most similar labelled records, best first, weighed evenly.
  [[nodiscard]] std::vector<Instance> search(const EncodedQuery& query, int k,
                                             const std::stop_token& stop) const;

  /// Looks at the bank as it is now: predictions see its present records and labels from here on.
  /// Reads nothing where it has not changed.
  void refresh();
  /// The next refresh() takes the bank's index again, and from this one the segments that it has
  /// read. Thread-safe.
  void offer_index(std::shared_ptr<const retrieval::SegmentedIndex> index);
  /// Waits for network and encoders, and throws why they cannot be loaded.
  void wait_until_loaded() const {
    static_cast<void>(predictor_.get());
    encoders_.load();
  }

  [[nodiscard]] const training::Calibration& calibration() const { return calibration_; }
  [[nodiscard]] const encoders::EncoderTraits& encoder_traits() const { return encoders_.traits(); }
  [[nodiscard]] int num_instances() const { return card_.k; }
  [[nodiscard]] const bank::MemoryBank& bank() const { return *bank_; }
  /// Null where search is exact.
  [[nodiscard]] const std::shared_ptr<const retrieval::SegmentedIndex>& index() const {
    return index_;
  }
  /// Of the labelled records, ascending.
  [[nodiscard]] const std::vector<double>& sorted_popularity() const { return sorted_popularity_; }

 private:
  struct Asked;
  struct BatchTables;

  void read_table(const retrieval::SegmentedIndex* read_already);
  void read_index(const retrieval::SegmentedIndex* read_already);
  [[nodiscard]] retrieval::RetrievalResult find_similar(const EncodedQuery& query, int k,
                                                        const retrieval::RetrievalPolicy& policy,
                                                        const std::stop_token& stop) const;
  [[nodiscard]] Asked retrieve(const EncodedQuery& query, BatchTables& tables,
                               const std::stop_token& stop) const;
  [[nodiscard]] model::Batch choose_instances(const EncodedQuery& query, const Asked& asked,
                                              Prediction& prediction) const;
  [[nodiscard]] std::vector<Prediction> predict_together(std::vector<EncodedQuery> queries,
                                                         const std::stop_token& stop);
  void set_number(double log2_popularity, const training::ErrorSignals& signals,
                  Prediction& prediction) const;

  int num_threads_;
  std::filesystem::path bank_directory_;
  std::shared_ptr<const bank::MemoryBank> bank_;
  bank::BankSchema schema_;
  TrainingCard card_;
  std::optional<double> similarity_scale_;  ///< nothing: the model does not look at instances
  bool rows_are_independent_;               ///< of the other rows of a batch
  training::Calibration calibration_;
  std::shared_future<std::shared_ptr<model::Predictor>> predictor_;
  encoders::EncoderSet encoders_;
  bank::FeatureColumns columns_;
  std::optional<bank::FeatureTable> memory_;  ///< of a model that looks at more than k instances
  std::shared_ptr<const bank::BankTable> table_;
  std::shared_ptr<const retrieval::SegmentedIndex> index_;  ///< of a bank that has one
  std::mutex offered_mutex_;
  std::shared_ptr<const retrieval::SegmentedIndex> offered_index_;  ///< for the next refresh()
  std::optional<retrieval::ByteVectors> bytes_;  ///< of a large table without one
  std::vector<double> sorted_popularity_;        ///< of the labelled records, ascending
};

}  // namespace mmra::pipeline
