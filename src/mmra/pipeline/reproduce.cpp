#include "mmra/pipeline/reproduce.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "mmra/bank/manifest_writer.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/threads.h"
#include "mmra/pipeline/child_process.h"
#include "mmra/pipeline/experiment_files.h"
#include "mmra/pipeline/near_duplicates.h"
#include "mmra/pipeline/train.h"
#include "mmra/pipeline/training_rows.h"
#include "mmra/training/trainer.h"

namespace mmra::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kAuthorsBatch = 256;
constexpr int kInterruptedStatus = 130;
constexpr std::chrono::seconds kLockPatience{15};

/// Keeps a second process out of the directory. The kernel lets go when this process and its
/// trainings have ended, however they end: trainings inherit the lock, so that a run which was
/// killed has really ended before the next one goes on with its models.
class DirectoryLock {
 public:
  DirectoryLock(const fs::path& directory, const std::stop_token& stop)
      : descriptor_(::open((directory / "lock").c_str(), O_RDWR | O_CREAT, 0644)) {
    if (descriptor_ < 0) throw system_error("open", (directory / "lock").string(), errno);
    const auto give_up = std::chrono::steady_clock::now() + kLockPatience;
    while (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (!stop.stop_requested() && std::chrono::steady_clock::now() < give_up) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        continue;
      }
      ::close(descriptor_);
      if (stop.stop_requested()) throw Interrupted();
      throw Error(ErrorKind::kIo, "another process is at work in " + directory.string() +
                                      "; wait for it, or name another directory");
    }
  }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  ~DirectoryLock() { ::close(descriptor_); }

 private:
  int descriptor_;
};

ExperimentIdentity identity_of(const ReproduceRequest& request, const bank::BankInfo& bank) {
  return {bank::full_name_of(request.bank_directory), bank.generation,
          bank.schema.encoders_fingerprint,           name_of(request.plan.protocol),
          request.plan.drop_near_duplicates,          request.plan.max_epochs};
}

void prepare_directory(const ReproduceRequest& request, const bank::BankInfo& bank) {
  const fs::path& directory = request.out_directory;
  const fs::path file = directory / "experiment.json";
  if (fs::exists(directory) && !fs::is_directory(directory)) {
    throw Error(ErrorKind::kInvalidInput,
                directory.string() + " is a file; --out needs a directory");
  }
  const ExperimentIdentity identity = identity_of(request, bank);
  if (fs::exists(file)) return check_same_experiment(identity, read_file(file), directory.string());
  if (fs::exists(directory) && !fs::is_empty(directory)) {
    throw Error(ErrorKind::kInvalidInput, directory.string() +
                                              " holds other things; name a new directory, or one "
                                              "of an experiment that is to go on");
  }
  make_directories(directory);
  write_file_atomically(file, experiment_to_json(identity));
}

/// One model of the plan.
struct PlannedRun {
  const PlannedRow* row = nullptr;
  std::uint64_t seed = 0;
  fs::path model;
  std::string failure;  ///< of the training

  [[nodiscard]] fs::path beside(const char* ending) const { return model.string() + ending; }
  [[nodiscard]] bool is_finished() const { return fs::exists(model / "training.json"); }
};

std::vector<PlannedRun> runs_of(const std::vector<PlannedRow>& rows, const fs::path& directory) {
  std::vector<PlannedRun> runs;
  for (const PlannedRow& row : rows) {
    if (!row.reason.empty()) continue;
    for (const std::uint64_t seed : row.seeds) {
      runs.push_back({&row, seed,
                      directory / "models" / row.directory / ("seed-" + std::to_string(seed)), ""});
    }
  }
  return runs;
}

std::vector<std::string> train_arguments(const ReproduceRequest& request, const PlannedRun& run) {
  std::vector<std::string> arguments{"train",
                                     "--bank",
                                     request.bank_directory.string(),
                                     "--out",
                                     run.model.string(),
                                     "--seed",
                                     std::to_string(run.seed)};
  arguments.insert(arguments.end(), run.row->flags.begin(), run.row->flags.end());
  return arguments;
}

/// As one types it.
std::string command_of(const std::vector<std::string>& arguments) {
  std::string command = "mmra";
  for (const std::string& argument : arguments) {
    const bool plain =
        argument.find_first_not_of(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./=,") ==
        std::string::npos;
    if (plain && !argument.empty()) {
      command += " " + argument;
      continue;
    }
    command += " '";
    for (const char c : argument) command += c == '\'' ? std::string("'\\''") : std::string(1, c);
    command += "'";
  }
  return command;
}

/// The last "error: …" that a training has said, else how it ended.
std::string reason_of(const fs::path& log, int exit_status) {
  std::ifstream stream(log);
  std::string reason;
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with("error: ")) reason = line.substr(7);
  }
  if (!reason.empty()) return reason;
  return "its training ended with status " + std::to_string(exit_status) + "; " + log.string() +
         " has what it said";
}

