#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <span>

#include "mmra/model/neural/network.h"
#include "mmra/model/neural/packed_features.h"
#include "mmra/model/neural/prediction_network.h"

namespace mmra::model::neural {

/// What the authors' public code computes (GitHub ICDM-UESTC/MMRA), quirks included: raw features
/// are aggregated before any layer, the attention over the single text token is all ones, so V_p is
/// the plain sum of the frames, the negatives are −α times the positives, tanh, elementwise
/// products. Weights have the names of the authors' code. Feature width d = max(d_v, d_t), the
/// narrower modality padded with zeros; text is one token, the mean of the first stored token and
/// the mean of all. What the authors' data always has is masked here: fewer frames, no video, no
/// title, fewer instances.
class ReleasedNetwork final : public Network {
 public:
  ReleasedNetwork(const MmraConfig& config, at::ScalarType dtype);
  [[nodiscard]] at::Tensor forward(const Batch& batch, const Draws& draws) const override;

 private:
  /// Raw features of one side: the query's own or the aggregated ones.
  struct Inputs {
    at::Tensor visual;        ///< [B × L × d]
    at::Tensor visual_mask;   ///< bool [B × L]
    bool all_frames = false;  ///< the mask is true everywhere
    at::Tensor text;          ///< [B × d]
  };
  /// The weights of one of the two sides.
  struct Side {
    Linear visual_embedding;
    Linear text_embedding;
    Linear dual_visual;  ///< dual_attention_linear_1: of T_p, T_n
    Linear dual_text;    ///< dual_attention_linear_2: of V_p, V_n
    Linear cross_visual;
    Linear cross_text;
    Linear pool_visual;
    Linear pool_text;
  };
  struct Output {
    at::Tensor visual;  ///< [B × d]
    at::Tensor text;
  };

  [[nodiscard]] Linear linear(const std::string& name, std::int64_t in, std::int64_t out);
  [[nodiscard]] Side make_side(const std::string& prefix);
  [[nodiscard]] Inputs own_inputs(const Batch& batch) const;
  [[nodiscard]] Inputs aggregated_inputs(const Batch& batch, std::span<const double> weights) const;
  [[nodiscard]] at::Tensor aggregated_label(const Batch& batch,
                                            std::span<const double> weights) const;
  [[nodiscard]] Output interact(const Side& side, const Inputs& inputs) const;
  /// [B × d]
  [[nodiscard]] static at::Tensor sum_of_frames(const Inputs& inputs);
  /// [P, N] Wᵀ with N = −α P.
  [[nodiscard]] at::Tensor dual(const Linear& layer, const at::Tensor& positive) const;

  MmraConfig config_;
  std::int64_t width_;
  Side own_;
  Side retrieved_;
  Linear label_;
  at::Tensor absent_visual_;  ///< [d], raw features that stand for a missing modality
  at::Tensor absent_text_;
  at::Tensor no_instance_label_;  ///< [1]
  PredictionNetwork prediction_;
};

}  // namespace mmra::model::neural
