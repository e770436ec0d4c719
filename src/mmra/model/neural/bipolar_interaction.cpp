#include "mmra/model/neural/bipolar_interaction.h"

#include <cmath>

namespace mmra::model::neural {
namespace {

/// ReLU(X + A W₁) W₂ (paper 2.2.2), A the concatenated attentions or undefined.
at::Tensor fuse(const at::Tensor& x, const at::Tensor& attended, const Linear& w1,
                const Linear& w2) {
  return w2(at::relu(attended.defined() ? x + w1(attended) : x));
}

}  // namespace

AttentivePooling::AttentivePooling(ParameterSet& parameters, const std::string& prefix,
                                   std::int64_t width)
    : hidden_{parameters.glorot(prefix + ".hidden.weight", width, width),
              parameters.zeros(prefix + ".hidden.bias", {width})},
      score_{parameters.glorot(prefix + ".score.weight", 1, width), {}} {}

at::Tensor AttentivePooling::operator()(const Tokens& tokens) const {
  return ragged_softmax_sum(tokens, score_(hidden_(tokens.values, Activation::kTanh)));
}

BipolarInteraction::BipolarInteraction(ParameterSet& parameters, const std::string& prefix,
                                       const MmraConfig& config)
    : width_(config.width), has_visual_(!config.without.visual), has_text_(!config.without.text) {
  if (has_visual_ && has_text_) {
    text_seen_ = make_attentions(parameters, prefix, "text", config);
    visual_seen_ = make_attentions(parameters, prefix, "visual", config);
  }
  if (has_visual_) {
    fusion_.push_back(make_fusion(parameters, prefix + ".fuse_visual", text_seen_.size()));
    pooling_.emplace_back(parameters, prefix + ".pool_visual", width_);
  }
  if (has_text_) {
    fusion_.push_back(make_fusion(parameters, prefix + ".fuse_text", visual_seen_.size()));
    pooling_.emplace_back(parameters, prefix + ".pool_text", width_);
  }
}

std::vector<BipolarInteraction::Attention> BipolarInteraction::make_attentions(
    ParameterSet& parameters, const std::string& prefix, const std::string& modality,
    const MmraConfig& config) const {
  std::vector<Attention> attentions;
  const auto make = [&](const std::string& polarity, double factor) {
    const std::string name = prefix + "." + polarity + "_" + modality;
    attentions.push_back({parameters.glorot(name + ".query", width_, width_),
                          parameters.glorot(name + ".key", width_, width_),
                          parameters.glorot(name + ".value", width_, width_),
                          factor / std::sqrt(static_cast<double>(width_))});
  };
  if (!config.without.positive_attention) make("positive", config.alpha);
  if (!config.without.negative_attention) make("negative", -(1.0 - config.alpha));
  return attentions;
}

BipolarInteraction::Fusion BipolarInteraction::make_fusion(ParameterSet& parameters,
                                                           const std::string& prefix,
                                                           std::size_t polarities) const {
  Fusion fusion;
  if (polarities > 0) {
    fusion.w1.weight =
        parameters.glorot(prefix + ".w1", width_, static_cast<std::int64_t>(polarities) * width_);
  }
  fusion.w2.weight = parameters.glorot(prefix + ".w2", width_, width_);
  return fusion;
}

at::Tensor BipolarInteraction::attend(const Tokens& x, const Tokens& seen,
                                      const std::vector<Attention>& attentions) {
  if (attentions.empty()) return {};
  std::vector<at::Tensor> queries;
  std::vector<at::Tensor> keys_values;
  std::vector<double> scales;
  for (const Attention& a : attentions) queries.push_back(a.query);
  for (const Attention& a : attentions) keys_values.push_back(a.key);
  for (const Attention& a : attentions) keys_values.push_back(a.value);
  for (const Attention& a : attentions) scales.push_back(a.scale);
  // One product for all that a token is asked for, one for all that it answers.
  return ragged_attention({linear_layer(x.values, at::cat(queries), {}), x.begin},
                          {linear_layer(seen.values, at::cat(keys_values), {}), seen.begin},
                          scales);
}

BipolarInteraction::Output BipolarInteraction::operator()(const Tokens& visual,
                                                          const Tokens& text) const {
  Output output;
  if (has_visual_) {
    const Fusion& fusion = fusion_.front();
    const at::Tensor attended = attend(visual, text, text_seen_);
    output.visual =
        pooling_.front()({fuse(visual.values, attended, fusion.w1, fusion.w2), visual.begin});
  }
  if (has_text_) {
    const Fusion& fusion = fusion_.back();
    const at::Tensor attended = attend(text, visual, visual_seen_);
    output.text = pooling_.back()({fuse(text.values, attended, fusion.w1, fusion.w2), text.begin});
  }
  return output;
}

}  // namespace mmra::model::neural
