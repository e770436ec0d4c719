#pragma once

#include <cstdint>
#include <vector>

#include "mmra/media/clip.h"

namespace mmra::media {

/// A whole baseline JPEG file (4:2:0, BT.601, full range) of `frame`, shrunk by area averaging so
/// that its longer side has at most `max_side_px` pixels (0: as it is). `quality_percent` 1 … 100,
/// about linear in the quantiser. The same input gives the same bytes. Thread-safe.
/// Throws Error{kInvalidInput} for a frame or number that makes no sense, {kUnsupported} where
/// libavcodec has no JPEG encoder.
[[nodiscard]] std::vector<std::uint8_t> encode_jpeg(const Frame& frame, int max_side_px,
                                                    int quality_percent);

}  // namespace mmra::media
