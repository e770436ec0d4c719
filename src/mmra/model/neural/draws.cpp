#include "mmra/model/neural/draws.h"

namespace mmra::model::neural {
namespace {

at::Tensor keep_some(const at::Tensor& x, double rate, at::Tensor mask) {
  return x * mask.mul_(1.0 / (1.0 - rate));
}

}  // namespace

at::Tensor Draws::like_part(const at::Tensor& x, std::int64_t first, std::int64_t total,
                            const Fill& fill) const {
  const at::TensorOptions options = x.options().requires_grad(false);
  if (whole_ == nullptr) {
    at::Tensor values = at::empty_like(x, options);
    fill(values, *generator_);
    return values;
  }
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape[0] = total;
  at::Tensor values = at::empty(shape, options);
  fill(values, *generator_);
  return values.narrow(0, first, x.size(0));
}

at::Tensor Draws::like_rows(const at::Tensor& x, const Fill& fill) const {
  if (whole_ == nullptr) return like_part(x, 0, x.size(0), fill);
  const std::int64_t each = x.size(0) / static_cast<std::int64_t>(rows_.count);
  return like_part(x, static_cast<std::int64_t>(rows_.begin) * each,
                   static_cast<std::int64_t>(whole_->query_rows.size()) * each, fill);
}

at::Tensor dropout(const at::Tensor& x, double rate, const Draws& draws) {
  if (!draws || rate == 0.0) return x;
  return keep_some(x, rate, draws.like_rows(x, [&](at::Tensor& mask, at::Generator& generator) {
    mask.bernoulli_(1.0 - rate, generator);
  }));
}

at::Tensor dropout_of_tokens(const at::Tensor& x, double rate, PartOfWhole part,
                             const Draws& draws) {
  if (!draws || rate == 0.0) return x;
  return keep_some(
      x, rate,
      draws.like_part(x, part.first, part.total, [&](at::Tensor& mask, at::Generator& generator) {
        mask.bernoulli_(1.0 - rate, generator);
      }));
}

}  // namespace mmra::model::neural
