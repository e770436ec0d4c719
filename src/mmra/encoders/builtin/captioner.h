#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/encoders/builtin/frame_description.h"
#include "mmra/encoders/encoder_set.h"

namespace mmra::encoders {

/// A sentence about one frame from what was measured, in a fixed vocabulary: "bright scene, mostly
/// red and orange, vivid colours, busy texture, subject in the centre, strong motion". Says what
/// the pixels are like, never what they show. docs/builtin-encoders.md has every threshold.
[[nodiscard]] std::string describe_in_words(const FrameDescription& description);

class BuiltinCaptioner final : public Captioner {
 public:
  [[nodiscard]] std::vector<std::vector<std::string>> caption_clips(
      std::span<const Clip> clips, const EncodeOptions& options) const override;
  /// One clip.
  [[nodiscard]] static std::vector<std::string> caption(Clip frames);
};

/// The words of the captions that say something, in a fixed order: element i of the caption part of
/// the retrieval vector belongs to word i. ("and", "scene", "colours" … are left out.)
[[nodiscard]] std::span<const std::string_view> caption_vocabulary();

}  // namespace mmra::encoders
