#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "mmra/encoders/pretrained/attention.h"
#include "mmra/encoders/pretrained/layers.h"

// What encoders are stacked of. Sequences of a batch lie one after the other in one matrix
// [tokens × hidden], `lengths` has the tokens of each: linear layers see no padding, attention
// keeps the sequences apart.

namespace mmra::encoders {

/// Sees what is in the matrix after each stage ("embeddings", "layer.0", …, "final"); for tests and
/// for looking inside a model. Empty: nobody looks.
using StageObserver = std::function<void(const std::string& stage, ConstRows values)>;

/// Queries, keys and values by one linear layer each, or all three by one of three times the width.
class QkvProjection {
 public:
  QkvProjection(Linear queries, Linear keys, Linear values);
  /// `fused` gives [queries | keys | values] side by side.
  explicit QkvProjection(Linear fused);

  template <typename T>
  struct Result {
    BasicRows<const T> queries;
    BasicRows<const T> keys;
    BasicRows<const T> values;
  };
  /// x [tokens × in] → each [tokens × hidden], in `memory`. Of bfloat16 only where
  /// is_native_bfloat16().
  template <typename T>
  [[nodiscard]] Result<T> forward(ConstRows x, BasicMatrix<T>& memory, Workspace& workspace) const;
  [[nodiscard]] bool is_native_bfloat16() const;

 private:
  std::vector<Linear> parts_;  // one or three
};

/// Attention of every sequence to itself, and its output layer.
class SelfAttention {
 public:
  SelfAttention(QkvProjection projection, Linear output, int num_heads);

  /// y ← y + output(attend(projection(x))), both [Σ lengths × hidden]. `y` may be `x`.
  void add_to(ConstRows x, std::span<const std::int64_t> lengths, Rows y,
              Workspace& workspace) const;

 private:
  /// Attends from `projected` into `context`.
  template <typename T>
  void attend_all(const QkvProjection::Result<T>& projected, std::span<const std::int64_t> lengths,
                  BasicRows<T> context, Workspace& workspace) const;

  QkvProjection projection_;
  Linear output_;
  int num_heads_;
};

/// ViT's block: x ← x + attention(norm₁(x)); x ← x + feed_forward(norm₂(x)).
class PreNormBlock {
 public:
  PreNormBlock(LayerNorm norm1, SelfAttention attention, LayerNorm norm2, FeedForward feed_forward);
  void forward(Rows x, std::span<const std::int64_t> lengths, Workspace& workspace) const;

 private:
  LayerNorm norm1_;
  SelfAttention attention_;
  LayerNorm norm2_;
  FeedForward feed_forward_;
};

/// BERT's block: x ← norm₁(x + attention(x)); x ← norm₂(x + feed_forward(x)).
class PostNormBlock {
 public:
  PostNormBlock(SelfAttention attention, LayerNorm norm1, FeedForward feed_forward,
                LayerNorm norm2);
  void forward(Rows x, std::span<const std::int64_t> lengths, Workspace& workspace) const;

 private:
  SelfAttention attention_;
  LayerNorm norm1_;
  FeedForward feed_forward_;
  LayerNorm norm2_;
};

/// hidden_size / num_attention_heads and the like, which must divide. Throws Error{kCorruptData}
/// naming both keys.
void check_divides(const ModelConfig& config, const std::string& key, std::int64_t value,
                   const std::string& divisor_key, std::int64_t divisor);

}  // namespace mmra::encoders
