#include "mmra/pipeline/demo/demo.h"

#include <mutex>
#include <span>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/threads.h"
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

/// One network: a setting and a seed.
struct Run {
  std::filesystem::path model_directory;
  EvaluationReport evaluation;
};

Run train_and_evaluate(const DemoOptions& options, const std::filesystem::path& bank_directory,
                       const Setting& setting, int seed_index) {
  Run run;
  run.model_directory = options.directory / "models" /
                        (std::string(setting.directory) + "-" + std::to_string(seed_index + 1));
  std::error_code ignored;
  std::filesystem::remove_all(run.model_directory, ignored);  // a former run's
  TrainRequest request = default_train_request();
  // A few hundred rows: smaller batches and more passes than for a large bank, a shorter average.
  request.batch_size = 32;
  request.max_epochs = 24;
  request.patience = 6;
  request.least_steps = 0;
  request.config.ema_decay = 0.95;
  request.config.similarity_scale = 8.0;
  request.bank_directory = bank_directory;
  request.model_directory = run.model_directory;
  request.config.without = setting.without;
  request.config.seed += static_cast<std::uint64_t>(seed_index);
  request.stop = options.stop;
  SilentProgress silent;
  train_model(request, silent);
  run.evaluation = evaluate_model(bank_directory, run.model_directory, bank::Split::kTest, 0, 1,
                                  options.stop, silent);
  return run;
}

/// Removes the bank of a former run: its encoders were fitted to the titles of that run and are
/// frozen, and it may hold clips that this one has not, so that the figures would depend on what
/// was done before. `is_ours`: the directory is a demonstration's.
void remove_former_bank(const std::filesystem::path& bank_directory, bool is_ours) {
  if (!std::filesystem::exists(bank_directory)) return;
  if (!is_ours) {
    throw Error(ErrorKind::kInvalidInput, bank_directory.string() +
                                              " was not made by a demonstration; name another "
                                              "directory with --dir");
  }
  std::error_code code;
  std::filesystem::remove_all(bank_directory, code);
  if (code) throw system_error("remove", bank_directory.string(), code.value());
}

/// Every setting with every seed, settings first. Networks this small gain nothing from a second
/// thread, so as many of them as there are threads are trained side by side.
std::vector<Run> train_all(const DemoOptions& options, const std::filesystem::path& bank_directory,
                           const std::vector<Setting>& settings, ProgressSink& progress) {
  const auto num_seeds = static_cast<std::size_t>(options.num_seeds);
  std::vector<Run> runs(settings.size() * num_seeds);
  std::mutex progress_mutex;
  progress.begin("training", static_cast<std::int64_t>(runs.size()));
  parallel_for(runs.size(), 1, options.num_threads, [&](std::size_t i, std::size_t) {
    runs[i] = train_and_evaluate(options, bank_directory, settings[i / num_seeds],
                                 static_cast<int>(i % num_seeds));
    const std::scoped_lock lock(progress_mutex);
    progress.advance(1);
  });
  progress.end();
  return runs;
}

/// Means over the seeds.
DemoScore score(const char* name, std::span<const Run> runs) {
  DemoScore score{name, 0.0, 0.0, 0.0};
  const auto count = static_cast<double>(runs.size());
  for (const Run& run : runs) {
    score.nmse += run.evaluation.metrics.nmse / count;
    score.mae += run.evaluation.metrics.mae / count;
    score.src += run.evaluation.metrics.src / count;
  }
  return score;
}

}  // namespace

DemoResult run_demo(const DemoOptions& options, ProgressSink& progress) {
  DemoResult result;
  const std::vector<DemoClip> clips = imagine_clips(options.num_clips, options.seed);
  const std::filesystem::path clips_directory = options.directory / "clips";
  result.bank_directory = options.directory / "bank";
  remove_former_bank(result.bank_directory,
                     std::filesystem::exists(clips_directory / "videos.csv"));
  const std::filesystem::path manifest =
      make_clips(clips, clips_directory, options.num_threads, options.stop, progress);

  IngestOptions ingest_options;
  ingest_options.bank_directory = result.bank_directory;
  ingest_options.num_jobs = options.num_threads;
  ingest_options.num_threads = options.num_threads;
  ingest_options.popularity_unit = "likes";
  ingest_options.stop = options.stop;
  result.ingest = ingest(manifest, ingest_options, progress);

  const std::vector<Setting> all = settings();
  std::vector<Run> runs = train_all(options, result.bank_directory, all, progress);
  const auto num_seeds = static_cast<std::size_t>(options.num_seeds);
  for (std::size_t i = 0; i < all.size(); ++i) {
    result.scores.push_back(score(all[i].name, std::span(runs).subspan(i * num_seeds, num_seeds)));
  }
  result.model_directory = runs.front().model_directory;
  result.evaluation = std::move(runs.front().evaluation);
  const evaluation::Metrics& mean = result.evaluation.mean_of_train;
  result.scores.push_back({"mean of train", mean.nmse, mean.mae, mean.src});

  result.held_out = clips.back();
  result.video = clips_directory / video_name(result.held_out);
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