/// Nothing where it was not measured: the process that would have was killed meanwhile.
std::optional<evaluation::Cost> load_cost(const fs::path& file) {
  if (!fs::exists(file)) return std::nullopt;
  return cost_from_json(read_file(file), file.string());
}

std::string describe_run(const PlannedRun& run) {
  return run.row->name + ", seed " + std::to_string(run.seed);
}

/// Trains one model in a process of its own. Throws Interrupted where it was asked to stop.
void train_run(const ReproduceRequest& request, PlannedRun& run, ProgressSink& progress,
               std::mutex& mutex) {
  if (request.stop.stop_requested()) throw Interrupted();
  const bool resumed = fs::exists(run.model / "checkpoint");
  std::error_code ignored;
  if (!resumed)
    fs::remove_all(run.model, ignored);  // what a killed training left, not to go on from
  make_directories(run.model.parent_path());
  fs::remove(run.beside(".cost.json"), ignored);
  std::vector<std::string> arguments = train_arguments(request, run);
  arguments.insert(
      arguments.end(),
      {"--threads", std::to_string(std::max(1, request.num_threads / request.num_jobs)), "--json"});
  if (resumed) arguments.emplace_back("--resume");
  const ChildOutcome outcome =
      run_child(request.program, arguments, run.beside(".log"), request.stop);
  if (request.stop.stop_requested() || outcome.exit_status == kInterruptedStatus) {
    throw Interrupted();
  }
  std::string note;
  if (outcome.exit_status == 0 && run.is_finished()) {
    write_file_atomically(
        run.beside(".cost.json"),
        cost_to_json({outcome.seconds, outcome.processor_seconds, outcome.peak_bytes, resumed}));
    char cost[80];
    std::snprintf(cost, sizeof cost, ": %.1f s, %.0f MiB", outcome.seconds,
                  static_cast<double>(outcome.peak_bytes) / 1048576.0);
    note = describe_run(run) + cost;
  } else {
    run.failure = reason_of(run.beside(".log"), outcome.exit_status);
    note = describe_run(run) + " failed: " + run.failure;
  }
  const std::scoped_lock lock(mutex);
  progress.note(note);
  progress.advance(1);
}

/// Whatever is not finished yet, `num_jobs` at a time.
void train_missing(const ReproduceRequest& request, std::vector<PlannedRun>& runs,
                   ReproduceReport& report, ProgressSink& progress) {
  std::vector<PlannedRun*> missing;
  for (PlannedRun& run : runs) {
    if (!run.is_finished()) missing.push_back(&run);
  }
  report.num_found = static_cast<int>(runs.size() - missing.size());
  if (report.num_found > 0) {
    progress.note(std::to_string(report.num_found) + " of " + std::to_string(runs.size()) +
                  " models are there already");
  }
  std::mutex mutex;
  progress.begin("training", static_cast<std::int64_t>(missing.size()));
  parallel_for(missing.size(), 1, request.num_jobs, [&](std::size_t i, std::size_t) {
    train_run(request, *missing[i], progress, mutex);
  });
  progress.end();
  for (const PlannedRun* run : missing) {
    (run->failure.empty() ? report.num_trained : report.num_failed) += 1;
  }
}

/// history.csv of a model; empty where it has none.
evaluation::Curve read_curve(const fs::path& model) {
  evaluation::Curve curve;
  const fs::path file = model / "history.csv";
  if (!fs::exists(file)) return curve;
  for (const training::EpochRecord& record :
       training::history_from_csv(read_file(file), file.string()).epochs) {
    curve.train_loss.push_back(record.train_loss);
    curve.stop_nmse.push_back(record.stop_nmse);
  }
  return curve;
}

evaluation::Metrics read_valid(const fs::path& model) {
  const fs::path file = model / "metrics.json";
  return valid_metrics_from_json(read_file(file), file.string());
}

/// Measures every finished model. The test split is read here and nowhere before.
std::vector<EvaluationReport> evaluate_runs(const ReproduceRequest& request,
                                            const std::vector<const PlannedRun*>& runs,
                                            ProgressSink& progress) {
  std::vector<EvaluationReport> reports(runs.size());
  std::mutex mutex;
  const int threads = std::max(1, request.num_threads / request.num_jobs);
  progress.begin("reading the test split", static_cast<std::int64_t>(runs.size()));
  parallel_for(runs.size(), 1, request.num_jobs, [&](std::size_t i, std::size_t) {
    if (request.stop.stop_requested()) throw Interrupted();
    SilentProgress silent;
    reports[i] = evaluate_model(request.bank_directory, runs[i]->model, bank::Split::kTest, 0,
                                threads, request.stop, silent);
    const std::scoped_lock lock(mutex);
    progress.advance(1);
  });
  progress.end();
  return reports;
}

