#include "mmra/encoders/pretrained/vision_transformer.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/encoders/pretrained/parallel_rows.h"
#include "mmra/encoders/pretrained/row_kernels.h"

namespace mmra::encoders {
namespace {

// Tokens of one pass: bounds its memory.
constexpr std::int64_t kMaxTokensPerPass = 4096;
constexpr std::int64_t kLargestWidth = 1 << 16;
constexpr std::int64_t kChannels = 3;

/// BlipVisionConfig's: keys of a nested section that have them are left out when it is saved.
constexpr VisionConfig kBlipDefaults{.image_size = 384,
                                     .patch_size = 16,
                                     .hidden_size = 768,
                                     .num_layers = 12,
                                     .num_heads = 12,
                                     .intermediate_size = 3072};

/// `defaults` null: every size must be there.
VisionConfig sizes_from(const ModelConfig& config, const VisionConfig* defaults, double epsilon) {
  if (config.integer("num_channels", 1, 1024, kChannels) != kChannels) {
    throw Error(ErrorKind::kUnsupported,
                config.origin() + ": \"num_channels\" is not 3; images of RGB are read");
  }
  VisionConfig result;
  const auto read = [&](const std::string& key, std::int64_t largest,
                        std::int64_t VisionConfig::*size) {
    std::optional<std::int64_t> fallback;
    if (defaults != nullptr) fallback = defaults->*size;
    result.*size = config.integer(key, 1, largest, fallback);
  };
  read("image_size", 1 << 14, &VisionConfig::image_size);
  read("patch_size", 1 << 14, &VisionConfig::patch_size);
  read("hidden_size", kLargestWidth, &VisionConfig::hidden_size);
  read("num_hidden_layers", 1024, &VisionConfig::num_layers);
  read("num_attention_heads", kLargestWidth, &VisionConfig::num_heads);
  read("intermediate_size", kLargestWidth, &VisionConfig::intermediate_size);
  result.layer_norm_epsilon = config.number("layer_norm_eps", 0.0, 1.0, epsilon);
  result.activation = parse_activation(config, "hidden_act");
  check_divides(config, "hidden_size", result.hidden_size, "num_attention_heads", result.num_heads);
  check_divides(config, "image_size", result.image_size, "patch_size", result.patch_size);
  return result;
}

/// Where an architecture keeps the tensors that ViT and BLIP name differently.
struct Names {
  std::string class_token;
  std::string positions;
  std::string patch_weight;
  std::string patch_bias;
  std::string layers;
  std::string norm1;
  std::string norm2;
  std::string attention_output;
  std::string first;
  std::string second;
  std::string final_norm;
  std::string fused_qkv;  // empty: three tensors
};

Names vit_names() {
  return {"embeddings.cls_token",
          "embeddings.position_embeddings",
          "embeddings.patch_embeddings.projection.weight",
          "embeddings.patch_embeddings.projection.bias",
          "encoder.layer",
          "layernorm_before",
          "layernorm_after",
          "attention.output.dense",
          "intermediate.dense",
          "output.dense",
          "layernorm",
          ""};
}

Names blip_names() {
  return {"embeddings.class_embedding",
          "embeddings.position_embedding",
          "embeddings.patch_embedding.weight",
          "embeddings.patch_embedding.bias",
          "encoder.layers",
          "layer_norm1",
          "layer_norm2",
          "self_attn.projection",
          "mlp.fc1",
          "mlp.fc2",
          "post_layernorm",
          "self_attn.qkv"};
}

QkvProjection make_projection(const Weights& weights, const Names& names, std::int64_t hidden,
                              Precision precision) {
  if (!names.fused_qkv.empty()) {
    return QkvProjection(Linear(weights, names.fused_qkv, 3 * hidden, hidden, precision));
  }
  const auto linear = [&](const std::string& part) {
    return Linear(weights, "attention.attention." + part, hidden, hidden, precision);
  };
  return {linear("query"), linear("key"), linear("value")};
}

PreNormBlock make_block(const Weights& weights, const Names& names, const VisionConfig& config,
                        Precision precision) {
  const std::int64_t hidden = config.hidden_size;
  const std::int64_t wide = config.intermediate_size;
  return {LayerNorm(weights, names.norm1, hidden, config.layer_norm_epsilon),
          SelfAttention(make_projection(weights, names, hidden, precision),
                        Linear(weights, names.attention_output, hidden, hidden, precision),
                        static_cast<int>(config.num_heads)),
          LayerNorm(weights, names.norm2, hidden, config.layer_norm_epsilon),
          FeedForward{Linear(weights, names.first, wide, hidden, precision),
                      Linear(weights, names.second, hidden, wide, precision), config.activation}};
}

/// patches [(image_size / patch_size)² × 3 · patch_size²] ← one image, in the order of a
/// convolution's kernel: channel, row, column.
void cut_patches(const float* image, const VisionConfig& config, Rows patches) {
  const std::int64_t side = config.image_size;
  const std::int64_t patch = config.patch_size;
  const std::int64_t per_side = side / patch;
  parallel_rows(patches.rows, grain_of_rows(patches.cols), [&](std::int64_t index, int) {
    float* to = patches.row(index);
    const float* corner = image + (index / per_side) * patch * side + (index % per_side) * patch;
    for (std::int64_t channel = 0; channel < kChannels; ++channel) {
      for (std::int64_t y = 0; y < patch; ++y) {
        to = std::copy_n(corner + (channel * side + y) * side, patch, to);
      }
    }
  });
}

}  // namespace

VisionConfig VisionConfig::from_vit(const ModelConfig& config) {
  const std::string type = config.text("model_type");
  if (type != "vit") {
    throw Error(ErrorKind::kUnsupported, config.origin() + ": \"model_type\" is \"" + type +
                                             "\"; visual encoders of type \"vit\" are read");
  }
  return sizes_from(config, nullptr, 1e-12);
}

VisionConfig VisionConfig::from_blip(const ModelConfig& config) {
  return sizes_from(config, &kBlipDefaults, 1e-5);
}

struct VisionTransformer::Network {
  Network(const VisionConfig& sizes, const Weights& weights, const Names& names, Precision resolved)
      : config(sizes),
        precision(resolved),
        class_token(weights.floats(names.class_token, {1, 1, sizes.hidden_size})),
        positions(weights.floats(names.positions, {1, sizes.num_tokens(), sizes.hidden_size})),
        patches(weights, names.patch_weight,
                std::array{sizes.hidden_size, kChannels, sizes.patch_size, sizes.patch_size},
                names.patch_bias, sizes.hidden_size,
                kChannels * sizes.patch_size * sizes.patch_size, resolved),
        final_norm(weights, names.final_norm, sizes.hidden_size, sizes.layer_norm_epsilon) {
    for (std::int64_t i = 0; i < sizes.num_layers; ++i) {
      blocks.push_back(make_block(weights.below(names.layers + "." + std::to_string(i)), names,
                                  sizes, resolved));
    }
  }

