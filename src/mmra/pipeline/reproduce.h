#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/core/progress.h"
#include "mmra/evaluation/experiment.h"
#include "mmra/pipeline/experiment_plan.h"

namespace mmra::pipeline {

struct ReproduceRequest {
  Experiment experiment = Experiment::kTable2;
  std::filesystem::path bank_directory;
  std::filesystem::path out_directory;
  PlanOptions plan;
  std::filesystem::path program;  ///< of which `train` is called
  int num_jobs = 1;               ///< trainings side by side
  int num_threads = 1;            ///< of all of them together
  std::stop_token stop;
};

struct ReproduceReport {
  evaluation::ExperimentResult result;
  std::vector<evaluation::RowSummary> summaries;
  std::vector<std::filesystem::path> documents;  ///< .md, .csv, .json, .html, predictions
  int num_trained = 0;
  int num_found = 0;   ///< finished before
  int num_failed = 0;  ///< trainings that ended with an error
};

/// Trains every row of a table or figure, each model in a process of its own (whose time and memory
/// are thus its own), then reads the test split once and writes the documents. Everything is below
/// `out_directory`:
///   experiment.json                    the bank and the rules; another experiment is refused
///   models/ROW/seed-N/                 finished models, shared by the tables; not trained again
///   models/ROW/seed-N.log, .cost.json  what the training said, what it took
///   table2.md, .csv, .json, .html, table2-predictions.csv
/// A run that was stopped or killed goes on: finished models stay, networks go on from their last
/// epoch. A training that fails leaves its row with the reason; the others go on. Throws
/// Interrupted, Error{kInvalidInput} where the directory holds another experiment or other things,
/// {kIo} where another process works in it.
ReproduceReport reproduce(const ReproduceRequest& request, ProgressSink& progress);

}  // namespace mmra::pipeline
