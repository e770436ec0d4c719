#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "mmra/media/clip.h"

namespace mmra::media {

/// What sampling cost, for benchmarks and tests.
struct SampleTrace {
  bool skipped_packets = false;      ///< the packet index was exact and was followed to the end
  std::int64_t packets_decoded = 0;  ///< over all passes
};

/// The frames int(linspace(0, n−1, options.num_frames)) (numpy's) of the n frames that really
/// decode, in presentation order: what decoding everything and picking would give. A clip of fewer
/// frames gives each once, where linspace would repeat. A still image has one frame.
///
/// Where the packets (of H.264, HEVC, VP9) show that each is one whole picture, only those that the
/// wanted frames need are decoded, and what comes out is checked against them; whatever does not
/// agree, and every other file, is decoded from end to end, twice where the number of packets was
/// not the number of frames. One thing is then not looked at: damage inside a packet that is
/// skipped (with headers that still read well) could have made the decoder drop that picture.
///
/// Holds the wanted frames and the decoder's own, never all. Beyond max_frames the clip counts as
/// cut; where max_decode_s runs out, the wanted frames found until then are returned; both with a
/// warning, and so are damaged and truncated files. At least one frame is returned.
///
/// Reads `file` alone: playlists and references to other files are refused. Thread-safe.
/// Throws Interrupted, and Error with one line that names the file: kNotFound, kIo, kInvalidInput
/// (directory, pipe, playlist, sound only, options that make no sense), kCorruptData (empty, no
/// video, no frame that decodes), kUnsupported (codec, format, picture too large, time ran out).
[[nodiscard]] SampledClip sample_frames(const std::filesystem::path& file,
                                        const SampleOptions& options, SampleTrace* trace = nullptr);

/// The same from bytes that hold a whole file.
[[nodiscard]] SampledClip sample_frames_from_memory(std::span<const std::byte> bytes,
                                                    const SampleOptions& options,
                                                    SampleTrace* trace = nullptr);

}  // namespace mmra::media
