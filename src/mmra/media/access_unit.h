#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "mmra/media/ffmpeg_handles.h"

namespace mmra::media {

/// What the headers inside one packet say, read without decoding.
struct AccessUnit {
  /// Decoding may start here: what follows (in presentation order) needs nothing before it.
  bool random_access = false;
  /// No later picture of the same temporal layer needs this one, nor any decoder state it leaves.
  bool disposable = false;
  int temporal_id = 0;
  /// Hash of the parameter sets it carries, 0 for none.
  std::uint64_t parameter_sets = 0;
};

/// Reads packet headers of H.264, HEVC and VP9, to the extent that decides whether packets may be
/// skipped. (AV1 could be read as well, but its decoders drop every picture with a wrong bit: of a
/// slightly damaged file, packets say too little about the frames.) It vouches only for the plain
/// case of exactly one whole shown picture a packet (no separate fields, hidden or repeated
/// headers, layers, splices, data partitions): everything else is for the decoder to tell.
class AccessUnitReader {
 public:
  virtual ~AccessUnitReader() = default;
  /// Empty where it does not vouch for the packet.
  [[nodiscard]] virtual std::optional<AccessUnit> read(std::span<const std::uint8_t> packet) = 0;
};

/// Null for other codecs, of which every packet must be decoded.
[[nodiscard]] std::unique_ptr<AccessUnitReader> make_access_unit_reader(
    const AVCodecParameters& parameters);

}  // namespace mmra::media
