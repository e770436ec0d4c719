#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/core/precision.h"

namespace mmra::model {

enum class Variant {
  kPaper,     ///< the paper's equations
  kReleased,  ///< what the authors' public code does, quirks included
};
[[nodiscard]] std::string_view name_of(Variant variant) noexcept;  ///< "paper", "released"

/// What of the network is left out (Table 3); trained that way, not masked afterwards.
struct Without {
  bool retrieval = false;
  bool positive_attention = false;
  bool negative_attention = false;
  bool visual = false;
  bool text = false;
};

/// Everything that decides the network's shape and its training step. Saved as config.json.
struct MmraConfig {
  Variant variant = Variant::kPaper;
  int visual_dim = 0;  ///< d_v of the bank's encoders; 0: the bank has no visual encoder
  int text_dim = 0;    ///< d_t; 0: the bank has no text encoder
  int width = 256;     ///< d; the released variant takes max(d_v, d_t) instead
  /// Hidden layers of the prediction network. Empty: what the variant has by itself, one of `width`
  /// (paper) or 800 and 200 (released).
  std::vector<int> mlp_hidden;
  int k = 10;
  double alpha = 0.6;  ///< β = −(1−α)
  Without without;
  /// The weights of the instances are softmax(similarity_scale · similarity); 1 in the paper.
  double similarity_scale = 1.0;
  /// Divides the inner products of section 2.2.3 by √d, so that they are of the size of the other
  /// inputs whatever the width. A change of units of the first layer's weights, off in the
  /// equations.
  bool scaled_interactions = true;

  /// Of products in training, kFloat32 or kBFloat16; predictions and what is saved are float32.
  Precision precision = Precision::kFloat32;
  double learning_rate = 1e-4;
  double weight_decay = 0.0;  ///< decoupled (AdamW): weights shrink by learning_rate · this a step
  double dropout_input = 0.0;   ///< of the queries' features E
  double dropout_hidden = 0.0;  ///< of H and of the hidden layers of the prediction network
  double token_dropout = 0.0;   ///< leaves out whole tokens, never the first of an item
  double gradient_clip = 0.0;   ///< largest norm of the whole gradient; 0: no limit
  double ema_decay = 0.0;       ///< predictions use averaged weights; 0: the weights themselves
  std::uint64_t seed = 2024;
  /// Mean and standard deviation of the train labels (log2), so that the network works on
  /// standardised labels and starts at the mean.
  double label_mean = 0.0;
  double label_std = 1.0;
};

/// The dimensions and rates that make a network. Throws Error{kInvalidInput} naming the field, its
/// value and what is allowed.
void validate_config(const MmraConfig& config);

/// The hidden layers that the network gets: `mlp_hidden`, or the variant's own where that is empty.
[[nodiscard]] std::vector<int> hidden_sizes(const MmraConfig& config);

/// config.json of a model directory, whole or not at all.
void save_config(const MmraConfig& config, const std::filesystem::path& file);
/// Strict: unknown keys, missing keys and wrong types are Error{kCorruptData} naming file and key;
/// kNotFound where there is no file.
[[nodiscard]] MmraConfig load_config(const std::filesystem::path& file);

/// The same as text, and from text (`origin` names it in messages).
[[nodiscard]] std::string config_to_json(const MmraConfig& config);
[[nodiscard]] MmraConfig config_from_json(std::string_view text, const std::string& origin);

}  // namespace mmra::model
