#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "mmra/model/neural/baselines/layers.h"
#include "mmra/model/neural/baselines/query_tokens.h"
#include "mmra/model/neural/network.h"
#include "mmra/model/neural_baseline_config.h"

namespace mmra::model::neural {

/// CBAN as its paper means it: between every frame v_i and every word t_j the additive score S_ij =
/// u · tanh(W_v v_i + W_t t_j); direct attention softmax(S) and inverse attention softmax(−S), over
/// the words for a frame and over the frames for a word; X̃ = tanh([X, tanh([P, N] W₁)] W₂);
/// attentive pooling over any number of tokens; a linear layer. Frames and words come from the
/// features by a linear layer each, `width` wide. A modality that a row lacks is one learned token.
class CbanNetwork final : public Network {
 public:
  CbanNetwork(const NeuralBaselineConfig& config, at::ScalarType dtype);
  [[nodiscard]] at::Tensor forward(const Batch& batch, const Draws& draws) const override;

 private:
  struct Side {
    Modality modality = Modality::kText;
    Linear input;
    at::Tensor absent;   ///< [width]
    Linear score;        ///< W of S; these two are undefined where the other modality is left out
    Linear attended;     ///< W₁ [width × 2·width]
    Linear fuse;         ///< W₂
    Linear pool_hidden;  ///< A of the pooling softmax(u · tanh(x Aᵀ + b))
    Linear pool_score;   ///< its u, without a bias
  };

  void add_side(Modality modality, const std::string& name, int dim);
  [[nodiscard]] Padded tokens_of_side(const Side& side, const Batch& batch,
                                      const Draws& draws) const;
  /// Of the first side's tokens to the second's: S [B × n₁ × n₂].
  [[nodiscard]] at::Tensor scores(const Padded& first, const Padded& second) const;
  /// The tokens' sum, weighted by the pooling's softmax: [B × width].
  [[nodiscard]] static at::Tensor pool(const Side& side, const Padded& tokens);
  /// `seen` [B × n × width] through both attentions of S [B × m × n]: [B × m × 2·width].
  [[nodiscard]] static at::Tensor attend(const at::Tensor& scores, const Padded& seen);

  NeuralBaselineConfig config_;
  std::vector<Side> sides_;  ///< visual, text
  at::Tensor combine_;       ///< u [width]
  Linear predict_;
};

/// CBAN in the authors' code: the text is one vector, so that the frames are summed and the inverse
/// attention is the direct one, negated; pooling is a sum weighted by tanh(u · (X + M)), not a
/// softmax, and M has a row for each frame. Weights have the names of their code. Frames beyond M's
/// rows take its last row.
class ReleasedCbanNetwork final : public Network {
 public:
  ReleasedCbanNetwork(const NeuralBaselineConfig& config, at::ScalarType dtype);
  [[nodiscard]] at::Tensor forward(const Batch& batch, const Draws& draws) const override;

 private:
  [[nodiscard]] Padded frames(const Batch& batch, const Draws& draws) const;
  [[nodiscard]] at::Tensor text(const Batch& batch, const Draws& draws) const;
  [[nodiscard]] at::Tensor pool_frames(const at::Tensor& fused, const at::Tensor& mask) const;

  NeuralBaselineConfig config_;
  std::int64_t width_;
  Linear visual_embedding_;  ///< these six are undefined where a modality is left out
  Linear text_embedding_;
  Linear score_;         ///< add_attention_linear_1
  Linear dual_visual_;   ///< dual_attention_linear_1: of T_p, T_n
  Linear dual_text_;     ///< dual_attention_linear_2: of V_p, V_n
  Linear cross_visual_;  ///< cross_modal_linear_1
  Linear cross_text_;    ///< cross_modal_linear_2
  Linear pool_visual_;   ///< add_attention_linear_2
  Linear pool_text_;     ///< add_attention_linear_3
  at::Tensor by_frame_;  ///< add_attention_matrix_1, M [frames × d]
  at::Tensor by_text_;   ///< add_attention_matrix_2 [1 × d]
  Linear predict_;
  at::Tensor absent_visual_;  ///< [d]
  at::Tensor absent_text_;
};

}  // namespace mmra::model::neural
