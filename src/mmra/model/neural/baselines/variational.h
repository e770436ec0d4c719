#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <vector>

#include "mmra/model/neural/baselines/layers.h"
#include "mmra/model/neural/baselines/query_tokens.h"
#include "mmra/model/neural/network.h"
#include "mmra/model/neural_baseline_config.h"

namespace mmra::model::neural {

/// A Gaussian with independent components for each row.
struct Gaussian {
  at::Tensor mean;        ///< [B × width]
  at::Tensor log_square;  ///< log σ² [B × width]
};

/// The product of Gaussians: precisions add up, means are weighted by them. An expert counts only
/// where it is `present` (bool [B]; undefined: everywhere); a row without any is N(0, 1).
struct Expert {
  Gaussian gaussian;
  at::Tensor present;
};
[[nodiscard]] Gaussian product_of_experts(const std::vector<Expert>& experts);

/// KL(N(μ, σ²) ‖ N(0, 1)), summed over the components, the mean over the rows: a scalar.
[[nodiscard]] at::Tensor divergence_from_standard(const Gaussian& gaussian);

/// HMMVED and MASSL: each modality is an expert, a Gaussian over a latent vector z; the decoder
/// reads z, drawn from the experts' product. The objective is (1 − w)·MSE + w·divergence.
///
/// Paper variant: one transformer layer over the frames of a clip, then their mean; a modality that
/// a row lacks is no expert; predictions are made from the mean of z. Released: the layer attends
/// over the last frames of the batch's rows (the authors' code takes frames for rows), what a row
/// lacks is a learned stand-in, and z is drawn in predictions too.
class VariationalNetwork final : public Network {
 public:
  VariationalNetwork(const NeuralBaselineConfig& config, at::ScalarType dtype);
  [[nodiscard]] at::Tensor forward(const Batch& batch, const Draws& draws) const override;
  /// The authors' layer lets each frame see those of the other rows.
  [[nodiscard]] bool rows_are_independent() const override {
    return config_.variant == Variant::kPaper || !visual_;
  }
  [[nodiscard]] Objective objective(const Batch& batch, const at::Tensor& wanted,
                                    const Draws& draws) const override;

  [[nodiscard]] Gaussian encode(const Batch& batch, const Draws& draws) const;
  /// z [B × width] to standardised labels [B].
  [[nodiscard]] at::Tensor decode(const at::Tensor& z, const Draws& draws) const;
  /// (1 − w)·mean((output − wanted)²) + w·divergence.
  [[nodiscard]] Objective objective_of(const at::Tensor& output, const Gaussian& latent,
                                       const at::Tensor& wanted) const;

 private:
  /// From one modality's vector to its Gaussian.
  struct Encoder {
    Linear first;
    Linear second;
    Linear mean;
    Linear log_square;
    at::Tensor absent;  ///< [dim]; undefined in the paper variant
  };

  [[nodiscard]] Encoder make_encoder(const std::string& name, int dim);
  void make_decoder();
  [[nodiscard]] Expert expert(const Encoder& encoder, const Batch& batch, Modality modality,
                              const Draws& draws) const;
  [[nodiscard]] at::Tensor visual_vector(Padded tokens, const Draws& draws) const;
  [[nodiscard]] at::Tensor decode_by_convolutions(const at::Tensor& z, const Draws& draws) const;

  NeuralBaselineConfig config_;
  std::optional<TransformerLayer> frames_;
  std::optional<Encoder> visual_;
  std::optional<Encoder> text_;
  std::vector<Linear> decoder_;       ///< in order; HMMVED: two, MASSL: two and the last
  std::vector<Linear> convolutions_;  ///< MASSL: [1 × 1 × 3] and [1]
};

}  // namespace mmra::model::neural
