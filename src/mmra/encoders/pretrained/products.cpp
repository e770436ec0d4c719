#include "mmra/encoders/pretrained/products.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <dnnl.hpp>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "mmra/core/bfloat16.h"
#include "mmra/core/error.h"
#include "mmra/encoders/pretrained/parallel_rows.h"
#include "mmra/encoders/pretrained/row_kernels.h"

namespace mmra::encoders {

/// A weight in the layout that oneDNN's bfloat16 product asked for.
struct BlockedWeight {
  dnnl::memory memory;
};

namespace {

using DataTypeOf = dnnl::memory::data_type;

constexpr std::size_t kMaxKeptProducts = 512;  // batches differ in their number of tokens
constexpr std::int64_t kTypicalRows = 512;     // for which a blocked layout is chosen

const dnnl::engine& engine() {
  static const dnnl::engine kEngine(dnnl::engine::kind::cpu, 0);
  return kEngine;
}

template <typename Action>
auto with_our_errors(const Action& action) {
  try {
    return action();
  } catch (const dnnl::error& error) {
    throw Error(ErrorKind::kInternal, "oneDNN's matrix product failed with status " +
                                          std::to_string(error.status) + ": " + error.what());
  }
}

struct ProductShape {
  std::int64_t rows = 0;
  std::int64_t out = 0;
  std::int64_t in = 0;
  std::int64_t x_stride = 0;
  std::int64_t y_stride = 0;
  Activation activation = Activation::kNone;
  bool add = false;
  bool has_bias = false;
  bool x_is_bfloat16 = false;  // and so is the weight
  bool y_is_bfloat16 = false;
  int threads = 1;

  [[nodiscard]] auto key() const {
    return std::tie(rows, out, in, x_stride, y_stride, activation, add, has_bias, x_is_bfloat16,
                    y_is_bfloat16, threads);
  }
  bool operator<(const ProductShape& other) const { return key() < other.key(); }
};

DataTypeOf type_of(bool is_bfloat16) { return is_bfloat16 ? DataTypeOf::bf16 : DataTypeOf::f32; }

/// W [out × in] row-major, seen as the [in × out] right side of x Wᵀ.
dnnl::memory::desc row_major_weight(std::int64_t out, std::int64_t in, DataTypeOf type) {
  return {{in, out}, type, dnnl::memory::dims{1, in}};
}

dnnl::primitive_attr attributes_of(const ProductShape& shape) {
  using dnnl::algorithm;
  dnnl::post_ops operations;
  if (shape.add) operations.append_sum(1.0F);
  switch (shape.activation) {
    case Activation::kNone:
      break;
    case Activation::kRelu:
      operations.append_eltwise(1.0F, algorithm::eltwise_relu, 0.0F, 0.0F);
      break;
    case Activation::kTanh:
      operations.append_eltwise(1.0F, algorithm::eltwise_tanh, 0.0F, 0.0F);
      break;
    case Activation::kGelu:
      operations.append_eltwise(1.0F, algorithm::eltwise_gelu_erf, 0.0F, 0.0F);
      break;
    case Activation::kGeluTanh:
      operations.append_eltwise(1.0F, algorithm::eltwise_gelu_tanh, 0.0F, 0.0F);
      break;
    case Activation::kQuickGelu:
      operations.append_eltwise(1.0F, algorithm::eltwise_swish, 1.702F, 0.0F);
      break;
  }
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(operations);
  // oneDNN's own scratch belongs to the thread that made the product; ours goes with the workspace.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

dnnl::matmul::primitive_desc describe(const ProductShape& shape, const dnnl::memory::desc& weight) {
  const dnnl::memory::desc x({shape.rows, shape.in}, type_of(shape.x_is_bfloat16),
                             dnnl::memory::dims{shape.x_stride, 1});
  const dnnl::memory::desc y({shape.rows, shape.out}, type_of(shape.y_is_bfloat16),
                             dnnl::memory::dims{shape.y_stride, 1});
  const auto attributes = attributes_of(shape);
  if (!shape.has_bias) return {dnnl::matmul::desc(x, weight, y), attributes, engine()};
  const dnnl::memory::desc bias({1, shape.out}, DataTypeOf::f32, dnnl::memory::dims{shape.out, 1});
  return {dnnl::matmul::desc(x, weight, bias, y), attributes, engine()};
}

bool is_reference(const dnnl::matmul::primitive_desc& description) {
  return std::string(description.impl_info_str()).starts_with("ref");
}

/// The layout for bfloat16 products of this weight; nothing where oneDNN has no fast one.
std::optional<dnnl::memory::desc> blocked_layout(std::int64_t out, std::int64_t in) {
  ProductShape shape;
  shape.rows = kTypicalRows;
  shape.out = shape.y_stride = out;
  shape.in = shape.x_stride = in;
  shape.has_bias = true;
  shape.x_is_bfloat16 = true;
  try {
    const auto description = describe(
        shape, dnnl::memory::desc({in, out}, DataTypeOf::bf16, dnnl::memory::format_tag::any));
    if (is_reference(description)) return std::nullopt;
    return description.weights_desc();
  } catch (const dnnl::error&) {
    return std::nullopt;
  }
}

void reorder(const dnnl::memory::desc& from_desc, void* from, dnnl::memory& target) {
  dnnl::memory source(from_desc, engine(), from);
  dnnl::stream stream(engine());
  dnnl::reorder(source, target).execute(stream, source, target);
  stream.wait();
}

}  // namespace

Activation parse_activation(const ModelConfig& config, const std::string& key) {
  const std::string name = config.text(key, "gelu");
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return Activation::kGeluTanh;
  if (name == "quick_gelu") return Activation::kQuickGelu;
  if (name == "relu") return Activation::kRelu;
  if (name == "tanh") return Activation::kTanh;
  throw Error(ErrorKind::kUnsupported,
              config.origin() + ": \"" + key + "\" is \"" + name +
                  "\"; gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, relu and tanh are known");
}

ProductWeight::ProductWeight(const Weights& weights, const std::string& name, std::int64_t out,
                             std::int64_t in, Precision precision)
    : ProductWeight(weights, name, std::array{out, in}, out, in, precision) {}

ProductWeight::ProductWeight(const Weights& weights, const std::string& name,
                             std::span<const std::int64_t> shape, std::int64_t out, std::int64_t in,
                             Precision precision)
    : out_(out), in_(in) {
  if (precision == Precision::kBFloat16) {
    keep_bfloat16(weights.bfloat16s(name, shape));
  } else {
    floats_ = weights.floats(name, shape);
  }
}

void ProductWeight::keep_bfloat16(std::shared_ptr<const std::vector<std::uint16_t>> bits) {
  if (has_bfloat16_products()) {
    if (const auto layout = blocked_layout(out_, in_)) {
      blocked_ = with_our_errors([&] {
        auto blocked = std::make_shared<BlockedWeight>(BlockedWeight{{*layout, engine()}});
        // oneDNN takes no const; a reorder only reads its source.
        reorder(row_major_weight(out_, in_, DataTypeOf::bf16),
                const_cast<std::uint16_t*>(bits->data()), blocked->memory);
        return blocked;
      });
      native_bfloat16_ = true;
      return;
    }
  }
  bfloats_ = std::move(bits);
}

struct Products::State {
  struct Product {
    dnnl::matmul primitive;
    std::unordered_map<int, dnnl::memory> arguments;
    std::size_t scratch_bytes = 0;
  };

