#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mmra/encoders/encoder_set.h"
#include "mmra/encoders/pretrained/frame_groups.h"
#include "mmra/encoders/pretrained/generation.h"
#include "mmra/encoders/pretrained/precision.h"
#include "mmra/media/clip.h"

namespace mmra::encoders {

struct BlipCaptionerOptions {
  Precision precision = Precision::kAuto;
  /// Memory that the frames of a batch may take, besides the model and one pass of its vision tower
  /// (48 MB a frame for BLIP base, nearly all of it keys and values of the image). At least one
  /// frame is a batch.
  std::size_t batch_bytes = std::size_t{512} << 20;
  FrameGroupOptions grouping;                   ///< of caption_clips()
  std::optional<GenerationOptions> generation;  ///< instead of what the folder says
};

/// Salesforce/blip-image-captioning-base and its like (BlipForConditionalGeneration of transformers
/// 4.41): a frame to a sentence, without a prompt (paper 2.1.1). Immutable; every member is
/// thread-safe, and a frame gives the same alone and among others, up to the rounding of float32
/// sums.
class BlipCaptioner {
 public:
  /// Opens a model's folder: config.json, model.safetensors or its shards,
  /// preprocessor_config.json, tokenizer.json or vocab.txt, generation_config.json where there is
  /// one. Throws Error{kUnsupported} for another model_type, {kCorruptData} where the parts do not
  /// fit each other, and what ModelFiles, Weights, ImageProcessor, WordPieceTokenizer and
  /// read_generation_options throw.
  [[nodiscard]] static BlipCaptioner open(const std::filesystem::path& directory,
                                          const BlipCaptionerOptions& options = {});
  BlipCaptioner(BlipCaptioner&&) noexcept;
  BlipCaptioner& operator=(BlipCaptioner&&) noexcept;
  ~BlipCaptioner();

  [[nodiscard]] const GenerationOptions& generation() const;
  [[nodiscard]] Precision precision() const;
  /// Frames of one batch.
  [[nodiscard]] std::size_t batch_size() const;

  /// One caption a frame; frames of many clips may be given at once. Throws Interrupted between
  /// batches when asked to stop, Error{kInvalidInput} where a frame's bytes do not fit its size.
  [[nodiscard]] std::vector<std::string> caption(std::span<const media::Frame* const> frames,
                                                 const EncodeOptions& how = {}) const;

  /// One caption a frame of each clip. Frames of a clip that are nearly the same
  /// (group_similar_frames) are captioned once; the rest of all clips are batched together.
  [[nodiscard]] std::vector<std::vector<std::string>> caption_clips(
      std::span<const Clip> clips, const EncodeOptions& how = {}) const;

  /// The token ids behind captions, start and end id included: `images` planar float32
  /// [images × 3 × image_size × image_size] as ImageProcessor makes them, all in one batch.
  [[nodiscard]] std::vector<std::vector<std::int32_t>> generate_ids(std::span<const float> images,
                                                                    int num_threads = 1) const;

 private:
  struct Model;
  explicit BlipCaptioner(std::unique_ptr<const Model> model);
  std::unique_ptr<const Model> model_;
};

}  // namespace mmra::encoders
