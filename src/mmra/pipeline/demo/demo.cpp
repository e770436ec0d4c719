#include "mmra/pipeline/demo/demo.h"

#include "mmra/core/files.h"
#include "mmra/pipeline/training_defaults.h"

namespace mmra::pipeline::demo {
namespace {

struct Setting {
  const char* name;
  const char* directory;
  model::Without without;
};

std::vector<Setting> settings() {
  Setting everything{"everything", "everything", {}};
  Setting retrieval{"without retrieval", "without-retrieval", {}};
  retrieval.without.retrieval = true;
  Setting visual{"without video", "without-video", {}};
  visual.without.visual = true;
  Setting text{"without text", "without-text", {}};
  text.without.text = true;
  return {everything, retrieval, visual, text};
}

std::filesystem::path train_one(const DemoOptions& options, const DemoResult& result,
                                const Setting& setting, int seed_index, ProgressSink& progress) {
  const std::filesystem::path directory =
      options.directory / "models" /
      (std::string(setting.directory) + "-" + std::to_string(seed_index + 1));
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);  // a former run's
  TrainRequest request = default_train_request();
  // A few hundred rows: smaller batches and more passes than for a large bank, a shorter average.
  request.batch_size = 32;
  request.max_epochs = 24;
  request.patience = 6;
  request.config.ema_decay = 0.95;
  request.config.similarity_scale = 8.0;
  request.bank_directory = result.bank_directory;
  request.model_directory = directory;
  request.config.without = setting.without;
  request.config.seed += static_cast<std::uint64_t>(seed_index);
  request.num_threads = options.num_threads;
  request.stop = options.stop;
  train_model(request, progress);
  return directory;
}

/// Trains and scores one setting over the seeds; keeps the first seed's evaluation of the first.
DemoScore score(const DemoOptions& options, DemoResult& result, const Setting& setting,
                ProgressSink& progress) {
  DemoScore score{setting.name, 0.0, 0.0, 0.0};
  SilentProgress silent;
  for (int i = 0; i < options.num_seeds; ++i) {
    const std::filesystem::path model = train_one(options, result, setting, i, silent);
    EvaluationReport report = evaluate_model(result.bank_directory, model, bank::Split::kTest, 0,
                                             options.num_threads, options.stop, silent);
    score.nmse += report.metrics.nmse / options.num_seeds;
    score.mae += report.metrics.mae / options.num_seeds;
    score.src += report.metrics.src / options.num_seeds;
    if (result.model_directory.empty()) {
      result.model_directory = model;
      result.evaluation = std::move(report);
    }
    progress.advance(1);
  }
  return score;
}

}  // namespace

DemoResult run_demo(const DemoOptions& options, ProgressSink& progress) {
  DemoResult result;
  const std::vector<DemoClip> clips = imagine_clips(options.num_clips, options.seed);
  const std::filesystem::path clips_directory = options.directory / "clips";
  const std::filesystem::path manifest =
      make_clips(clips, clips_directory, options.num_threads, options.stop, progress);

  result.bank_directory = options.directory / "bank";
  IngestOptions ingest_options;
  ingest_options.bank_directory = result.bank_directory;
  ingest_options.num_jobs = options.num_threads;
  ingest_options.popularity_unit = "likes";
  ingest_options.stop = options.stop;
  result.ingest = ingest(manifest, ingest_options, progress);

  const std::vector<Setting> all = settings();
  progress.begin("training", static_cast<std::int64_t>(all.size()) * options.num_seeds);
  for (const Setting& setting : all) {
    result.scores.push_back(score(options, result, setting, progress));
  }
  progress.end();
  const evaluation::Metrics& mean = result.evaluation.mean_of_train;
  result.scores.push_back({"mean of train", mean.nmse, mean.mae, mean.src});

  result.held_out = clips.back();
  result.video = clips_directory / (result.held_out.id + ".mp4");
  Query query;
  query.title = result.held_out.title;
  query.video = result.video;
  PredictionEngine engine(result.bank_directory, result.model_directory, options.num_threads);
  result.prediction = engine.predict(query, options.stop);
  result.report = options.directory / "report.html";
  write_file_atomically(result.report, render_report(result));
  return result;
}

}  // namespace mmra::pipeline::demo
