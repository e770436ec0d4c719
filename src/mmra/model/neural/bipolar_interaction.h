#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "mmra/model/mmra_config.h"
#include "mmra/model/neural/parameter_set.h"
#include "mmra/model/neural/ragged_attention.h"

namespace mmra::model::neural {

/// Attentive pooling: the tokens' sum weighted by softmax(u · tanh(x Aᵀ + b)), item by
/// item, to [B × d].
class AttentivePooling {
 public:
  AttentivePooling(ParameterSet& parameters, const std::string& prefix, std::int64_t width);
  [[nodiscard]] at::Tensor operator()(const RaggedTokens& tokens) const;
  [[nodiscard]] at::Tensor operator()(const Tokens& tokens) const;

 private:
  Linear hidden_;
  Linear score_;
};

/// The cross-modal bipolar interaction network (paper 2.2.2): input tokens of both modalities to
/// one vector each. `without` removes polarities or a whole modality; a modality alone has nothing
/// to attend to and is fused as ReLU(X) W₂.
class BipolarInteraction {
 public:
  BipolarInteraction(ParameterSet& parameters, const std::string& prefix, const MmraConfig& config);

  struct Output {
    at::Tensor visual;  ///< V [B × d], undefined without visual
    at::Tensor text;    ///< T [B × d], undefined without text
  };
  [[nodiscard]] Output operator()(const RaggedTokens& visual, const RaggedTokens& text) const;

 private:
  /// One polarity of one direction, for example T^P: queries from the visual tokens, keys and
  /// values from the text tokens. No bias, as in the paper.
  struct Attention {
    at::Tensor query;  ///< [d × d]
    at::Tensor key;
    at::Tensor value;
    double scale = 0.0;
  };
  struct Fusion {
    Linear w1;  ///< [d × polarities·d]
    Linear w2;  ///< [d × d]
  };
  [[nodiscard]] std::vector<Attention> make_attentions(ParameterSet& parameters,
                                                       const std::string& prefix,
                                                       const std::string& modality,
                                                       const MmraConfig& config) const;
  [[nodiscard]] Fusion make_fusion(ParameterSet& parameters, const std::string& prefix,
                                   std::size_t polarities) const;
  /// What `x` sees in `seen`, all polarities side by side: [N × polarities·d].
  [[nodiscard]] static at::Tensor attend(const RaggedTokens& x, const RaggedTokens& seen,
                                         const std::vector<Attention>& attentions);

  std::int64_t width_;
  std::vector<Attention> text_seen_;    ///< T^P, T^N: rows are visual tokens
  std::vector<Attention> visual_seen_;  ///< V^P, V^N: rows are text tokens
  std::vector<Fusion> fusion_;          ///< of the modalities that there are: visual, text
  std::vector<AttentivePooling> pooling_;
  bool has_visual_;
  bool has_text_;
};

}  // namespace mmra::model::neural
