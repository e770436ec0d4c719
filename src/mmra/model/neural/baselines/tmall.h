#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "mmra/model/neural/baselines/query_tokens.h"
#include "mmra/model/neural/network.h"
#include "mmra/model/neural_baseline_config.h"

namespace mmra::model::neural {

/// L / tr L of the graph over rows whose edges are S_ij = exp(−|x_i − x_j|² / σ²), with L = D^−½ (D
/// − S) D^−½, D the row sums of S and σ the median distance between two rows: x [n × d] to [n × n],
/// n at least 2. Differentiable in x (σ is taken as it is).
[[nodiscard]] at::Tensor scaled_laplacian(const at::Tensor& x);

/// TMALL: the modalities' vectors, side by side, are mapped linearly into a shared space, and from
/// there to the label.
///
/// Paper variant, over the rows of a step and as many of the unlabelled ones, drawn anew each time:
/// mean squared error (labelled rows) + μ fᵀ L̃₀ f + λ Σ_k ‖L̃₀ − L̃_k‖²_F, with f the predictions, L̃₀
/// the scaled Laplacian of the rows in the shared space and L̃_k that in modality k (of the rows
/// that have it). Released: the authors' code has ‖X_vᵀX_v − X_tᵀX_t‖_F instead, over the features
/// themselves: a constant that teaches nothing.
class TmallNetwork final : public Network {
 public:
  TmallNetwork(const NeuralBaselineConfig& config, at::ScalarType dtype);
  [[nodiscard]] at::Tensor forward(const Batch& batch, const Draws& draws) const override;
  /// Graphs over the batch's rows.
  [[nodiscard]] bool rows_are_independent() const override { return false; }
  [[nodiscard]] Objective objective(const Batch& batch, const at::Tensor& wanted,
                                    const Draws& draws) const override;
  void see_unlabelled(const bank::FeatureTable& features, std::vector<std::int32_t> rows) override;

  /// The objective over the batch's rows and these unlabelled ones.
  [[nodiscard]] Objective objective_with(const Batch& batch, const at::Tensor& wanted,
                                         std::span<const std::int32_t> unlabelled,
                                         const Draws& draws) const;

 private:
  struct View {
    Modality modality = Modality::kText;
    at::Tensor absent;  ///< [dim]
  };
  /// One modality's vectors of some rows.
  struct Vectors {
    at::Tensor values;   ///< [n × dim], zeros where a row lacks it
    at::Tensor present;  ///< bool [n]
  };

  [[nodiscard]] std::vector<Vectors> vectors_of(const bank::FeatureTable& table,
                                                std::span<const std::int32_t> rows) const;
  [[nodiscard]] at::Tensor to_shared_space(const std::vector<Vectors>& vectors,
                                           const Draws& draws) const;
  [[nodiscard]] at::Tensor predict_from(const at::Tensor& shared, const Draws& draws) const;
  [[nodiscard]] at::Tensor graph_penalty(const std::vector<Vectors>& vectors,
                                         const at::Tensor& shared, const at::Tensor& output) const;

  NeuralBaselineConfig config_;
  std::vector<View> views_;   ///< visual, text
  at::Tensor shared_matrix_;  ///< [dims × width]
  Linear prediction_;
  const bank::FeatureTable* unlabelled_features_ = nullptr;
  std::vector<std::int32_t> unlabelled_rows_;
};

}  // namespace mmra::model::neural