std::string six_digits(float value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

/// Every test row with what each model predicts of it.
void write_predictions(const fs::path& file, const std::vector<const PlannedRun*>& runs,
                       const std::vector<EvaluationReport>& reports) {
  std::vector<std::string> cells{"id", "log2_label"};
  for (const PlannedRun* run : runs) {
    cells.push_back(run->row->directory + "/seed-" + std::to_string(run->seed));
  }
  bank::ManifestWriter writer(file, cells);
  for (std::size_t row = 0; row < reports.front().ids.size(); ++row) {
    cells = {reports.front().ids[row], six_digits(reports.front().targets[row])};
    for (const EvaluationReport& report : reports) {
      cells.push_back(six_digits(report.predictions[row]));
    }
    writer.add_row(cells);
  }
  writer.commit();
}

std::string title_of(Experiment experiment) {
  switch (experiment) {
    case Experiment::kTable3:
      return "Table 3: MMRA without each of its parts";
    case Experiment::kFigure2:
      return "Figure 2: MMRA by the number of retrieved instances";
    case Experiment::kTable2:
      break;
  }
  return "Table 2: every system";
}

std::string describe_protocol(const PlanOptions& plan) {
  std::string text = name_of(plan.protocol);
  switch (plan.protocol) {
    case Protocol::kAuthors:
      text +=
          " (train and validation are retrieved, batches in the order of the rows, metrics are "
          "means over batches of 256)";
      break;
    case Protocol::kChronological:
      text +=
          " (rows are divided by the time of posting; train rows posted strictly before a query "
          "are retrieved; metrics over the whole split)";
      break;
    case Protocol::kHonest:
      text += " (train is retrieved, chosen on validation, metrics over the whole split)";
  }
  if (plan.drop_near_duplicates) text += "; near-duplicates of later splits are left out";
  return text;
}

std::string describe_near_duplicates(const NearDuplicates& found, std::size_t num_test) {
  return std::to_string(found.num_test_affected) + " of " + std::to_string(num_test) +
         " test rows have a near-duplicate in train or validation (" +
         std::to_string(found.num_same_title) + " the same title, " +
         std::to_string(found.num_similar) + " a similarity above 0.99); of the train rows " +
         std::to_string(found.num_train) + " are one of a later row, of the validation rows " +
         std::to_string(found.num_valid);
}

/// Everything that is to be said about the data, counted on the rows of the protocol.
void describe_data(const ReproduceRequest& request, evaluation::ExperimentResult& result,
                   ProgressSink& progress) {
  const LoadedBank loaded = load_bank(request.bank_directory, progress);
  RowRules rules;
  rules.protocol = request.plan.protocol;
  const auto table = apply_rules(loaded, rules, request.num_threads, request.stop);
  const auto count = [&](bank::Split split) { return labelled_rows(*table, split).size(); };
  const bank::BankSchema& schema = loaded.info.schema;
  std::string unit = schema.popularity_unit;
  if (!schema.popularity_horizon.empty()) unit += " after " + schema.popularity_horizon;
  result.label = "log2 of " + unit;
  result.facts.emplace_back(
      "Bank", request.bank_directory.string() + " (" + std::to_string(loaded.info.num_records) +
                  " records, " + std::to_string(loaded.info.num_with_video) + " with a video)");
  result.facts.emplace_back("Encoders", schema.encoders_name);
  result.facts.emplace_back("Rows", std::to_string(count(bank::Split::kTrain)) + " train, " +
                                        std::to_string(count(bank::Split::kValid)) +
                                        " validation, " +
                                        std::to_string(count(bank::Split::kTest)) + " test");
  result.facts.emplace_back("Protocol", describe_protocol(request.plan));
  progress.begin("looking for near-duplicates", std::nullopt);
  const NearDuplicates found =
      find_near_duplicates(*table, read_title_keys(loaded), request.num_threads, request.stop);
  progress.end();
  result.facts.emplace_back("Near-duplicates",
                            describe_near_duplicates(found, count(bank::Split::kTest)));
  result.facts.emplace_back(
      "Trainings",
      std::to_string(request.num_jobs) + " side by side, " +
          std::to_string(std::max(1, request.num_threads / request.num_jobs)) +
          (request.num_threads / request.num_jobs > 1 ? " threads each" : " thread each"));
}

std::vector<std::string> notes_of(const ReproduceRequest& request) {
  std::vector<std::string> notes{
      "The test split was read once, after every training had ended; nothing was chosen by it.",
      "The paper's figures are those of MicroLens-100k's test split with the paper's features "
      "(video, BLIP, UAE-Large, ViT, AnglE), as means over batches of 256 rows; on another bank "
      "they are there to compare with, not to meet.",
      "Seconds and memory are those of the training's own process: reading the bank, retrieval, "
      "training and calibration. A training that had been stopped counts in the memory alone."};
  if (request.plan.max_epochs > 0) {
    notes.push_back("Networks were trained for at most " + std::to_string(request.plan.max_epochs) +
                    " epochs: a quick look, not a result.");
  }
  return notes;
}

/// The rows with their runs, in the plan's order.
std::vector<evaluation::ExperimentRow> collect_rows(const ReproduceRequest& request,
                                                    const std::vector<PlannedRow>& plan,
                                                    const std::vector<PlannedRun>& runs,
                                                    std::vector<EvaluationReport>& reports) {
  std::vector<evaluation::ExperimentRow> rows;
  std::size_t next_report = 0;
  for (const PlannedRow& planned : plan) {
    evaluation::ExperimentRow row{planned.name, "", planned.paper, planned.k, planned.reason, {}};
    for (const PlannedRun& run : runs) {
      if (run.row != &planned) continue;
      if (row.command.empty()) row.command = command_of(train_arguments(request, run));
      if (!run.is_finished()) {
        row.reason += (row.reason.empty() ? "" : "; ") + ("seed " + std::to_string(run.seed)) +
                      ": " + run.failure;
        continue;
      }
      EvaluationReport& report = reports.at(next_report++);
      row.runs.push_back({run.seed, read_valid(run.model), std::move(report.predictions),
                          std::move(report.half_widths), load_cost(run.beside(".cost.json")),
                          read_curve(run.model)});
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

void write_documents(const ReproduceRequest& request, ReproduceReport& report) {
  const std::string name(name_of(request.experiment));
  const auto write = [&](const std::string& ending, const std::string& text) {
    report.documents.push_back(request.out_directory / (name + ending));
    write_file_atomically(report.documents.back(), text);
  };
  write(".md", to_markdown(report.result, report.summaries));
  write(".csv", to_csv(report.result, report.summaries));
  write(".json", to_json(report.result, report.summaries));
  write(".html", to_html(report.result, report.summaries));
}

}  // namespace

ReproduceReport reproduce(const ReproduceRequest& request, ProgressSink& progress) {
  const bank::BankInfo bank =
      bank::open_bank(request.bank_directory, bank::OpenMode::kReadOnly)->info();
  const std::vector<PlannedRow> plan = plan_experiment(request.experiment, bank, request.plan);
  prepare_directory(request, bank);
  const DirectoryLock lock(request.out_directory, request.stop);
  std::vector<PlannedRun> runs = runs_of(plan, request.out_directory);

  ReproduceReport report;
  evaluation::ExperimentResult& result = report.result;
  result.title = title_of(request.experiment);
  result.what =
      "Every model was trained on the train split and chosen on validation; the paper's figures "
      "stand beside.";
  result.notes = notes_of(request);
  if (request.plan.protocol == Protocol::kAuthors) result.batch_size = kAuthorsBatch;
  for (const PlannedRow& row : plan) {
    if (row.directory == kReferenceDirectory) result.reference = row.name;
  }
  describe_data(request, result, progress);
  train_missing(request, runs, report, progress);

  std::vector<const PlannedRun*> finished;
  for (const PlannedRun& run : runs) {
    if (!run.is_finished()) continue;
    finished.push_back(&run);
    // What is damaged is found before the test split is read.
    (void)read_valid(run.model);
    (void)read_curve(run.model);
    (void)load_cost(run.beside(".cost.json"));
  }
  std::vector<EvaluationReport> evaluations = evaluate_runs(request, finished, progress);
  if (evaluations.empty()) {
    throw Error(ErrorKind::kInvalidInput,
                "no model could be trained: " +
                    (runs.empty() ? plan.front().reason : runs.front().failure));
  }
  result.targets = evaluations.front().targets;
  result.interval_level = evaluations.front().interval_level;
  const fs::path predictions =
      request.out_directory / (std::string(name_of(request.experiment)) + "-predictions.csv");
  write_predictions(predictions, finished, evaluations);
  result.rows = collect_rows(request, plan, runs, evaluations);
  report.summaries = summarise(result);
  write_documents(request, report);
  report.documents.push_back(predictions);
  return report;
}

}  // namespace mmra::pipeline
