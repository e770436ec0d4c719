#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/bank/record.h"
#include "mmra/core/progress.h"
#include "mmra/pipeline/demo/clip_painter.h"

namespace mmra::pipeline::demo {

/// One micro-video of the demonstration, which is made up, not real.
struct DemoClip {
  std::string id;
  std::string title;
  std::int64_t popularity = 0;  ///< likes
  bank::Split split = bank::Split::kTrain;
  Look look;
  double duration_s = 1.0;
  bool held_out = false;  ///< not in the manifest: the one that is predicted as new
};

/// The demonstration's world. log2 of a clip's popularity is the sum of what its pictures show
/// (scene, speed, brightness), what its title says (topic words), whether the title contradicts the
/// pictures, the following of its series (a made-up name in the title that it shares with a few
/// earlier clips: too few for a network to learn by heart, enough for retrieval to find), and
/// chance. Titles often leave the scene out, and sometimes name a wrong one. Deterministic in
/// `seed`.
[[nodiscard]] std::vector<DemoClip> imagine_clips(int count, std::uint64_t seed);

/// The clip's file; another look has another name, so that a file is never taken for another clip.
[[nodiscard]] std::string video_name(const DemoClip& clip);

/// Encodes the clips that `directory` does not hold yet (H.264, 160×90, a second or two each) and
/// writes `directory`/videos.csv with all but the one held out. Returns the manifest's path. Throws
/// Interrupted.
std::filesystem::path make_clips(const std::vector<DemoClip>& clips,
                                 const std::filesystem::path& directory, int num_threads,
                                 const std::stop_token& stop, ProgressSink& progress);

}  // namespace mmra::pipeline::demo
