#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "mmra/media/packet_index.h"

namespace mmra::media {

/// The frames to take of `num_frames` in presentation order: int(linspace(0, num_frames − 1, L)) as
/// numpy computes it, without repetitions, ascending. A clip shorter than L gives each frame once.
[[nodiscard]] std::vector<std::int64_t> pick_frames(std::int64_t num_frames, int num_picks);

/// Packets that are decoded in one go, from a clean point on; then the decoder is drained and
/// reset.
struct Segment {
  std::vector<std::size_t> packets;  ///< positions in the index, ascending
  /// The ordinals that the decoder must give for them, in this order: anything else, and the index
  /// is not to be believed.
  std::vector<std::int64_t> expected;
};

/// Which packets of an exact index to decode for `picks` (ascending ordinals): for each pick from
/// the clean point before it, without the packets that nothing needs.
[[nodiscard]] std::vector<Segment> plan_decoding(const PacketIndex& index,
                                                 const std::vector<std::int64_t>& picks);

}  // namespace mmra::media
