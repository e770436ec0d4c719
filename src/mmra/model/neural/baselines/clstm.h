#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "mmra/model/neural/baselines/layers.h"
#include "mmra/model/neural/baselines/query_tokens.h"
#include "mmra/model/neural/network.h"
#include "mmra/model/neural_baseline_config.h"

namespace mmra::model::neural {

/// CLSTM: an LSTM reads the frames, another one the title; their last states, side by side, through
/// two layers. Paper variant: the title is its tokens, ReLU between the layers. Released: the title
/// is one vector, no activation.
class ClstmNetwork final : public Network {
 public:
  ClstmNetwork(const NeuralBaselineConfig& config, at::ScalarType dtype);
  [[nodiscard]] at::Tensor forward(const Batch& batch, const Draws& draws) const override;

 private:
  struct Reader {
    Modality modality = Modality::kText;
    Lstm lstm;
    at::Tensor absent;  ///< [dim], a token that stands for the modality where a row lacks it
  };

  void add_reader(Modality modality, const std::string& name, int dim);
  [[nodiscard]] at::Tensor read(const Reader& reader, const Batch& batch, const Draws& draws) const;

  NeuralBaselineConfig config_;
  std::vector<Reader> readers_;  ///< text, visual
  Linear fc1_;
  Linear fc2_;
};

}  // namespace mmra::model::neural
