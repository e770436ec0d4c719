#include "mmra/encoders/pretrained/transformer_blocks.h"

#include <algorithm>
#include <utility>

#include "mmra/core/error.h"

namespace mmra::encoders {

QkvProjection::QkvProjection(Linear queries, Linear keys, Linear values) {
  parts_.reserve(3);
  parts_.push_back(std::move(queries));
  parts_.push_back(std::move(keys));
  parts_.push_back(std::move(values));
}

QkvProjection::QkvProjection(Linear fused) { parts_.push_back(std::move(fused)); }

bool QkvProjection::is_native_bfloat16() const {
  return std::all_of(parts_.begin(), parts_.end(),
                     [](const Linear& part) { return part.is_native_bfloat16(); });
}

template <typename T>
QkvProjection::Result<T> QkvProjection::forward(ConstRows x, BasicMatrix<T>& memory,
                                                Workspace& workspace) const {
  const ProductOperand input = parts_.front().input(x, workspace);
  if (parts_.size() == 1) {
    const std::int64_t hidden = parts_.front().out() / 3;
    const BasicRows<T> all = memory.resize(x.rows, 3 * hidden);
    parts_.front().forward(input, all, workspace);
    return {all.columns(0, hidden), all.columns(hidden, hidden), all.columns(2 * hidden, hidden)};
  }
  // One below the other: oneDNN's bfloat16 products want dense results.
  const BasicRows<T> all = memory.resize(3 * x.rows, parts_.front().out());
  for (std::int64_t i = 0; i < 3; ++i) {
    parts_[static_cast<std::size_t>(i)].forward(input, all.slice(i * x.rows, x.rows), workspace);
  }
  return {all.slice(0, x.rows), all.slice(x.rows, x.rows), all.slice(2 * x.rows, x.rows)};
}

SelfAttention::SelfAttention(QkvProjection projection, Linear output, int num_heads)
    : projection_(std::move(projection)), output_(std::move(output)), num_heads_(num_heads) {}

template <typename T>
void SelfAttention::attend_all(const QkvProjection::Result<T>& projected,
                               std::span<const std::int64_t> lengths, BasicRows<T> context,
                               Workspace& workspace) const {
  std::vector<BasicAttentionSequence<T>> sequences;
  sequences.reserve(lengths.size());
  std::int64_t first = 0;
  for (const std::int64_t length : lengths) {
    sequences.push_back({projected.queries.slice(first, length),
                         projected.keys.slice(first, length), projected.values.slice(first, length),
                         context.slice(first, length)});
    first += length;
  }
  attend(sequences, num_heads_, workspace);
}

void SelfAttention::add_to(ConstRows x, std::span<const std::int64_t> lengths, Rows y,
                           Workspace& workspace) const {
  if (projection_.is_native_bfloat16() && output_.is_native_bfloat16()) {
    const auto projected = projection_.forward(x, workspace.projected_bfloat16, workspace);
    // The projection has read its input, which lay here.
    const BFloat16Rows context = workspace.rounded.resize(x.rows, output_.in());
    attend_all(projected, lengths, context, workspace);
    output_.add_to(context, y, workspace);
  } else {
    const auto projected = projection_.forward(x, workspace.projected, workspace);
    const Rows context = workspace.context.resize(x.rows, output_.in());
    attend_all(projected, lengths, context, workspace);
    output_.add_to(context, y, workspace);
  }
}

PreNormBlock::PreNormBlock(LayerNorm norm1, SelfAttention attention, LayerNorm norm2,
                           FeedForward feed_forward)
    : norm1_(std::move(norm1)),
      attention_(std::move(attention)),
      norm2_(std::move(norm2)),
      feed_forward_(std::move(feed_forward)) {}

void PreNormBlock::forward(Rows x, std::span<const std::int64_t> lengths,
                           Workspace& workspace) const {
  const Rows normed = workspace.normed.resize(x.rows, x.cols);
  norm1_.forward(x, normed);
  attention_.add_to(normed, lengths, x, workspace);
  norm2_.forward(x, normed);
  feed_forward_.add_to(normed, x, workspace);
}

PostNormBlock::PostNormBlock(SelfAttention attention, LayerNorm norm1, FeedForward feed_forward,
                             LayerNorm norm2)
    : attention_(std::move(attention)),
      norm1_(std::move(norm1)),
      feed_forward_(std::move(feed_forward)),
      norm2_(std::move(norm2)) {}

void PostNormBlock::forward(Rows x, std::span<const std::int64_t> lengths,
                            Workspace& workspace) const {
  attention_.add_to(x, lengths, x, workspace);
  norm1_.forward(x, x);
  feed_forward_.add_to(x, x, workspace);
  norm2_.forward(x, x);
}

void check_divides(const ModelConfig& config, const std::string& key, std::int64_t value,
                   const std::string& divisor_key, std::int64_t divisor) {
  if (value % divisor == 0) return;
  throw Error(ErrorKind::kCorruptData, config.origin() + ": \"" + key + "\" is " +
                                           std::to_string(value) + ", not a multiple of \"" +
                                           divisor_key + "\", " + std::to_string(divisor));
}

}  // namespace mmra::encoders
