#pragma once

#include <ATen/ATen.h>

#include <optional>

#include "mmra/model/neural/bipolar_interaction.h"
#include "mmra/model/neural/network.h"
#include "mmra/model/neural/packed_features.h"
#include "mmra/model/neural/prediction_network.h"

namespace mmra::model::neural {

/// The network by the paper's equations (2.2): X = ReLU(E W + b); a bipolar interaction network on
/// the query's tokens and another, with weights of its own, on the tokens aggregated from the
/// instances; labels through a linear layer; six inner products; H = [V, T, V^r, T^r, L^r, I] to
/// one value. A query without a modality has one learned absent token in it, and so has an
/// aggregate none of whose instances has it; where there is no instance at all, learned tokens and
/// a learned label stand in.
class PaperNetwork final : public Network {
 public:
  PaperNetwork(const MmraConfig& config, at::ScalarType dtype);
  [[nodiscard]] at::Tensor forward(const Batch& batch, const Draws& draws) const override;

 private:
  struct ModalityWeights {
    Linear input;            ///< W_v or W_t; undefined where the bank has no such encoder
    at::Tensor absent;       ///< [1 × d]
    at::Tensor no_instance;  ///< [1 × d]; undefined without retrieval
  };
  struct ModalityTokens {
    Tokens query;
    Tokens aggregate;  ///< undefined without retrieval
  };

  [[nodiscard]] ModalityWeights make_modality(const std::string& name, int dim);
  [[nodiscard]] ModalityTokens make_tokens(const PackedFeatures& packed,
                                           const ModalityWeights& weights,
                                           const Draws& draws) const;
  [[nodiscard]] at::Tensor aggregated_label(const Batch& batch,
                                            std::span<const double> weights) const;

  MmraConfig config_;
  std::optional<ModalityWeights> visual_;
  std::optional<ModalityWeights> text_;
  std::optional<BipolarInteraction> own_;
  std::optional<BipolarInteraction> retrieved_;
  Linear label_;                  ///< [d × 1]
  at::Tensor no_instance_label_;  ///< [1 × d]
  PredictionNetwork prediction_;
};

}  // namespace mmra::model::neural
