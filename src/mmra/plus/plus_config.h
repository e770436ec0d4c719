#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/plus/similarity_index.h"

namespace mmra::plus {

/// A context column that the model looks at.
struct UsedColumn {
  std::string name;
  bank::ColumnType type = bank::ColumnType::kNumber;
  friend bool operator==(const UsedColumn&, const UsedColumn&) = default;
};

/// What the trees see; without all but context, they are trees on context alone.
struct Parts {
  bool kernel = true;      ///< the kernel ridge's prediction
  bool neighbours = true;  ///< how the nearest rows fared
  bool keys = true;        ///< how rows with the same hashtags, words and pairs fared
  bool shape = true;       ///< what the title looks like
  friend bool operator==(const Parts&, const Parts&) = default;
};

/// How the trees are grown.
struct TreeSettings {
  int max_rounds = 1500;
  int patience = 50;  ///< rounds without a smaller cross-validated error
  int max_depth = 4;
  double learning_rate = 0.03;
  double min_child_weight = 20.0;
  double subsample = 0.7;
  double column_share = 0.5;
  double l2 = 5.0;
  int max_bins = 64;
  int num_rounds = 0;       ///< that were kept, found by fit
  std::string fingerprint;  ///< of model.ubj, found by fit
};

/// Everything that decides an mmra-plus model but its arrays. Saved as config.json.
struct PlusConfig {
  int retrieval_dim = 0;  ///< of the bank's retrieval vectors; 0: it has none
  int visual_dim = 0;     ///< d_v of the bank's encoders; 0: it has no visual encoder
  int k = 10;             ///< instances that a prediction shows
  std::uint64_t seed = 2024;
  int num_folds = 10;
  bool without_visual = false;
  bool without_text = false;
  Parts parts;              ///< asked for; after fit, those that were kept
  bool has_visual = false;  ///< a train row had frames; found by fit
  Kernel kernel;
  double lambda = 0.0;  ///< of the kernel ridge; 0: to be found by fit
  std::vector<UsedColumn> columns;
  TreeSettings trees;
  double label_mean = 0.0;  ///< log2, of the train rows; found by fit
};

/// Throws Error{kInvalidInput} naming the field, its value and what is allowed.
void validate_config(const PlusConfig& config);

[[nodiscard]] std::string config_to_json(const PlusConfig& config);
/// Strict, as model::load_config: Error{kCorruptData} naming `origin` and key.
[[nodiscard]] PlusConfig config_from_json(std::string_view text, const std::string& origin);
void save_config(const PlusConfig& config, const std::filesystem::path& file);
[[nodiscard]] PlusConfig load_config(const std::filesystem::path& file);

}  // namespace mmra::plus
