#include "mmra/model/neural/linear.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

#include "mmra/model/neural/bfloat16_product.h"

namespace mmra::model::neural {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

thread_local bool multiplies_bfloat16 = false;
thread_local const RoundedWeights* rounded_weights = nullptr;

/// Numbers of rows are rounded up to this, so that oneDNN sees few shapes.
constexpr std::int64_t kRowsOfBlock = 64;

std::int64_t padded(std::int64_t rows) {
  return rows <= kRowsOfBlock ? rows : (rows + kRowsOfBlock - 1) / kRowsOfBlock * kRowsOfBlock;
}

BFloat16Bits* bits_of(const at::Tensor& x) {
  return reinterpret_cast<BFloat16Bits*>(x.data_ptr<at::BFloat16>());
}

/// [rows × columns] of bfloat16 with rows of zeros behind it, up to padded(rows).
at::Tensor padded_rows(std::int64_t rows, std::int64_t columns) {
  at::Tensor result = at::empty({padded(rows), columns}, at::kBFloat16);
  std::fill(bits_of(result) + rows * columns, bits_of(result) + result.numel(), BFloat16Bits{0});
  return result;
}

/// `x` [rows × d], as bfloat16, into columns [first, first + d) of `to`.
void place(const at::Tensor& x, std::int64_t first, const at::Tensor& to) {
  const std::int64_t rows = x.size(0);
  const std::int64_t columns = x.size(1);
  const RowBlock<BFloat16Bits> target{bits_of(to) + first, rows, columns, to.size(1)};
  if (x.scalar_type() == at::kBFloat16) {
    copy_rows({bits_of(x), rows, columns, x.stride(0)}, target);
  } else {
    round_rows({x.data_ptr<float>(), rows, columns, x.stride(0)}, target);
  }
}

/// Rows behind each other; their elements without gaps.
at::Tensor as_rows(const at::Tensor& x) {
  const at::Tensor rows = x.reshape({-1, x.size(-1)});
  return rows.stride(1) == 1 ? rows : rows.contiguous();
}

/// Made by bfloat16_rows(), or as good: what lies behind it is finite, and that is enough where it
/// meets rows of zeros.
bool is_padded(const at::Tensor& x) {
  const auto bytes = static_cast<std::size_t>(padded(x.size(0)) * x.size(1)) * sizeof(BFloat16Bits);
  return x.scalar_type() == at::kBFloat16 && x.is_contiguous() && x.storage_offset() == 0 &&
         x.storage().nbytes() >= bytes;
}

/// The inputs side by side, as bfloat16, padded.
at::Tensor join(const at::Tensor& x, const c10::optional<at::Tensor>& y) {
  const std::int64_t left = x.size(1);
  if (!y && is_padded(x)) return x.as_strided({padded(x.size(0)), left}, {left, 1});
  at::Tensor both = padded_rows(x.size(0), left + (y ? y->size(1) : 0));
  place(x, 0, both);
  if (y) place(*y, left, both);
  return both;
}

at::Tensor rounded_copy(const at::Tensor& weight) {
  if (rounded_weights != nullptr) {
    if (const at::Tensor kept = rounded_weights->of(weight); kept.defined()) return kept;
  }
  at::Tensor rounded = at::empty(weight.sizes(), at::kBFloat16);
  place(as_rows(weight), 0, rounded);
  return rounded;
}

class BFloat16Linear : public torch::autograd::Function<BFloat16Linear> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const c10::optional<at::Tensor>& y, const at::Tensor& weight,
                            const c10::optional<at::Tensor>& bias, std::int64_t activation) {
    const at::Tensor both = join(x, y);
    const at::Tensor w = rounded_copy(weight);
    const std::int64_t out = weight.size(0);
    const at::Tensor result = at::empty({both.size(0), out}, at::kFloat);
    multiply({bits_of(both), both.size(0), both.size(1), both.size(1), false},
             {bits_of(w), both.size(1), out, w.size(1), true},
             bias ? bias->data_ptr<float>() : nullptr, static_cast<Activation>(activation),
             result.data_ptr<float>(), out);
    result.resize_({x.size(0), out});  // no view, which autograd would treat differently
    const bool keep_output = static_cast<Activation>(activation) != Activation::kNone;
    context->save_for_backward({both, w, keep_output ? result : at::Tensor()});
    auto& data = context->saved_data;
    data["activation"] = activation;
    data["left"] = x.size(1);
    data["x"] = x.requires_grad();
    data["y"] = y && y->requires_grad();
    data["weight"] = weight.requires_grad();
    data["bias"] = bias && bias->requires_grad();
    return result;
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& both = saved[0];
    const at::Tensor& w = saved[1];
    auto& data = context->saved_data;
    const at::Tensor upstream = as_rows(gradients[0]);
    const std::int64_t rows = upstream.size(0);
    const std::int64_t out = upstream.size(1);
    const std::int64_t in = w.size(1);

    const at::Tensor bias_gradient =
        data["bias"].toBool() ? at::zeros({out}, at::kFloat) : at::Tensor();
    const at::Tensor g = padded_rows(rows, out);
    round_gradient({upstream.data_ptr<float>(), rows, out, upstream.stride(0)},
                   saved[2].defined() ? saved[2].data_ptr<float>() : nullptr,
                   static_cast<Activation>(data["activation"].toInt()),
                   {bits_of(g), rows, out, out},
                   bias_gradient.defined() ? bias_gradient.data_ptr<float>() : nullptr);

    at::Tensor weight_gradient;
    if (data["weight"].toBool()) {
      weight_gradient = at::empty({out, in}, at::kFloat);
      multiply({bits_of(g), out, g.size(0), out, true}, {bits_of(both), g.size(0), in, in, false},
               nullptr, Activation::kNone, weight_gradient.data_ptr<float>(), in);
    }
    const auto input_gradient = [&](std::int64_t first, std::int64_t columns) {
      const at::Tensor gradient = at::empty({g.size(0), columns}, at::kFloat);
      multiply({bits_of(g), g.size(0), out, out, false},
               {bits_of(w) + first, out, columns, in, false}, nullptr, Activation::kNone,
               gradient.data_ptr<float>(), columns);
      gradient.resize_({rows, columns});
      return gradient;
    };
    const std::int64_t left = data["left"].toInt();
    return {data["x"].toBool() ? input_gradient(0, left) : at::Tensor(),
            data["y"].toBool() ? input_gradient(left, in - left) : at::Tensor(), weight_gradient,
            bias_gradient, at::Tensor()};
  }
};

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kNone:
      break;
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kTanh:
      return at::tanh(x);
  }
  return x;
}

