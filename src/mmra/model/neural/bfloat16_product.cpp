#include "mmra/model/neural/bfloat16_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstddef>
#include <dnnl.hpp>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "mmra/core/bfloat16_products.h"
#include "mmra/core/error.h"

namespace mmra::model::neural {
namespace {

using dnnl::memory;

constexpr std::size_t kMaxKeptProducts = 2048;

const dnnl::engine& engine() {
  static const dnnl::engine kEngine(dnnl::engine::kind::cpu, 0);
  return kEngine;
}

struct Shape {
  std::int64_t m, n, k;
  std::int64_t a_stride, b_stride, c_stride;
  bool a_transposed, b_transposed, has_bias;
  Activation activation;
  int threads;

  [[nodiscard]] auto key() const {
    return std::tie(m, n, k, a_stride, b_stride, c_stride, a_transposed, b_transposed, has_bias,
                    activation, threads);
  }
  bool operator<(const Shape& other) const { return key() < other.key(); }
};

memory::desc describe(std::int64_t rows, std::int64_t columns, std::int64_t stride,
                      bool transposed) {
  const memory::dims strides = transposed ? memory::dims{1, stride} : memory::dims{stride, 1};
  return {{rows, columns}, memory::data_type::bf16, strides};
}

dnnl::matmul::primitive_desc describe(const Shape& shape) {
  const memory::desc a = describe(shape.m, shape.k, shape.a_stride, shape.a_transposed);
  const memory::desc b = describe(shape.k, shape.n, shape.b_stride, shape.b_transposed);
  const memory::desc c({shape.m, shape.n}, memory::data_type::f32, memory::dims{shape.c_stride, 1});
  dnnl::post_ops operations;
  if (shape.activation == Activation::kRelu) {
    operations.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
  } else if (shape.activation == Activation::kTanh) {
    operations.append_eltwise(1.0F, dnnl::algorithm::eltwise_tanh, 0.0F, 0.0F);
  }
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(operations);
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (!shape.has_bias) return {dnnl::matmul::desc(a, b, c), attributes, engine()};
  const memory::desc bias({1, shape.n}, memory::data_type::f32, memory::dims{shape.n, 1});
  return {dnnl::matmul::desc(a, b, bias, c), attributes, engine()};
}

/// oneDNN's programs, made once for each shape and kept. Of one thread.
class Products {
 public:
  void run(const Shape& shape, const void* a, const void* b, const float* bias, float* c) {
    Product& product = product_of(shape);
    if (scratch_.size() < product.scratch_bytes) scratch_.resize(product.scratch_bytes);
    auto& arguments = product.arguments;
    // oneDNN's memory is never const; the product only reads its sources.
    arguments.at(DNNL_ARG_SRC).set_data_handle(const_cast<void*>(a));
    arguments.at(DNNL_ARG_WEIGHTS).set_data_handle(const_cast<void*>(b));
    arguments.at(DNNL_ARG_DST).set_data_handle(c);
    if (bias != nullptr) arguments.at(DNNL_ARG_BIAS).set_data_handle(const_cast<float*>(bias));
    arguments.at(DNNL_ARG_SCRATCHPAD).set_data_handle(scratch_.data());
    product.primitive.execute(stream_, arguments);
    stream_.wait();
  }

 private:
  struct Product {
    dnnl::matmul primitive;
    std::unordered_map<int, memory> arguments;
    std::size_t scratch_bytes = 0;
  };

  Product& product_of(const Shape& shape) {
    const auto found = products_.find(shape);
    if (found != products_.end()) return found->second;
    if (products_.size() >= kMaxKeptProducts) products_.clear();
    const auto description = describe(shape);
    Product product{dnnl::matmul(description), {}, description.scratchpad_desc().get_size()};
    const auto add = [&](int name, const memory::desc& desc) {
      product.arguments.emplace(name, memory(desc, engine(), nullptr));
    };
    add(DNNL_ARG_SRC, description.src_desc());
    add(DNNL_ARG_WEIGHTS, description.weights_desc());
    add(DNNL_ARG_DST, description.dst_desc());
    if (shape.has_bias) add(DNNL_ARG_BIAS, description.bias_desc());
    add(DNNL_ARG_SCRATCHPAD, description.scratchpad_desc());
    return products_.emplace(shape, std::move(product)).first->second;
  }

  dnnl::stream stream_{engine()};
  std::map<Shape, Product> products_;
  std::vector<std::byte> scratch_;
};

at::Tensor widen(const BFloat16Matrix& matrix) {
  const std::int64_t rows = matrix.transposed ? matrix.columns : matrix.rows;
  const std::int64_t columns = matrix.transposed ? matrix.rows : matrix.columns;
  at::Tensor wide = at::empty({rows, columns}, at::kFloat);
  widen_rows({matrix.data, rows, columns, matrix.stride},
             {wide.data_ptr<float>(), rows, columns, columns});
  return matrix.transposed ? wide.t() : wide;
}

}  // namespace

void multiply_widened(const BFloat16Matrix& a, const BFloat16Matrix& b, const float* bias,
                      Activation activation, float* c, std::int64_t c_stride) {
  const at::NoGradGuard no_grad;
  at::Tensor to = at::from_blob(c, {a.rows, b.columns}, {c_stride, 1}, at::kFloat);
  to.copy_(at::mm(widen(a), widen(b)));
  if (bias != nullptr) {
    to.add_(at::from_blob(const_cast<float*>(bias), {b.columns}, at::kFloat));
  }
  if (activation == Activation::kRelu) to.relu_();
  if (activation == Activation::kTanh) to.tanh_();
}

void multiply(const BFloat16Matrix& a, const BFloat16Matrix& b, const float* bias,
              Activation activation, float* c, std::int64_t c_stride) {
  static const bool kNative = has_bfloat16_products();
  if (!kNative) {
    multiply_widened(a, b, bias, activation, c, c_stride);
    return;
  }
  thread_local Products products;
  try {
    products.run({a.rows, b.columns, a.columns, a.stride, b.stride, c_stride, a.transposed,
                  b.transposed, bias != nullptr, activation, at::get_num_threads()},
                 a.data, b.data, bias, c);
  } catch (const dnnl::error& error) {
    throw Error(ErrorKind::kInternal, "oneDNN's matrix product failed with status " +
                                          std::to_string(error.status) + ": " + error.what());
  }
}

}  // namespace mmra::model::neural
