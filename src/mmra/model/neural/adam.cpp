#include "mmra/model/neural/adam.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "mmra/core/bfloat16.h"
#include "mmra/core/error.h"

namespace mmra::model::neural {
namespace {

constexpr std::int64_t kGrain = 1 << 15;
constexpr std::int64_t kPiece = 1 << 12;

/// The constants of one step of one weight.
template <typename T>
struct StepConstants {
  T gradient_scale;
  T shrink;  ///< 1 − learning_rate · weight_decay
  T beta1;
  T beta2;
  T step_size;          ///< learning_rate / (1 − β₁ᵗ)
  T second_correction;  ///< √(1 − β₂ᵗ)
  T epsilon;
};

// Compiled for several processors; the loader takes the best one that is there.
#define MMRA_VECTORISED __attribute__((target_clones("avx2", "default")))

#define MMRA_DEFINE_ADAM(T)                                                                      \
  MMRA_VECTORISED void adam_range(T* __restrict p, const T* __restrict g, T* __restrict m,       \
                                  T* __restrict v, std::int64_t count,                           \
                                  const StepConstants<T>& c) {                                   \
    const StepConstants<T> k = c;                                                                \
    for (std::int64_t i = 0; i < count; ++i) {                                                   \
      const T gradient = g[i] * k.gradient_scale;                                                \
      m[i] = m[i] * k.beta1 + gradient * (T(1) - k.beta1);                                       \
      v[i] = v[i] * k.beta2 + gradient * gradient * (T(1) - k.beta2);                            \
      const T denominator = std::sqrt(v[i]) / k.second_correction + k.epsilon;                   \
      p[i] = p[i] * k.shrink - k.step_size * (m[i] / denominator);                               \
    }                                                                                            \
  }                                                                                              \
  MMRA_VECTORISED void average_range(T* __restrict a, const T* __restrict p, std::int64_t count, \
                                     T decay) {                                                  \
    for (std::int64_t i = 0; i < count; ++i) a[i] = decay * a[i] + (T(1) - decay) * p[i];        \
  }                                                                                              \
  MMRA_VECTORISED T squares_of_range(const T* __restrict x, std::int64_t count) {                \
    T sums[16] = {};                                                                             \
    std::int64_t i = 0;                                                                          \
    for (; i + 16 <= count; i += 16) {                                                           \
      for (int lane = 0; lane < 16; ++lane) sums[lane] += x[i + lane] * x[i + lane];             \
    }                                                                                            \
    for (; i < count; ++i) sums[0] += x[i] * x[i];                                               \
    T sum = 0;                                                                                   \
    for (const T each : sums) sum += each;                                                       \
    return sum;                                                                                  \
  }

MMRA_DEFINE_ADAM(float)
MMRA_DEFINE_ADAM(double)
#undef MMRA_DEFINE_ADAM
#undef MMRA_VECTORISED

void round_weights(const float* from, BFloat16Bits* to, std::int64_t count) {
  round_to_bfloat16(from, to, count);
}
void round_weights(const double* /*from*/, BFloat16Bits* /*to*/, std::int64_t /*count*/) {}

/// The same for any number of threads.
double sum_of_squares(const at::Tensor& x) {
  const std::int64_t size = x.numel();
  std::vector<double> sums(static_cast<std::size_t>((size + kPiece - 1) / kPiece));
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "sum_of_squares", [&] {
    const auto* values = x.data_ptr<scalar_t>();
    at::parallel_for(0, static_cast<std::int64_t>(sums.size()), kGrain / kPiece,
                     [&](std::int64_t first, std::int64_t last) {
                       for (std::int64_t i = first; i < last; ++i) {
                         const std::int64_t begin = i * kPiece;
                         sums[static_cast<std::size_t>(i)] =
                             squares_of_range(values + begin, std::min(kPiece, size - begin));
                       }
                     });
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace

Adam::Adam(const std::vector<Parameter>& parameters, AdamOptions options) : options_(options) {
  for (const Parameter& parameter : parameters) {
    const at::Tensor value = parameter.value.detach();
    values_.push_back(parameter.value);
    first_.push_back(at::zeros_like(value));
    second_.push_back(at::zeros_like(value));
    if (options.ema_decay > 0.0) averages_.push_back(value.clone());
  }
  rounded_.resize(values_.size());
  steps_.assign(values_.size(), 0);
}

void Adam::round_into(const RoundedWeights& copies) {
  for (std::size_t i = 0; i < values_.size(); ++i) rounded_[i] = copies.of(values_[i]);
}

double Adam::gradient_norm() const {
  double sum = 0.0;
  for (const at::Tensor& value : values_) {
    if (value.grad().defined()) sum += sum_of_squares(value.grad().contiguous());
  }
  return std::sqrt(sum);
}

void Adam::step() {
  const at::NoGradGuard no_grad;
  const double norm = gradient_norm();
  if (!std::isfinite(norm)) {
    for (at::Tensor& value : values_) value.mutable_grad() = at::Tensor();
    throw Error(ErrorKind::kInvalidInput,
                "training diverged at step " + std::to_string(num_steps_ + 1) +
                    ": the gradient is not finite; lower the learning rate or check the features");
  }
  const bool clip = options_.gradient_clip > 0.0;
  // As torch.nn.utils.clip_grad_norm_ has it.
  const double scale = clip ? std::min(1.0, options_.gradient_clip / (norm + 1e-6)) : 1.0;
  ++num_steps_;
  const auto t = static_cast<double>(num_steps_);
  const double decay = std::min(options_.ema_decay, (1.0 + t) / (10.0 + t));
  for (std::size_t i = 0; i < values_.size(); ++i) update(i, scale, decay);
}

void Adam::update(std::size_t index, double gradient_scale, double average_decay) {
  at::Tensor& value = values_[index];
  const at::Tensor gradient = value.grad().defined() ? value.grad().contiguous() : at::Tensor();
  if (gradient.defined()) ++steps_[index];
  const auto t = static_cast<double>(steps_[index]);
  AT_DISPATCH_FLOATING_TYPES(value.scalar_type(), "adam", [&] {
    const StepConstants<scalar_t> constants{
        static_cast<scalar_t>(gradient_scale),
        static_cast<scalar_t>(1.0 - options_.learning_rate * options_.weight_decay),
        static_cast<scalar_t>(options_.beta1),
        static_cast<scalar_t>(options_.beta2),
        static_cast<scalar_t>(options_.learning_rate / (1.0 - std::pow(options_.beta1, t))),
        static_cast<scalar_t>(std::sqrt(1.0 - std::pow(options_.beta2, t))),
        static_cast<scalar_t>(options_.epsilon)};
    auto* p = value.data_ptr<scalar_t>();
    const auto* g = gradient.defined() ? gradient.data_ptr<scalar_t>() : nullptr;
    auto* m = first_[index].data_ptr<scalar_t>();
    auto* v = second_[index].data_ptr<scalar_t>();
    auto* a = averages_.empty() ? nullptr : averages_[index].data_ptr<scalar_t>();
    auto* rounded = rounded_[index].defined()
                        ? reinterpret_cast<BFloat16Bits*>(rounded_[index].data_ptr<at::BFloat16>())
                        : nullptr;
    at::parallel_for(0, value.numel(), kGrain, [&](std::int64_t first, std::int64_t last) {
      // Piece by piece, so that what was just written is still in the cache.
      for (std::int64_t begin = first; begin < last; begin += kPiece) {
        const std::int64_t count = std::min(kPiece, last - begin);
        if (g != nullptr) adam_range(p + begin, g + begin, m + begin, v + begin, count, constants);
        if (rounded != nullptr) round_weights(p + begin, rounded + begin, count);
        if (a != nullptr) {
          average_range(a + begin, p + begin, count, static_cast<scalar_t>(average_decay));
        }
      }
    });
  });
  value.mutable_grad() = at::Tensor();
}

}  // namespace mmra::model::neural
