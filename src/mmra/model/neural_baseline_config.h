#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "mmra/model/mmra_config.h"

namespace mmra::model {

/// The paper's baselines that are neural networks; docs/baselines/ has a page for each.
enum class NeuralBaseline { kClstm, kTmall, kMassl, kCban, kHmmved };

[[nodiscard]] std::span<const NeuralBaseline> all_neural_baselines() noexcept;
[[nodiscard]] std::string_view name_of(NeuralBaseline kind) noexcept;  ///< "clstm", "tmall", …
[[nodiscard]] std::optional<NeuralBaseline> parse_neural_baseline(std::string_view name) noexcept;

/// Everything that decides the shape and the training step of one. Saved as config.json.
struct NeuralBaselineConfig {
  NeuralBaseline kind = NeuralBaseline::kClstm;
  /// What the baseline's own paper means, or what the authors' public code of MMRA does.
  Variant variant = Variant::kPaper;
  int visual_dim = 0;  ///< d_v of the bank's encoders; 0: the bank has no visual encoder
  int text_dim = 0;    ///< d_t; 0: the bank has no text encoder
  int num_frames = 1;  ///< frames of a clip in the bank: rows of the released CBAN's pooling matrix
  int k = 10;          ///< instances a query retrieves; none of these networks looks at them
  bool without_visual = false;
  bool without_text = false;
  /// CLSTM: of the hidden states. TMALL: of the shared space. MASSL, HMMVED: of the latent z.
  /// CBAN, paper variant: of the tokens (released: the larger of the two dimensions).
  int width = 64;

  double kld_weight = 0.05;   ///< MASSL, HMMVED: weight of the divergence; the error has 1 − this
  double smoothness = 0.0;    ///< TMALL: μ, popularity is smooth over the shared space's graph
  double disagreement = 1.0;  ///< TMALL: λ, the shared space's graph is like each modality's
  /// Of products in training, kFloat32 or kBFloat16; predictions and what is saved are float32.
  Precision precision = Precision::kFloat32;
  double dropout_input = 0.0;   ///< of the features
  double dropout_hidden = 0.0;  ///< of what goes into the last layers
  double learning_rate = 1e-4;
  double weight_decay = 0.0;  ///< decoupled (AdamW): weights shrink by learning_rate · this a step
  double gradient_clip = 0.0;  ///< largest norm of the whole gradient; 0: no limit
  double ema_decay = 0.0;      ///< predictions use averaged weights; 0: the weights themselves
  std::uint64_t seed = 2024;   ///< of initialisation, dropout, sampling and shuffling
  /// Mean and standard deviation of the train labels (log2); 0 and 1 in the released variant, which
  /// learns the labels as they are.
  double label_mean = 0.0;
  double label_std = 1.0;

  [[nodiscard]] bool has_visual() const { return visual_dim > 0 && !without_visual; }
  [[nodiscard]] bool has_text() const { return text_dim > 0 && !without_text; }
};

/// The settings of a kind: released, those of the authors' code; paper, those chosen on the
/// validation split of MicroLens-100k (docs/baselines/).
[[nodiscard]] NeuralBaselineConfig default_config(NeuralBaseline kind, Variant variant);

/// Throws Error{kInvalidInput} naming the field, its value and what is allowed.
void validate_config(const NeuralBaselineConfig& config);

/// config.json of a model directory, whole or not at all.
void save_config(const NeuralBaselineConfig& config, const std::filesystem::path& file);
/// Strict, as load_config: Error{kCorruptData} naming file and key, kNotFound.
[[nodiscard]] NeuralBaselineConfig load_neural_baseline_config(const std::filesystem::path& file);

/// The same as text, and from text (`origin` names it in messages).
[[nodiscard]] std::string config_to_json(const NeuralBaselineConfig& config);
[[nodiscard]] NeuralBaselineConfig neural_baseline_config_from_json(std::string_view text,
                                                                    const std::string& origin);

}  // namespace mmra::model
