#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "mmra/bank/memory_bank.h"

namespace mmra::pipeline {

/// Which rows training may retrieve from.
enum class Protocol {
  kHonest,   ///< everything retrieves from train
  kAuthors,  ///< train and validation for all splits, as the authors' code does
};
[[nodiscard]] std::string name_of(Protocol protocol);

/// training.json of a model directory: what the model was made from. Written last: a directory that
/// has it is whole.
struct TrainingCard {
  std::string model = "mmra";
  std::string encoders_name;
  std::string encoders_fingerprint;
  std::string popularity_unit;
  std::string popularity_horizon;
  int k = 10;
  Protocol protocol = Protocol::kHonest;
  std::int64_t num_train = 0;
  std::int64_t num_stop = 0;
  std::int64_t num_calibration = 0;
};

void save_training_card(const TrainingCard& card, const std::filesystem::path& model_directory);
/// Throws Error{kNotFound} where there is no (finished) model, {kCorruptData} naming the key.
[[nodiscard]] TrainingCard load_training_card(const std::filesystem::path& model_directory);

/// Throws Error{kInvalidInput} with both names where the bank was made by other encoders than the
/// model was trained with.
void check_same_encoders(const TrainingCard& card, const bank::BankSchema& schema);

}  // namespace mmra::pipeline
