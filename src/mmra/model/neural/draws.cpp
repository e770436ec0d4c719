#include "mmra/model/neural/draws.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Dispatch.h>

#include <mutex>

namespace mmra::model::neural {

void draw_kept(at::Tensor& values, double probability, double kept, at::Generator& generator) {
  TORCH_CHECK(values.is_contiguous(), "values to be drawn must be contiguous");
  auto* cpu = at::check_generator<at::CPUGeneratorImpl>(generator);
  const std::lock_guard<std::mutex> lock(cpu->mutex_);
  at::mt19937 engine = cpu->engine();
  // As at::bernoulli_distribution<double> has it: the lower 53 of 64 bits, times 2⁻⁵³, are below p.
  constexpr std::uint64_t kBits = (std::uint64_t{1} << 53) - 1;
  constexpr double kUnit = 0x1.0p-53;
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, values.scalar_type(), "draw_kept", [&] {
    auto* to = values.data_ptr<scalar_t>();
    const auto one = c10::convert<scalar_t>(kept);
    const auto zero = c10::convert<scalar_t>(0.0);
    for (std::int64_t i = 0; i < values.numel(); ++i) {
      const std::uint64_t high = engine();
      const std::uint64_t bits = (high << 32) | engine();
      to[i] = static_cast<double>(bits & kBits) * kUnit < probability ? one : zero;
    }
  });
  cpu->set_engine(engine);
}

at::Tensor Draws::like(const at::Tensor& x, const Fill& fill) const {
  at::Tensor values = at::empty_like(x, x.options().requires_grad(false));
  fill(values, *generator_);
  return values;
}

at::Tensor dropout(const at::Tensor& x, double rate, const Draws& draws) {
  if (!draws || rate == 0.0) return x;
  return x * draws.like(x, [&](at::Tensor& mask, at::Generator& generator) {
    draw_kept(mask, 1.0 - rate, 1.0 / (1.0 - rate), generator);
  });
}

}  // namespace mmra::model::neural
