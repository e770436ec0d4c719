#pragma once

#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/bank/feature_table.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/encoders/encoder_set.h"
#include "mmra/model/predictor.h"
#include "mmra/pipeline/model_directory.h"
#include "mmra/pipeline/query.h"
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
  double percentile = 0.0;  ///< share of the bank's labelled records below, in percent
  std::string unit;
  std::string horizon;
  std::vector<Instance> instances;  ///< with their weights
  /// False where the model does not look at instances (its weights are then 0): they are shown
  /// for comparison only.
  bool instances_used = true;
  std::vector<PartEffect> parts;  ///< of what the query has
  std::vector<std::string> captions;
  std::vector<std::vector<std::uint8_t>> thumbnails;
  std::optional<std::string> warning;
};

/// A bank and a model, opened once for many predictions. The model loads on a thread of its own
/// (LibTorch takes half a second) while the first clip is decoded; where it cannot be loaded, every
/// prediction throws that. Not thread-safe.
class PredictionEngine {
 public:
  /// Throws where bank or model cannot be opened, or do not belong together (check_same_encoders).
  /// `horizon` ("7d"): labels so long after posting instead of those that the model learned.
  PredictionEngine(const std::filesystem::path& bank_directory,
                   const std::filesystem::path& model_directory, int num_threads,
                   encoders::Precision precision = encoders::Precision::kAuto,
                   const std::string& horizon = {});

  [[nodiscard]] Prediction predict(const Query& query, const std::stop_token& stop);
  [[nodiscard]] const bank::MemoryBank& bank() const { return *bank_; }

 private:
  int num_threads_;
  std::unique_ptr<bank::MemoryBank> bank_;
  bank::BankSchema schema_;
  TrainingCard card_;
  std::optional<double> similarity_scale_;  ///< nothing: the model does not look at instances
  training::Calibration calibration_;
  std::shared_future<std::shared_ptr<model::Predictor>> predictor_;
  encoders::EncoderSet encoders_;
  std::optional<bank::FeatureTable> memory_;  ///< of a model that looks at more than k instances
  std::shared_ptr<const bank::BankTable> table_;
  std::vector<double> sorted_popularity_;  ///< of the labelled records, ascending
};

}  // namespace mmra::pipeline
