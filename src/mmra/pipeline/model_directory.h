#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "mmra/bank/memory_bank.h"
#include "mmra/retrieval/retrieval_policy.h"

namespace mmra::pipeline {

/// How rows are divided, what they may retrieve and how batches and scores are made
/// (docs/experiments.md).
enum class Protocol {
  kHonest,  ///< the bank's splits; everything retrieves from train
  /// As the authors' code does: train and validation retrieved for all splits, batches in the order
  /// of the rows.
  kAuthors,
  /// Splits by the time of posting: train on the past, score on what came after. Everything
  /// retrieves from train.
  kChronological,
};
[[nodiscard]] std::string name_of(Protocol protocol);
[[nodiscard]] std::optional<Protocol> parse_protocol(std::string_view name);

/// Where the protocol kChronological divides: train was posted before `valid_from`, validation from
/// then and before `test_from`, test from then on.
struct TimeCuts {
  Timestamp valid_from;
  Timestamp test_from;
};

/// Of the rows that training, evaluation and retrieval see.
struct RowRules {
  Protocol protocol = Protocol::kHonest;
  std::optional<TimeCuts> cuts;  ///< of kChronological, found when the model is trained
  retrieval::Choice instances = retrieval::Choice::kSimilar;
  /// Rows that are nearly the same as one of a later split (train < valid < test) neither train nor
  /// are retrieved.
  bool drop_near_duplicates = false;
};

/// training.json of a model directory: what the model was made from. Written last: a directory that
/// has it is whole.
struct TrainingCard {
  std::string model = "mmra";
  std::string encoders_name;
  std::string encoders_fingerprint;
  std::string popularity_unit;
  std::string popularity_horizon;
  int k = 10;
  RowRules rules;
  std::int64_t num_train = 0;
  std::int64_t num_stop = 0;
  std::int64_t num_calibration = 0;
};

[[nodiscard]] std::string training_card_to_json(const TrainingCard& card);
/// Throws Error{kCorruptData} naming `origin` and the key, {kUnsupported} for a newer version.
[[nodiscard]] TrainingCard training_card_from_json(std::string_view text,
                                                   const std::string& origin);
void save_training_card(const TrainingCard& card, const std::filesystem::path& model_directory);
/// Throws Error{kNotFound} where there is no (finished) model, else as training_card_from_json.
[[nodiscard]] TrainingCard load_training_card(const std::filesystem::path& model_directory);

/// Throws Error{kInvalidInput} with both names where the bank was made by other encoders than the
/// model was trained with.
void check_same_encoders(const TrainingCard& card, const bank::BankSchema& schema);

}  // namespace mmra::pipeline
