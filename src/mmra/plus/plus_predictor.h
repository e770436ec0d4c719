#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mmra/baselines/booster.h"
#include "mmra/model/predictor.h"
#include "mmra/plus/plus_config.h"
#include "mmra/plus/plus_features.h"
#include "mmra/plus/stacked_trees.h"

namespace mmra::plus {

/// mmra-plus (docs/mmra-plus.md): what the nearest instances say, read in two ways from one
/// similarity over lexical and dense spaces, what a title's words say, and context, put together by
/// boosted trees. Every train row is described by rows of other folds alone, so the trees learn on
/// what a new clip will look like.
class PlusPredictor final : public model::FittedPredictor {
 public:
  PlusPredictor(PlusConfig config, int num_threads);
  /// As saved in `directory`. Throws Error{kNotFound|kCorruptData} naming the file.
  PlusPredictor(PlusConfig config, const std::filesystem::path& directory, int num_threads);

  void fit(const model::LabelledBatch& train, const model::LabelledBatch& stop,
           const std::stop_token& stop_token, ProgressSink& progress) override;
  [[nodiscard]] std::string describe_fit() const override;
  [[nodiscard]] std::vector<float> predict(const model::Batch& batch) override;
  [[nodiscard]] std::optional<std::vector<std::vector<model::UsedInstance>>> used_instances(
      const model::Batch& batch, int k) override;
  void save(const std::filesystem::path& directory) const override;

  [[nodiscard]] const PlusConfig& config() const { return config_; }

 private:
  /// The memory of the batch's bank; kept from one batch to the next.
  [[nodiscard]] const Memory& memory_of(const model::Batch& batch);
  void forget_train_rows();
  [[nodiscard]] std::size_t num_features(const Parts& parts) const;
  [[nodiscard]] std::string grow(const FeatureMatrix& features, const std::vector<float>& targets,
                                 const Parts& parts, const std::stop_token& stop_token,
                                 ProgressSink& progress) const;
  /// The number of trees by cross-validation; leaves out what rests on other clips where, over the
  /// train rows, it helps by less than a standard error.
  void choose_parts(const FeatureMatrix& features, const model::LabelledBatch& train,
                    std::span<const std::int32_t> folds, const std::stop_token& stop_token,
                    ProgressSink& progress);
  /// Whether rows that nobody learned from are predicted worse with retrieval, by more than a
  /// standard error: near-copies among the train rows may be no guide to what is new.
  [[nodiscard]] bool retrieval_misleads(const std::string& with, const std::string& without,
                                        const Parts& fewer, const model::LabelledBatch& stop);

  PlusConfig config_;
  int num_threads_;
  FirstStage stage_;
  std::optional<baselines::Booster> trees_;
  std::string trees_bytes_;
  std::vector<std::string> findings_;

  struct MemoryKey {
    const bank::FeatureTable* features = nullptr;
    const bank::BankTable* table = nullptr;
    std::size_t num_rows = 0;
    std::uint64_t generation = 0;
    bool admits_splits[3] = {false, false, false};
    friend bool operator==(const MemoryKey&, const MemoryKey&) = default;
  };
  MemoryKey memory_key_;
  std::unique_ptr<Memory> memory_;
};

}  // namespace mmra::plus
