#include "mmra/pipeline/systems.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "mmra/baselines/baseline.h"
#include "mmra/core/error.h"
#include "mmra/model/mmra_config.h"
#include "mmra/model/neural_library.h"
#include "mmra/pipeline/train.h"
#include "mmra/plus/plus_predictor.h"

namespace mmra::pipeline {
namespace {

constexpr char kConfigFile[] = "config.json";

double mean_of(const std::vector<float>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// 1 where all are equal, so that it can be divided by.
double deviation_of(const std::vector<float>& values, double mean) {
  double squares = 0.0;
  for (const float value : values) squares += (value - mean) * (value - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(values.size()));
  return deviation > 0.0 ? deviation : 1.0;
}

/// training.json and config.json must speak of one model.
[[noreturn]] void refuse_other_model(const std::filesystem::path& directory, std::string_view found,
                                     std::string_view expected) {
  throw Error(ErrorKind::kCorruptData, (directory / kConfigFile).string() + " is of the model \"" +
                                           std::string(found) + "\", expected \"" +
                                           std::string(expected) +
                                           "\" as training.json says; train the model again");
}

class Mmra final : public System {
 public:
  [[nodiscard]] std::string_view name() const override { return "mmra"; }
  [[nodiscard]] std::string_view summary() const override {
    return "the paper's retrieval-augmented network";
  }
  void take_from_bank(TrainRequest& request, const bank::BankSchema& schema,
                      const std::vector<float>& train_labels) const override {
    request.config.visual_dim = schema.visual_dim;
    request.config.text_dim = schema.text_dim;
    request.config.label_mean = mean_of(train_labels);
    request.config.label_std = deviation_of(train_labels, request.config.label_mean);
  }
  [[nodiscard]] int num_instances(const TrainRequest& request) const override {
    return request.config.k;
  }
  [[nodiscard]] std::uint64_t seed(const TrainRequest& request) const override {
    return request.config.seed;
  }
  [[nodiscard]] bool learns_in_epochs() const override { return true; }
  [[nodiscard]] std::string config_text(const TrainRequest& request) const override {
    return model::config_to_json(request.config);
  }
  [[nodiscard]] Learner make(const TrainRequest& request) const override {
    return model::make_mmra(request.config, request.num_threads);
  }
  [[nodiscard]] std::unique_ptr<model::Predictor> load(const std::filesystem::path& directory,
                                                       int num_threads) const override {
    return model::load_mmra(directory, num_threads);
  }
  [[nodiscard]] std::optional<double> similarity_scale(
      const std::filesystem::path& directory) const override {
    const model::MmraConfig config = model::load_config(directory / kConfigFile);
    if (config.without.retrieval) return std::nullopt;
    return config.similarity_scale;
  }
};

class Baseline final : public System {
 public:
  Baseline(baselines::Kind kind, std::string_view summary) : kind_(kind), summary_(summary) {}

  [[nodiscard]] std::string_view name() const override { return baselines::name_of(kind_); }
  [[nodiscard]] std::string_view summary() const override { return summary_; }
  void take_from_bank(TrainRequest& request, const bank::BankSchema& schema,
                      const std::vector<float>& /*train_labels*/) const override {
    request.baseline.kind = kind_;
    request.baseline.visual_dim = schema.visual_dim;
    request.baseline.text_dim = schema.text_dim;
  }
  [[nodiscard]] int num_instances(const TrainRequest& request) const override {
    return request.baseline.k;
  }
  [[nodiscard]] std::uint64_t seed(const TrainRequest& request) const override {
    return request.baseline.seed;
  }
  /// The trees sample neither rows nor columns, the others have nothing random either.
  [[nodiscard]] bool depends_on_seed() const override { return false; }
  [[nodiscard]] std::string config_text(const TrainRequest& request) const override {
    return baselines::config_to_json(request.baseline);
  }
  [[nodiscard]] Learner make(const TrainRequest& request) const override {
    return baselines::make_baseline(request.baseline, request.num_threads);
  }
  [[nodiscard]] std::unique_ptr<model::Predictor> load(const std::filesystem::path& directory,
                                                       int num_threads) const override {
    (void)load_own_config(directory);
    return baselines::load_baseline(directory, num_threads);
  }
  [[nodiscard]] std::optional<double> similarity_scale(
      const std::filesystem::path& directory) const override {
    const baselines::BaselineConfig config = load_own_config(directory);
    if (!baselines::uses_instances(config.kind)) return std::nullopt;
    return config.similarity_scale;
  }

 private:
  [[nodiscard]] baselines::BaselineConfig load_own_config(
      const std::filesystem::path& directory) const {
    baselines::BaselineConfig config = baselines::load_config(directory / kConfigFile);
    if (config.kind != kind_) {
      refuse_other_model(directory, baselines::name_of(config.kind), name());
    }
    return config;
  }

  baselines::Kind kind_;
  std::string_view summary_;
};

/// The columns that `use` names, typed as the bank has them; "name:category" takes numbers (of
/// creators, say) for names.
std::vector<plus::UsedColumn> used_columns(const std::vector<std::string>& use,
                                           const bank::BankSchema& schema) {
  constexpr std::string_view kAsCategory = ":category";
  std::vector<plus::UsedColumn> columns;
  for (const std::string& item : use) {
    std::string name = item;
    const bool as_category = name.ends_with(kAsCategory) && !schema.context_columns.contains(name);
    if (as_category) name.resize(name.size() - kAsCategory.size());
    const auto column = schema.context_columns.find(name);
    if (column == schema.context_columns.end()) {
      std::string names;
      for (const auto& [known, type] : schema.context_columns) {
        names += (names.empty() ? "" : ", ") + known;
      }
      throw Error(
          ErrorKind::kInvalidInput,
          "the bank has no context column \"" + name + "\" to use; it has " +
              (names.empty() ? "none (further columns of the manifest become context)" : names));
    }
    columns.push_back({name, as_category ? bank::ColumnType::kCategory : column->second});
  }
  return columns;
}

class MmraPlus final : public System {
 public:
  [[nodiscard]] std::string_view name() const override { return "mmra-plus"; }
  [[nodiscard]] std::string_view summary() const override {
    return "ours, not the paper's: fused retrieval, words and context, put together by trees";
  }
  [[nodiscard]] bank::FeatureColumns feature_columns() const override {
    return {/*tokens=*/false, /*details=*/true};
  }
  void take_from_bank(TrainRequest& request, const bank::BankSchema& schema,
                      const std::vector<float>& /*train_labels*/) const override {
    request.plus.retrieval_dim = schema.retrieval_dim;
    request.plus.visual_dim = schema.visual_dim;
    request.plus.columns = used_columns(request.use, schema);
  }
  [[nodiscard]] int num_instances(const TrainRequest& request) const override {
    return request.plus.k;
  }
  [[nodiscard]] std::uint64_t seed(const TrainRequest& request) const override {
    return request.plus.seed;
  }
  [[nodiscard]] std::string config_text(const TrainRequest& request) const override {
    return plus::config_to_json(request.plus);
  }
  [[nodiscard]] Learner make(const TrainRequest& request) const override {
    return std::make_unique<plus::PlusPredictor>(request.plus, request.num_threads);
  }
  [[nodiscard]] std::unique_ptr<model::Predictor> load(const std::filesystem::path& directory,
                                                       int num_threads) const override {
    return std::make_unique<plus::PlusPredictor>(plus::load_config(directory / kConfigFile),
                                                 directory, num_threads);
  }
  [[nodiscard]] std::optional<double> similarity_scale(
      const std::filesystem::path& directory) const override {
    const plus::PlusConfig config = plus::load_config(directory / kConfigFile);
    if (!config.parts.neighbours && !config.parts.kernel) return std::nullopt;
    return plus::kNeighbourScale;
  }
};

class NeuralBaselineSystem final : public System {
 public:
  NeuralBaselineSystem(model::NeuralBaseline kind, std::string_view summary)
      : kind_(kind), summary_(summary) {}

  [[nodiscard]] std::string_view name() const override { return model::name_of(kind_); }
  [[nodiscard]] std::string_view summary() const override { return summary_; }
  void take_from_bank(TrainRequest& request, const bank::BankSchema& schema,
                      const std::vector<float>& train_labels) const override {
    model::NeuralBaselineConfig& config = request.neural_baseline;
    config.kind = kind_;
    config.visual_dim = schema.visual_dim;
    config.text_dim = schema.text_dim;
    config.num_frames = std::max(1, schema.num_frames);
    if (config.variant == model::Variant::kReleased) return;  // learns the labels as they are
    config.label_mean = mean_of(train_labels);
    config.label_std = deviation_of(train_labels, config.label_mean);
  }
  [[nodiscard]] int num_instances(const TrainRequest& request) const override {
    return request.neural_baseline.k;
  }
  [[nodiscard]] std::uint64_t seed(const TrainRequest& request) const override {
    return request.neural_baseline.seed;
  }
  [[nodiscard]] bool learns_in_epochs() const override { return true; }
  [[nodiscard]] std::string config_text(const TrainRequest& request) const override {
    return model::config_to_json(request.neural_baseline);
  }
  [[nodiscard]] Learner make(const TrainRequest& request) const override {
    return model::make_neural_baseline(request.neural_baseline, request.num_threads);
  }
  [[nodiscard]] std::unique_ptr<model::Predictor> load(const std::filesystem::path& directory,
                                                       int num_threads) const override {
    check_kind(directory);
    return model::load_neural_baseline(directory, num_threads);
  }
  [[nodiscard]] std::optional<double> similarity_scale(
      const std::filesystem::path& directory) const override {
    check_kind(directory);
    return std::nullopt;
  }
  [[nodiscard]] bool rows_are_independent(const std::filesystem::path& directory) const override {
    // Released ones repeat a fault of the authors' code, which takes frames for rows.
    return model::load_neural_baseline_config(directory / kConfigFile).variant !=
           model::Variant::kReleased;
  }

 private:
  void check_kind(const std::filesystem::path& directory) const {
    const auto config = model::load_neural_baseline_config(directory / kConfigFile);
    if (config.kind != kind_) refuse_other_model(directory, model::name_of(config.kind), name());
  }

  model::NeuralBaseline kind_;
  std::string_view summary_;
};

const System* find(std::string_view name) {
  for (const System* system : all_systems()) {
    if (system->name() == name) return system;
  }
  return nullptr;
}

}  // namespace

std::span<const System* const> all_systems() {
  using baselines::Kind;
  static const Mmra kMmra;
  static const MmraPlus kPlus;
  static const Baseline kSvr(Kind::kSvr, "support vectors with an RBF kernel (libsvm)");
  static const Baseline kHyfea(Kind::kHyfea, "gradient-boosted trees (XGBoost)");
  using model::NeuralBaseline;
  static const NeuralBaselineSystem kClstm(NeuralBaseline::kClstm,
                                           "LSTMs over the frames and the title");
  static const NeuralBaselineSystem kTmall(NeuralBaseline::kTmall,
                                           "a shared space with graph penalties, transductive");
  static const NeuralBaselineSystem kMassl(NeuralBaseline::kMassl,
                                           "variational, a convolutional decoder");
  static const NeuralBaselineSystem kCban(NeuralBaseline::kCban,
                                          "direct and inverse attention, without retrieval");
  static const NeuralBaselineSystem kHmmved(NeuralBaseline::kHmmved,
                                            "variational, a product of experts");
  static const Baseline kRidge(Kind::kRidge, "a linear model of the same features");
  static const Baseline kKnn(Kind::kKnn, "the weighted mean of the k instances' labels");
  static const Baseline kMean(Kind::kMean, "the mean of the train labels");
  static const std::array<const System*, 12> kSystems = {&kMmra,   &kPlus,  &kSvr,   &kHyfea,
                                                         &kClstm,  &kTmall, &kMassl, &kCban,
                                                         &kHmmved, &kRidge, &kKnn,   &kMean};
  return kSystems;
}

std::string names_of_systems() {
  std::string names;
  for (const System* system : all_systems()) {
    names += (names.empty() ? "" : ", ") + std::string(system->name());
  }
  return names;
}

const System& find_system(std::string_view name) {
  if (const System* system = find(name); system != nullptr) return *system;
  throw Error(ErrorKind::kInvalidInput,
              "there is no model \"" + std::string(name) + "\"; there are " + names_of_systems());
}

const System& system_of_model(std::string_view name, const std::filesystem::path& model_directory) {
  if (const System* system = find(name); system != nullptr) return *system;
  throw Error(ErrorKind::kUnsupported, model_directory.string() + " holds a model \"" +
                                           std::string(name) + "\"; this program knows " +
                                           names_of_systems());
}

}  // namespace mmra::pipeline
