#pragma once

#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "mmra/encoders/builtin/frame_description.h"
#include "mmra/encoders/encoder_set.h"

namespace mmra::encoders {

/// A run of elements of the visual token that measure one thing. Element = (raw − centre) · scale,
/// with raw the described quantity or, where `square_root`, its square root (shares and energies:
/// small ones matter more than their size says). The constants bring each element to a spread of
/// about one over ordinary videos, so that nothing needs to be fitted.
struct VisualBlock {
  std::string_view name;
  int offset = 0;
  int size = 0;
  float centre = 0.0F;
  float scale = 1.0F;
  bool square_root = false;
};

/// d_v of the builtin encoders.
inline constexpr int kVisualDim = 192;

/// All blocks in order, without gaps, from 0 to kVisualDim (docs/builtin-encoders.md lists them).
[[nodiscard]] std::span<const VisualBlock> visual_blocks();

/// E^v without weights: one token a frame.
class BuiltinVisualEncoder final : public VisualEncoder {
 public:
  [[nodiscard]] int dim() const override { return kVisualDim; }
  [[nodiscard]] std::vector<TokenMatrix> encode_clips(std::span<const Clip> clips,
                                                      const EncodeOptions& options) const override;
  /// One clip.
  [[nodiscard]] static TokenMatrix encode(Clip frames);
};

/// One token [kVisualDim] from what was measured.
[[nodiscard]] std::array<float, kVisualDim> to_visual_token(const FrameDescription& description);

}  // namespace mmra::encoders
