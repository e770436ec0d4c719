#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mmra/encoders/pretrained/rows.h"
#include "mmra/encoders/pretrained/workspace.h"

namespace mmra::encoders {

/// One sequence's attention. Sequences of a batch need not be of the same length: each has its own
/// keys and values, so that nothing is padded and nothing masked.
template <typename T>
struct BasicAttentionSequence {
  BasicRows<const T> queries;  ///< [num_queries × hidden], heads side by side
  BasicRows<const T> keys;     ///< [num_keys × hidden], num_keys ≥ 1
  BasicRows<const T> values;   ///< [num_keys × hidden]
  BasicRows<T> output;         ///< [num_queries × hidden]
  bool is_causal = false;      ///< query i sees keys 0 … num_keys − num_queries + i only
};
using AttentionSequence = BasicAttentionSequence<float>;
using BFloat16AttentionSequence = BasicAttentionSequence<std::uint16_t>;

/// output = softmax(Q Kᵀ / √(hidden / num_heads)) V for every head of every sequence. Several
/// sequences may read the same keys (cross-attention of beams over one image). Throws
/// Error{kInternal} where oneDNN's product fails.
void attend(std::span<const AttentionSequence> sequences, int num_heads, Workspace& workspace);

/// The same with products of bfloat16 whose sums, and softmax, are float32. Only where
/// has_bfloat16_products().
void attend(std::span<const BFloat16AttentionSequence> sequences, int num_heads,
            Workspace& workspace);

/// Keys and values of the tokens so far, of several sequences that grow together by a token a step
/// (a decoder's self-attention). Used by one thread at a time.
class KeyValueCache {
 public:
  KeyValueCache(std::int64_t num_sequences, std::int64_t max_tokens, std::int64_t hidden);

  [[nodiscard]] std::int64_t num_sequences() const { return num_sequences_; }
  [[nodiscard]] std::int64_t num_tokens() const { return num_tokens_; }
  [[nodiscard]] std::int64_t max_tokens() const { return max_tokens_; }

  /// Adds num_new tokens to each sequence: `keys` and `values` [num_sequences · num_new × hidden],
  /// sequence by sequence. Throws Error{kInternal} beyond max_tokens.
  void append(ConstRows keys, ConstRows values);
  /// Sequence i becomes what sequence sources[i] was (beams); as many as `sources` has are kept.
  void reorder(std::span<const std::int32_t> sources);

  /// [num_tokens × hidden]; valid until the next append() or reorder().
  [[nodiscard]] ConstRows keys(std::int64_t sequence) const;
  [[nodiscard]] ConstRows values(std::int64_t sequence) const;

 private:
  std::int64_t num_sequences_;
  std::int64_t max_tokens_;
  std::int64_t hidden_;
  std::int64_t num_tokens_ = 0;
  std::vector<float> keys_;  // [sequences × max_tokens × hidden]
  std::vector<float> values_;
};

}  // namespace mmra::encoders