  dnnl::stream stream{engine()};
  std::map<ProductShape, Product> products;
  std::vector<float> widened;      // a bfloat16 weight, for the product at hand
  std::vector<std::byte> scratch;  // oneDNN's

  Product& product_of(const ProductShape& shape, const dnnl::memory::desc& weight) {
    const auto found = products.find(shape);
    if (found != products.end()) return found->second;
    if (products.size() >= kMaxKeptProducts) products.clear();
    const auto description = describe(shape, weight);
    Product product{dnnl::matmul(description), {}, description.scratchpad_desc().get_size()};
    const auto add = [&](int name, const dnnl::memory::desc& desc) {
      product.arguments.emplace(name, dnnl::memory(desc, engine(), nullptr));
    };
    add(DNNL_ARG_SRC, description.src_desc());
    add(DNNL_ARG_WEIGHTS, weight);
    add(DNNL_ARG_DST, description.dst_desc());
    if (shape.has_bias) add(DNNL_ARG_BIAS, description.bias_desc());
    add(DNNL_ARG_SCRATCHPAD, description.scratchpad_desc());
    return products.emplace(shape, std::move(product)).first->second;
  }

  /// The weight as float32, row-major.
  const float* widen(const std::vector<std::uint16_t>& bits) {
    if (widened.size() < bits.size()) widened.resize(bits.size());
    constexpr std::int64_t kPiece = 16384;
    const auto size = static_cast<std::int64_t>(bits.size());
    parallel_rows((size + kPiece - 1) / kPiece, 1, [&](std::int64_t piece, int) {
      const std::int64_t first = piece * kPiece;
      widen_bfloat16(bits.data() + first, widened.data() + first, std::min(kPiece, size - first));
    });
    return widened.data();
  }
};

Products::Products() : state_(with_our_errors([] { return std::make_unique<State>(); })) {}
Products::~Products() = default;

void Products::multiply(const ProductWeight& weight, const float* bias, const ProductOperand& x,
                        const ProductOperand& y, Activation activation, bool add) {
  if (x.rows == 0) return;
  ProductShape shape{
      x.rows, weight.out(),    weight.in(),   x.stride,      y.stride,          activation,
      add,    bias != nullptr, x.is_bfloat16, y.is_bfloat16, parallel_threads()};
  const void* values = nullptr;
  dnnl::memory::desc layout;
  if (weight.blocked_ && x.is_bfloat16) {
    values = weight.blocked_->memory.get_data_handle();
    layout = weight.blocked_->memory.get_desc();
  } else {
    values = weight.bfloats_ ? state_->widen(*weight.bfloats_) : weight.floats_.data;
    layout = row_major_weight(weight.out(), weight.in(), DataTypeOf::f32);
  }
  with_our_errors([&] {
    State::Product& product = state_->product_of(shape, layout);
    if (state_->scratch.size() < product.scratch_bytes) {
      state_->scratch.resize(product.scratch_bytes);
    }
    auto& arguments = product.arguments;
    // oneDNN's memory is never const; the product only reads its sources.
    arguments.at(DNNL_ARG_SRC).set_data_handle(x.data);
    arguments.at(DNNL_ARG_WEIGHTS).set_data_handle(const_cast<void*>(values));
    arguments.at(DNNL_ARG_DST).set_data_handle(y.data);
    if (bias != nullptr) arguments.at(DNNL_ARG_BIAS).set_data_handle(const_cast<float*>(bias));
    arguments.at(DNNL_ARG_SCRATCHPAD).set_data_handle(state_->scratch.data());
    product.primitive.execute(state_->stream, arguments);
    state_->stream.wait();
  });
}

}  // namespace mmra::encoders
