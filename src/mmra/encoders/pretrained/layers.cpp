#include "mmra/encoders/pretrained/layers.h"

#include <algorithm>
#include <array>
#include <utility>

#include "mmra/core/bfloat16.h"
#include "mmra/encoders/pretrained/parallel_rows.h"
#include "mmra/encoders/pretrained/row_kernels.h"

namespace mmra::encoders {
namespace {

// Rows of a feed-forward layer at a time: its middle, four times as wide, then stays in the cache
// and its memory does not grow with the batch.
constexpr std::int64_t kFeedForwardRows = 1024;

std::optional<FloatTensor> bias_of(const Weights& weights, const std::string& name,
                                   std::int64_t size) {
  if (name.empty()) return std::nullopt;
  return weights.floats(name, {size});
}

ProductOperand operand(Rows rows) { return {rows.data, rows.rows, rows.stride, false}; }
ProductOperand operand(BFloat16Rows rows) { return {rows.data, rows.rows, rows.stride, true}; }

void round_rows(ConstRows x, BFloat16Rows to) {
  parallel_rows(x.rows, grain_of_rows(x.cols),
                [&](std::int64_t i, int) { round_to_bfloat16(x.row(i), to.row(i), x.cols); });
}

}  // namespace

Linear::Linear(const Weights& weights, const std::string& name, std::int64_t out, std::int64_t in,
               Precision precision)
    : weight_(weights, name + ".weight", out, in, precision),
      bias_(bias_of(weights, weights.has(name + ".bias") ? name + ".bias" : "", out)) {}

Linear::Linear(const Weights& weights, const std::string& weight,
               std::span<const std::int64_t> shape, const std::string& bias, std::int64_t out,
               std::int64_t in, Precision precision)
    : weight_(weights, weight, shape, out, in, precision), bias_(bias_of(weights, bias, out)) {}

ProductOperand Linear::input(ConstRows x, Workspace& workspace) const {
  if (!weight_.is_native_bfloat16()) {
    // oneDNN's memory is never const; a product only reads its sources.
    return {const_cast<float*>(x.data), x.rows, x.stride, false};
  }
  const BFloat16Rows rounded = workspace.rounded.resize(x.rows, x.cols);
  round_rows(x, rounded);
  return operand(rounded);
}

void Linear::multiply(const ProductOperand& x, const ProductOperand& y, Workspace& workspace,
                      Activation activation, bool add) const {
  workspace.products().multiply(weight_, bias_ ? bias_->data : nullptr, x, y, activation, add);
}

void Linear::forward(ConstRows x, Rows y, Workspace& workspace, Activation activation) const {
  forward(input(x, workspace), y, workspace, activation);
}

void Linear::forward(const ProductOperand& x, Rows y, Workspace& workspace,
                     Activation activation) const {
  multiply(x, operand(y), workspace, activation, /*add=*/false);
}

void Linear::forward(const ProductOperand& x, BFloat16Rows y, Workspace& workspace) const {
  multiply(x, operand(y), workspace, Activation::kNone, /*add=*/false);
}

void Linear::add_to(ConstRows x, Rows y, Workspace& workspace) const {
  multiply(input(x, workspace), operand(y), workspace, Activation::kNone, /*add=*/true);
}

void Linear::add_to(BFloat16Rows x, Rows y, Workspace& workspace) const {
  multiply(operand(x), operand(y), workspace, Activation::kNone, /*add=*/true);
}

FeedForward::FeedForward(Linear first, Linear second, Activation activation)
    : first_(std::move(first)), second_(std::move(second)), activation_(activation) {}

void FeedForward::add_to(ConstRows x, Rows y, Workspace& workspace) const {
  const std::int64_t width = first_.out();
  const bool is_bfloat16 = first_.is_native_bfloat16() && second_.is_native_bfloat16();
  for (std::int64_t first = 0; first < x.rows; first += kFeedForwardRows) {
    const std::int64_t count = std::min(kFeedForwardRows, x.rows - first);
    const ProductOperand input = first_.input(x.slice(first, count), workspace);
    ProductOperand middle;
    if (is_bfloat16) {
      middle = operand(workspace.rounded_wide.resize(count, width));
      first_.multiply(input, middle, workspace, activation_, /*add=*/false);
    } else {
      const Rows rows = workspace.intermediate.resize(count, width);
      first_.forward(input, rows, workspace, activation_);
      middle = second_.input(rows, workspace);
    }
    second_.multiply(middle, operand(y.slice(first, count)), workspace, Activation::kNone,
                     /*add=*/true);
  }
}

LayerNorm::LayerNorm(const Weights& weights, const std::string& name, std::int64_t width,
                     double epsilon)
    : epsilon_(static_cast<float>(epsilon)) {
  const bool is_old = !weights.has(name + ".weight") && weights.has(name + ".gamma");
  weight_ = weights.floats(name + (is_old ? ".gamma" : ".weight"), {width});
  bias_ = weights.floats(name + (is_old ? ".beta" : ".bias"), {width});
}

void LayerNorm::forward(ConstRows x, Rows y) const {
  parallel_rows(x.rows, grain_of_rows(x.cols), [&](std::int64_t i, int) {
    layer_norm_row(x.row(i), weight_.data, bias_.data, epsilon_, y.row(i), x.cols);
  });
}

Embedding::Embedding(const Weights& weights, const std::string& name, std::int64_t count,
                     std::int64_t width, Precision precision)
    : count_(count), width_(width) {
  const std::array shape{count, width};
  if (precision == Precision::kBFloat16) {
    bfloats_ = weights.bfloat16s(name, shape);
  } else {
    floats_ = weights.floats(name, shape);
  }
}

void Embedding::copy(std::int64_t index, float* y) const {
  if (bfloats_) {
    widen_bfloat16(bfloats_->data() + index * width_, y, width_);
  } else {
    std::copy_n(floats_.data + index * width_, width_, y);
  }
}

void Embedding::add(std::int64_t index, float* y) const {
  if (!bfloats_) {
    add_scaled(y, floats_.data + index * width_, 1.0F, width_);
    return;
  }
  std::array<float, 256> piece{};
  for (std::int64_t first = 0; first < width_; first += std::int64_t{piece.size()}) {
    const std::int64_t count = std::min<std::int64_t>(piece.size(), width_ - first);
    widen_bfloat16(bfloats_->data() + index * width_ + first, piece.data(), count);
    add_scaled(y + first, piece.data(), 1.0F, count);
  }
}

}  // namespace mmra::encoders
