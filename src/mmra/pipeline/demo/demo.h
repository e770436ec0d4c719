#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/core/progress.h"
#include "mmra/pipeline/demo/clips.h"
#include "mmra/pipeline/ingest.h"
#include "mmra/pipeline/predict.h"
#include "mmra/pipeline/train.h"

namespace mmra::pipeline::demo {

struct DemoOptions {
  std::filesystem::path directory;  ///< clips, bank, models and report go there
  int num_clips = 600;
  int num_seeds = 3;              ///< each network is trained so many times; the scores are means
  std::uint64_t seed = 20240714;  ///< of the clips
  int num_threads = 1;
  std::stop_token stop;
};

/// One row of the demonstration's table: the network with a part left out, on the test split.
struct DemoScore {
  std::string name;  ///< "everything", "without retrieval", …
  double nmse = 0.0;
  double mae = 0.0;
  double src = 0.0;
};

struct DemoResult {
  IngestReport ingest;
  std::vector<DemoScore> scores;  ///< means over the seeds; the last row is the mean of train
  EvaluationReport evaluation;    ///< of the first seed's network with everything
  DemoClip held_out;              ///< what was predicted
  Prediction prediction;
  std::filesystem::path bank_directory;
  std::filesystem::path model_directory;
  std::filesystem::path video;   ///< of the held-out clip
  std::filesystem::path report;  ///< report.html
};

/// The main job on micro-videos that it makes: clips → ingest → train, with everything and without
/// each part → evaluate → predict a clip that neither bank nor model has seen → report.html. What a
/// former run has made of clips and bank is used again; networks are trained anew.
DemoResult run_demo(const DemoOptions& options, ProgressSink& progress);

/// Self-contained HTML: the scores, predicted against true, the training, and the prediction with
/// its frames and instances.
[[nodiscard]] std::string render_report(const DemoResult& result);

}  // namespace mmra::pipeline::demo
