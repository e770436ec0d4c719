#pragma once

#include <filesystem>
#include <string>

#include "mmra/bank/feature_table.h"
#include "mmra/model/mmra_config.h"
#include "mmra/model/neural_baseline_config.h"
#include "mmra/model/predictor.h"

namespace mmra::model {

// What the neural library exports by C names. Objects of C++ cross here, so both sides must have
// been compiled from the same headers: neural_abi() tells layouts apart that a forgotten build has
// mixed.

/// Raise the first number when a signature or the meaning of a field changes.
[[nodiscard]] inline std::string neural_abi() {
  return "4/" + std::to_string(sizeof(MmraConfig)) + "/" +
         std::to_string(sizeof(NeuralBaselineConfig)) + "/" + std::to_string(sizeof(Batch)) + "/" +
         std::to_string(sizeof(bank::FeatureTable));
}

inline constexpr char kAbiSymbol[] = "mmra_neural_abi";
inline constexpr char kMakeSymbol[] = "mmra_neural_make";
inline constexpr char kLoadSymbol[] = "mmra_neural_load";
inline constexpr char kMakeBaselineSymbol[] = "mmra_neural_make_baseline";
inline constexpr char kLoadBaselineSymbol[] = "mmra_neural_load_baseline";

/// The library's neural_abi(), static storage.
using AbiFunction = const char* (*)();
/// All give an object that the caller deletes, and throw mmra::Error.
using MakeFunction = IterativePredictor* (*)(const MmraConfig& config, int num_threads);
using MakeBaselineFunction = IterativePredictor* (*)(const NeuralBaselineConfig& config,
                                                     int num_threads);
/// Of both kinds.
using LoadFunction = Predictor* (*)(const std::filesystem::path& directory, int num_threads);

}  // namespace mmra::model