bool is_for_bfloat16(const at::Tensor& x, const at::Tensor& weight) {
  return multiplies_bfloat16 && weight.scalar_type() == at::kFloat && x.numel() > 0 &&
         weight.size(0) >= kLeastBFloat16Outputs;
}

at::Tensor multiply_layer(const at::Tensor& x, const c10::optional<at::Tensor>& y,
                          const at::Tensor& weight, const at::Tensor& bias, Activation activation) {
  const c10::optional<at::Tensor> given =
      bias.defined() ? c10::optional<at::Tensor>(bias) : c10::nullopt;
  const at::Tensor result =
      BFloat16Linear::apply(as_rows(x), y, weight, given, static_cast<std::int64_t>(activation));
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0);
  return result.view(shape);
}

}  // namespace

void RoundedWeights::keep(const at::Tensor& weight) {
  if (weight.dim() != 2 || weight.scalar_type() != at::kFloat ||
      weight.size(0) < kLeastBFloat16Outputs) {
    return;
  }
  copies_[weight.unsafeGetTensorImpl()] = {weight, at::empty(weight.sizes(), at::kBFloat16)};
}

void RoundedWeights::round() {
  const at::NoGradGuard no_grad;
  for (const auto& [key, copy] : copies_) place(copy.weight.detach(), 0, copy.rounded);
}

at::Tensor RoundedWeights::of(const at::Tensor& weight) const {
  const auto found = copies_.find(weight.unsafeGetTensorImpl());
  return found == copies_.end() ? at::Tensor() : found->second.rounded;
}

ProductPrecision::ProductPrecision(Precision precision, const RoundedWeights* rounded)
    : before_(multiplies_bfloat16), rounded_before_(rounded_weights) {
  multiplies_bfloat16 = precision == Precision::kBFloat16;
  rounded_weights = rounded;
}

ProductPrecision::~ProductPrecision() {
  multiplies_bfloat16 = before_;
  rounded_weights = rounded_before_;
}

bool ProductPrecision::is_bfloat16() { return multiplies_bfloat16; }

at::ScalarType feature_type(at::ScalarType dtype) {
  return multiplies_bfloat16 && dtype == at::kFloat ? at::kBFloat16 : dtype;
}

at::Tensor bfloat16_rows(std::int64_t rows, std::int64_t columns) {
  return padded_rows(rows, columns).resize_({rows, columns});
}

at::Tensor linear_layer(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                        Activation activation) {
  if (!is_for_bfloat16(x, weight)) {
    return activate(at::linear(x.to(weight.scalar_type()), weight, bias), activation);
  }
  return multiply_layer(x, {}, weight, bias, activation);
}

at::Tensor linear_layer_of_both(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight,
                                const at::Tensor& bias, Activation activation) {
  if (!is_for_bfloat16(x, weight)) {
    return activate(at::linear(at::cat({x, y}, -1), weight, bias), activation);
  }
  return multiply_layer(x, as_rows(y), weight, bias, activation);
}

}  // namespace mmra::model::neural
