#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mmra/encoders/pretrained/transformer_blocks.h"

namespace mmra::encoders {

/// The sizes of a vision transformer, from its config.json.
struct VisionConfig {
  std::int64_t image_size = 0;  ///< pixels of a side, square
  std::int64_t patch_size = 0;  ///< pixels of a side, square
  std::int64_t hidden_size = 0;
  std::int64_t num_layers = 0;
  std::int64_t num_heads = 0;
  std::int64_t intermediate_size = 0;
  double layer_norm_epsilon = 0.0;
  Activation activation = Activation::kGelu;

  /// Of a ViTModel ("vit"). Throws Error{kUnsupported} for another model_type and for images that
  /// are not of three channels, {kCorruptData} naming the key.
  [[nodiscard]] static VisionConfig from_vit(const ModelConfig& config);
  /// Of BLIP's vision tower: `config` is the section "vision_config" of its config.json.
  [[nodiscard]] static VisionConfig from_blip(const ModelConfig& config);

  /// Patches of an image and the class token before them.
  [[nodiscard]] std::int64_t num_tokens() const {
    return (image_size / patch_size) * (image_size / patch_size) + 1;
  }
  /// Floats of an image: [3 × image_size × image_size].
  [[nodiscard]] std::int64_t image_floats() const { return 3 * image_size * image_size; }
};

/// A vision transformer (Dosovitskiy et al. 2021): patches, a class token, pre-norm blocks, a final
/// norm. Immutable; every member is thread-safe. An image gives the same alone and among others, up
/// to the rounding of float32 sums.
///
/// Images are planar float32 [images × 3 × image_size × image_size], as ImageProcessor makes them.
/// Members throw Error{kInvalidInput} for another number of floats.
class VisionTransformer {
 public:
  /// Opens the folder of a ViTModel. Throws what ModelFiles, VisionConfig and Weights throw.
  [[nodiscard]] static VisionTransformer open(const std::filesystem::path& directory,
                                              Precision precision = Precision::kAuto);
  /// The tensors of a ViTModel, "vit." or another prefix before their names or not.
  [[nodiscard]] static VisionTransformer vit(std::shared_ptr<const ModelFiles> files,
                                             Precision precision);
  /// "vision_model" of a BLIP model; queries, keys and values are one tensor there.
  [[nodiscard]] static VisionTransformer blip(std::shared_ptr<const ModelFiles> files,
                                              Precision precision);
  VisionTransformer(VisionTransformer&&) noexcept;
  VisionTransformer& operator=(VisionTransformer&&) noexcept;
  ~VisionTransformer();

  [[nodiscard]] const VisionConfig& config() const;
  [[nodiscard]] Precision precision() const;

  /// The last hidden states after the final norm [images · num_tokens × hidden_size], image by
  /// image, the class token first.
  [[nodiscard]] Matrix hidden_states(std::span<const float> images,
                                     const StageObserver& observer = {}) const;

  /// The class token's state of each image after the final norm [images × hidden_size].
  [[nodiscard]] std::vector<float> class_states(std::span<const float> images) const;

 private:
  struct Network;
  explicit VisionTransformer(std::unique_ptr<Network> network);
  std::unique_ptr<Network> network_;
};

}  // namespace mmra::encoders
