#include "mmra/model/neural/released_network.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "mmra/model/instance_weights.h"
#include "mmra/model/neural/matrix_halves.h"
#include "mmra/model/neural/weighted_copies.h"
#include "mmra/model/neural/weighted_rows.h"

namespace mmra::model::neural {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

/// [… × dim] to [… × width], zeros behind.
at::Tensor widen(const at::Tensor& x, std::int64_t width) {
  const std::int64_t missing = width - x.size(-1);
  return missing == 0 ? x : at::constant_pad_nd(x, {0, missing});
}

/// One text vector a row, (first token + mean of tokens) / 2, and 1 where there is one.
struct TextVectors {
  at::Tensor values;  ///< [rows × d_t], zeros where there is no title
  std::vector<char> exists;
};

TextVectors text_vectors(const bank::FeatureTable& table, std::span<const std::int32_t> rows,
                         at::ScalarType dtype) {
  const std::int64_t dim = table.text_dim();
  TextVectors out;
  std::vector<const Float16Bits*> tokens;
  for (const std::int32_t row : rows) {
    const bank::TokenView view = table.text_tokens(row);
    out.exists.push_back(view.num_tokens > 0 ? 1 : 0);
    for (int token = 0; token < view.num_tokens; ++token) {
      tokens.push_back(view.values.data() + token * dim);
    }
  }
  WeightedRows means(static_cast<std::int64_t>(tokens.size()));
  std::int64_t next = 0;
  for (const std::int32_t row : rows) {
    const int count = table.text_tokens(row).num_tokens;
    for (int token = 0; token < count; ++token) {
      means.add(next++, (token == 0 ? 0.5 : 0.0) + 0.5 / count);
    }
    means.end_row();
  }
  out.values = means.times_halves(tokens, dim, at::kDouble).to(dtype);
  return out;
}

/// tanh([x, seen] Wᵀ + b), or without `seen` where there is nothing to see.
at::Tensor fuse(const Linear& cross, const at::Tensor& x, const at::Tensor& seen) {
  if (!seen.defined()) return cross(x, Activation::kTanh);
  return cross(x, seen, Activation::kTanh);
}

/// 1 for each item that is missing, as a factor of a learned stand-in: [B × 1].
at::Tensor to_factor(const std::vector<char>& exists, at::ScalarType dtype) {
  at::Tensor factor = at::empty({static_cast<std::int64_t>(exists.size()), 1}, at::kFloat);
  auto* values = factor.data_ptr<float>();
  for (std::size_t i = 0; i < exists.size(); ++i) values[i] = exists[i] != 0 ? 0.0F : 1.0F;
  return factor.to(dtype);
}

}  // namespace

ReleasedNetwork::ReleasedNetwork(const MmraConfig& config, at::ScalarType dtype)
    : Network(ParameterSet(dtype, config.seed)),
      config_(config),
      width_(std::max(config.visual_dim, config.text_dim)) {
  const int modalities = (config.without.visual ? 0 : 1) + (config.without.text ? 0 : 1);
  own_ = make_side("");
  std::int64_t size = modalities * width_;
  if (!config.without.retrieval) {
    retrieved_ = make_side("retrieval_");
    size = (2 * modalities + modalities * modalities + modalities) * width_;
  }
  int index = 0;
  const auto add_layer = [&](std::int64_t to) {
    prediction_.add_layer(linear("prediction_module." + std::to_string(index), size, to));
    size = to;
    index += 2;
  };
  for (const int hidden : hidden_sizes(config)) add_layer(hidden);
  add_layer(1);
  const double bound = 1.0 / std::sqrt(static_cast<double>(width_));
  if (!config.without.retrieval) {
    label_ = linear("label_embedding_linear", 1, width_);
    no_instance_label_ = parameters_.zeros("no_instance.label", {1});
  }
  if (!config.without.visual)
    absent_visual_ = parameters_.uniform("absent.visual", {width_}, bound);
  if (!config.without.text) absent_text_ = parameters_.uniform("absent.text", {width_}, bound);
}

/// As torch.nn.Linear initialises itself.
Linear ReleasedNetwork::linear(const std::string& name, std::int64_t in, std::int64_t out) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(in));
  return {parameters_.uniform(name + ".weight", {out, in}, bound),
          parameters_.uniform(name + ".bias", {out}, bound)};
}

