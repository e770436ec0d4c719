#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mmra::baselines {

/// The baselines without a neural network; docs/baselines/ has a page for each.
enum class Kind { kMean, kKnn, kRidge, kSvr, kHyfea };

[[nodiscard]] std::span<const Kind> all_kinds() noexcept;
[[nodiscard]] std::string_view name_of(Kind kind) noexcept;  ///< "mean", "knn", …
[[nodiscard]] std::optional<Kind> parse_kind(std::string_view name) noexcept;
/// Whether predictions depend on the retrieved instances.
[[nodiscard]] bool uses_instances(Kind kind) noexcept;

/// scikit-learn's defaults for an RBF kernel.
struct SvrSettings {
  double c = 1.0;
  double epsilon = 0.1;
  double gamma = 0.0;  ///< 0: 1 / (features · variance of all of them), "scale"; found by fit
};

/// HyFea's trees, as the authors' code sets them.
struct HyfeaSettings {
  int num_rounds = 500;  ///< at most
  int max_depth = 10;
  double learning_rate = 0.03;
  int patience = 20;    ///< rounds without a smaller error on the stop rows
  int num_frames = 0;   ///< frames that are features; the most that a train row has, found by fit
  int best_rounds = 0;  ///< rounds that are kept, found by fit
  std::string trees_fingerprint;  ///< of model.ubj, found by fit
};

/// Everything that decides a baseline. Saved as config.json, with the settings of its kind alone.
struct BaselineConfig {
  Kind kind = Kind::kMean;
  int visual_dim = 0;         ///< d_v of the bank's encoders; 0: the bank has no visual encoder
  int text_dim = 0;           ///< d_t; 0: the bank has no text encoder
  int k = 10;                 ///< instances a query retrieves
  std::uint64_t seed = 2024;  ///< of the trees; the others have nothing random
  bool without_visual = false;
  bool without_text = false;
  double label_mean = 0.0;        ///< log2, of the train rows; found by fit
  double similarity_scale = 1.0;  ///< kKnn: weights are softmax(scale · similarity); found by fit
  double lambda = 1.0;            ///< kRidge: the penalty; found by fit
  SvrSettings svr;
  HyfeaSettings hyfea;
};

/// Throws Error{kInvalidInput} naming the field, its value and what is allowed.
void validate_config(const BaselineConfig& config);

/// config.json of a model directory, whole or not at all.
void save_config(const BaselineConfig& config, const std::filesystem::path& file);
/// Strict, as model::load_config: Error{kCorruptData} naming file and key, kNotFound.
[[nodiscard]] BaselineConfig load_config(const std::filesystem::path& file);

/// The same as text, and from text (`origin` names it in messages).
[[nodiscard]] std::string config_to_json(const BaselineConfig& config);
[[nodiscard]] BaselineConfig config_from_json(std::string_view text, const std::string& origin);

}  // namespace mmra::baselines
