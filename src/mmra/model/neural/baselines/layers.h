#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "mmra/model/neural/packed_features.h"
#include "mmra/model/neural/parameter_set.h"

// Layers with the names and the initialisation of PyTorch's own, from which the authors' baselines
// are built.

namespace mmra::model::neural {

/// torch.nn.Linear(in, out): uniform in ±1/√in.
[[nodiscard]] Linear torch_linear(ParameterSet& parameters, const std::string& name,
                                  std::int64_t in, std::int64_t out);

/// torch.nn.LSTM of one layer.
class Lstm {
 public:
  Lstm(ParameterSet& parameters, const std::string& name, std::int64_t in, std::int64_t hidden);
  /// The hidden state behind the last token of each row, [B × n × in] to [B × hidden].
  [[nodiscard]] at::Tensor last_state(const Padded& tokens) const;

 private:
  std::vector<at::Tensor> weights_;  ///< of inputs and states [4h × in], [4h × h]; biases [4h]
  std::int64_t hidden_;
};

/// torch.nn.TransformerEncoderLayer, its norms behind its blocks: multi-head attention (no
/// positions) and Linear, ReLU, Linear.
class TransformerLayer {
 public:
  /// `num_heads` must divide `dim`.
  TransformerLayer(ParameterSet& parameters, const std::string& name, std::int64_t dim,
                   std::int64_t num_heads, std::int64_t feed_forward, double dropout_rate);
  /// [B × n × dim] to the same; a row's tokens attend to those of the row that the mask admits.
  [[nodiscard]] at::Tensor operator()(const Padded& tokens, const Draws& draws) const;

 private:
  [[nodiscard]] at::Tensor attend(const Padded& tokens, const Draws& draws) const;

  std::int64_t dim_;
  std::int64_t num_heads_;
  double dropout_rate_;
  Linear in_;   ///< queries, keys and values, [3·dim × dim]
  Linear out_;  ///< [dim × dim]
  Linear expand_;
  Linear contract_;
  Linear norm1_;  ///< weight and bias [dim] of a layer norm
  Linear norm2_;
};

}  // namespace mmra::model::neural