ReleasedNetwork::Side ReleasedNetwork::make_side(const std::string& prefix) {
  const Without& without = config_.without;
  const std::int64_t d = width_;
  const int polarities =
      (without.positive_attention ? 0 : 1) + (without.negative_attention ? 0 : 1);
  const bool cross = !without.visual && !without.text && polarities > 0;
  const std::int64_t cross_in = cross ? 2 * d : d;
  Side side;
  if (cross) {
    side.visual_embedding = linear(prefix + "visual_embedding", d, d);
    side.text_embedding = linear(prefix + "textual_embedding", d, d);
    side.dual_visual = linear(prefix + "dual_attention_linear_1", polarities * d, d);
    side.dual_text = linear(prefix + "dual_attention_linear_2", polarities * d, d);
  }
  if (!without.visual) {
    side.cross_visual = linear(prefix + "cross_modal_linear_1", cross_in, d);
    side.pool_visual = linear(prefix + "uni_modal_linear_1", d, 1);
  }
  if (!without.text) {
    side.cross_text = linear(prefix + "cross_modal_linear_2", cross_in, d);
    side.pool_text = linear(prefix + "uni_modal_linear_2", d, 1);
  }
  return side;
}

ReleasedNetwork::Inputs ReleasedNetwork::own_inputs(const Batch& batch) const {
  const at::ScalarType dtype = parameters_.dtype();
  Inputs inputs;
  if (!config_.without.visual) {
    Batch alone;
    alone.queries = batch.queries;
    alone.query_rows = batch.query_rows;
    const PackedFeatures packed = pack_features(alone, {}, {}, Modality::kVisual, dtype, {});
    at::Tensor frames = widen(packed.features, width_);
    if (packed.query_slots.defined()) {
      frames = at::cat({frames, absent_visual_.unsqueeze(0)}).index_select(0, packed.query_slots);
    }
    Padded padded = pad(frames, packed.query_begin);
    inputs.visual = std::move(padded.values);
    inputs.visual_mask = std::move(padded.mask);
    inputs.all_frames = padded.is_full;
  }
  if (!config_.without.text) {
    const TextVectors text = text_vectors(*batch.queries, batch.query_rows, dtype);
    inputs.text = widen(text.values, width_) + to_factor(text.exists, dtype) * absent_text_;
  }
  return inputs;
}

ReleasedNetwork::Inputs ReleasedNetwork::aggregated_inputs(const Batch& batch,
                                                           std::span<const double> weights) const {
  const at::ScalarType dtype = parameters_.dtype();
  const DistinctRows instances = distinct_rows(batch.instance_rows);
  Inputs inputs;
  if (!config_.without.visual) {
    const AggregatedFeatures aggregated =
        aggregate_features(batch, instances, weights, Modality::kVisual, dtype);
    at::Tensor frames = widen(aggregated.values, width_);
    if (aggregated.missing.defined()) frames = frames + aggregated.missing * absent_visual_;
    Padded padded = pad(frames, aggregated.begin);
    inputs.visual = std::move(padded.values);
    inputs.visual_mask = std::move(padded.mask);
    inputs.all_frames = padded.is_full;
  }
  if (!config_.without.text) {
    const TextVectors text = text_vectors(*batch.memory, instances.rows, dtype);
    WeightedRows aggregate(text.values.size(0));
    std::vector<char> exists;
    const auto k = static_cast<std::size_t>(batch.k);
    for (std::size_t begin = 0; begin < instances.slots.size(); begin += k) {
      double sum = 0.0;
      for (std::size_t j = begin; j < begin + k; ++j) {
        const std::int32_t slot = instances.slots[j];
        if (slot >= 0 && text.exists[slot] != 0) sum += weights[j];
      }
      for (std::size_t j = begin; j < begin + k && sum > 0.0; ++j) {
        const std::int32_t slot = instances.slots[j];
        if (slot >= 0 && text.exists[slot] != 0) aggregate.add(slot, weights[j] / sum);
      }
      aggregate.end_row();
      exists.push_back(sum > 0.0 ? 1 : 0);
    }
    inputs.text =
        widen(aggregate.times(text.values), width_) + to_factor(exists, dtype) * absent_text_;
  }
  return inputs;
}