  /// x [num_tokens × hidden] ← (class token, patches · W + b) + positions.
  void embed_image(const float* image, Rows x, Workspace& workspace) const {
    const std::int64_t hidden = config.hidden_size;
    std::copy_n(positions.data, positions.size, x.data);
    add_scaled(x.data, class_token.data, 1.0F, hidden);
    const Rows cut = workspace.intermediate.resize(x.rows - 1, patches.in());
    cut_patches(image, config, cut);
    patches.add_to(cut, x.slice(1, x.rows - 1), workspace);
  }

  /// Runs images [num_images × …] through all layers; x [num_images · num_tokens × hidden].
  void run(const float* images, std::int64_t num_images, Rows x, const StageObserver& observer,
           Workspace& workspace) const {
    for (std::int64_t i = 0; i < num_images; ++i) {
      embed_image(images + i * config.image_floats(),
                  x.slice(i * config.num_tokens(), config.num_tokens()), workspace);
    }
    if (observer) observer("embeddings", x);
    const std::vector<std::int64_t> lengths(static_cast<std::size_t>(num_images),
                                            config.num_tokens());
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      blocks[i].forward(x, lengths, workspace);
      if (observer) observer("layer." + std::to_string(i), x);
    }
  }

  /// The number of images, checked.
  [[nodiscard]] std::int64_t count(std::span<const float> images) const {
    const auto size = static_cast<std::int64_t>(images.size());
    if (size % config.image_floats() != 0) {
      throw Error(ErrorKind::kInvalidInput, std::to_string(size) +
                                                " floats are no whole number of images of 3 × " +
                                                std::to_string(config.image_size) + " × " +
                                                std::to_string(config.image_size));
    }
    return size / config.image_floats();
  }