at::Tensor ReleasedNetwork::aggregated_label(const Batch& batch,
                                             std::span<const double> weights) const {
  const AggregatedLabels labels =
      aggregate_labels(batch, weights, config_.label_mean, config_.label_std, parameters_.dtype());
  const at::Tensor scalar = labels.any_missing
                                ? at::where(labels.missing, no_instance_label_, labels.values)
                                : labels.values;
  return at::relu(label_(scalar.unsqueeze(1)));
}

at::Tensor ReleasedNetwork::sum_of_frames(const Inputs& inputs) {
  const at::Tensor& visual = inputs.visual;
  if (inputs.all_frames) return visual.sum(1);
  return (visual * inputs.visual_mask.unsqueeze(2).to(visual.scalar_type())).sum(1);
}

at::Tensor ReleasedNetwork::dual(const Linear& layer, const at::Tensor& positive) const {
  const Without& without = config_.without;
  at::Tensor weight;  // of what sees P alone
  if (without.negative_attention) {
    weight = layer.weight;
  } else if (without.positive_attention) {
    weight = layer.weight * -config_.alpha;
  } else {
    weight = left_minus_right(layer.weight, config_.alpha);
  }
  return linear_layer(positive, weight, {});
}

ReleasedNetwork::Output ReleasedNetwork::interact(const Side& side, const Inputs& inputs) const {
  const double d = static_cast<double>(width_);
  at::Tensor text_seen;
  at::Tensor visual_seen;
  if (side.dual_visual.weight.defined()) {
    // S = tanh(V W₁ + b) tanh(t W₂ + b) / d, softmax over the frames: [B × L].
    const at::Tensor scores =
        at::bmm(side.visual_embedding(inputs.visual, Activation::kTanh),
                side.text_embedding(inputs.text, Activation::kTanh).unsqueeze(2))
            .squeeze(2) /
        d;
    const at::Tensor frame_weights =
        at::softmax(scores.masked_fill(inputs.visual_mask.logical_not(), kMinusInfinity), 1);
    // T_p is the text times each frame's weight, so one product a row serves all its frames.
    text_seen = tanh_of_weighted_copies(frame_weights, dual(side.dual_visual, inputs.text),
                                        side.dual_visual.bias);
    // V_p: the softmax over a single text token is 1, so the frames are summed.
    const at::Tensor frames = sum_of_frames(inputs);
    visual_seen = at::tanh(dual(side.dual_text, frames) + side.dual_text.bias);
  }
  Output output;
  if (inputs.visual.defined()) {
    const at::Tensor fused = fuse(side.cross_visual, inputs.visual, text_seen);
    const at::Tensor scores = side.pool_visual(fused).squeeze(2) / d;
    const at::Tensor pooling =
        at::softmax(scores.masked_fill(inputs.visual_mask.logical_not(), kMinusInfinity), 1);
    output.visual = at::bmm(pooling.unsqueeze(1), fused).squeeze(1);
  }
  // Pooling a single text token gives that token: its weights (pool_text) never learn.
  if (inputs.text.defined()) output.text = fuse(side.cross_text, inputs.text, visual_seen);
  return output;
}

at::Tensor ReleasedNetwork::forward(const Batch& batch, const Draws& draws) const {
  const Output own = interact(own_, own_inputs(batch));
  std::vector<at::Tensor> h;
  const auto append = [&](const at::Tensor& x) {
    if (x.defined()) h.push_back(x);
  };
  const auto append_product = [&](const at::Tensor& x, const at::Tensor& y) {
    if (x.defined() && y.defined()) h.push_back(x * y);
  };
  append(own.text);
  append(own.visual);
  if (!config_.without.retrieval) {
    const std::vector<double> weights = instance_weights(batch.instance_rows, batch.similarities,
                                                         batch.k, config_.similarity_scale);
    const Output retrieved = interact(retrieved_, aggregated_inputs(batch, weights));
    const at::Tensor label = aggregated_label(batch, weights);
    append(retrieved.text);
    append(retrieved.visual);
    append_product(own.visual, retrieved.visual);
    append_product(own.visual, retrieved.text);
    append_product(own.text, retrieved.visual);
    append_product(own.text, retrieved.text);
    append_product(own.visual, label);
    append_product(own.text, label);
  }
  return prediction_(at::cat(h, 1), config_.dropout_hidden, draws);
}

}  // namespace mmra::model::neural