  /// Calls body(first, count) on pieces of the images that fit a pass.
  void in_passes(std::int64_t num_images,
                 const std::function<void(std::int64_t first, std::int64_t count)>& body) const {
    const std::int64_t at_once = std::max<std::int64_t>(1, kMaxTokensPerPass / config.num_tokens());
    for (std::int64_t first = 0; first < num_images; first += at_once) {
      body(first, std::min(at_once, num_images - first));
    }
  }

  VisionConfig config;
  Precision precision;
  FloatTensor class_token;
  FloatTensor positions;
  Linear patches;
  LayerNorm final_norm;
  std::vector<PreNormBlock> blocks;
  WorkspacePool workspaces;
};

VisionTransformer VisionTransformer::open(const std::filesystem::path& directory,
                                          Precision precision) {
  return vit(std::make_shared<const ModelFiles>(directory), precision);
}

VisionTransformer VisionTransformer::vit(std::shared_ptr<const ModelFiles> files,
                                         Precision precision) {
  const VisionConfig config = VisionConfig::from_vit(files->config());
  const Names names = vit_names();
  const Weights weights = Weights::rooted_at(files, names.class_token);
  return VisionTransformer(std::make_unique<Network>(config, weights, names, resolve(precision)));
}

VisionTransformer VisionTransformer::blip(std::shared_ptr<const ModelFiles> files,
                                          Precision precision) {
  const VisionConfig config = VisionConfig::from_blip(files->config().section("vision_config"));
  const Names names = blip_names();
  const Weights weights = Weights::rooted_at(files, names.class_token);
  return VisionTransformer(std::make_unique<Network>(config, weights, names, resolve(precision)));
}

VisionTransformer::VisionTransformer(std::unique_ptr<Network> network)
    : network_(std::move(network)) {}
VisionTransformer::VisionTransformer(VisionTransformer&&) noexcept = default;
VisionTransformer& VisionTransformer::operator=(VisionTransformer&&) noexcept = default;
VisionTransformer::~VisionTransformer() = default;

const VisionConfig& VisionTransformer::config() const { return network_->config; }
Precision VisionTransformer::precision() const { return network_->precision; }

Matrix VisionTransformer::hidden_states(std::span<const float> images,
                                        const StageObserver& observer) const {
  const VisionConfig& config = network_->config;
  const std::int64_t num_images = network_->count(images);
  Matrix states(num_images * config.num_tokens(), config.hidden_size);
  const auto workspace = network_->workspaces.borrow();
  network_->in_passes(num_images, [&](std::int64_t first, std::int64_t count) {
    const Rows x = states.view().slice(first * config.num_tokens(), count * config.num_tokens());
    network_->run(images.data() + first * config.image_floats(), count, x, observer, *workspace);
    network_->final_norm.forward(x, x);
    if (observer) observer("final", x);
  });
  return states;
}

std::vector<float> VisionTransformer::class_states(std::span<const float> images) const {
  const VisionConfig& config = network_->config;
  const std::int64_t num_images = network_->count(images);
  const std::int64_t hidden = config.hidden_size;
  std::vector<float> vectors(static_cast<std::size_t>(num_images * hidden));
  const auto workspace = network_->workspaces.borrow();
  network_->in_passes(num_images, [&](std::int64_t first, std::int64_t count) {
    const Rows x = workspace->states.resize(count * config.num_tokens(), hidden);
    network_->run(images.data() + first * config.image_floats(), count, x, {}, *workspace);
    const ConstRows class_rows{x.data, count, hidden, hidden * config.num_tokens()};
    network_->final_norm.forward(class_rows,
                                 {vectors.data() + first * hidden, count, hidden, hidden});
  });
  return vectors;
}

}  // namespace mmra::encoders
