#include "mmra/serving/model_card.h"

#include <chrono>
#include <cmath>
#include <string>

#include "mmra/bank/context_typer.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/timestamp.h"
#include "mmra/pipeline/model_directory.h"
#include "mmra/training/trainer.h"

namespace mmra::serving {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr int kMaxDepth = 16;

/// A file that a model may lack; a damaged one counts as lacking: it is for people to read.
ordered_json read_json_if_any(const fs::path& file) {
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return nullptr;
  // What lies deeper than training writes is left out: to write it takes stack for every level.
  const auto is_shallow = [](int depth, ordered_json::parse_event_t, const ordered_json&) {
    return depth <= kMaxDepth;
  };
  ordered_json document =
      ordered_json::parse(read_file(file), is_shallow, /*allow_exceptions=*/false);
  return document.is_object() ? document : ordered_json(nullptr);
}

ordered_json number_or_null(double value) {
  return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr);
}

/// The rows of history.csv, under the names of its columns.
ordered_json read_history(const fs::path& file) {
  ordered_json rows = ordered_json::array();
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return rows;
  training::TrainingHistory history;
  try {
    history = training::history_from_csv(read_file(file), file.string());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kCorruptData) throw;
    return rows;  // as of a damaged file above
  }
  for (const training::EpochRecord& record : history.epochs) {
    rows.push_back({{"epoch", record.epoch},
                    {"train_loss", number_or_null(record.train_loss)},
                    {"stop_nmse", number_or_null(record.stop_nmse)},
                    {"stop_mae", number_or_null(record.stop_mae)},
                    {"stop_src", number_or_null(record.stop_src)},
                    {"seconds", number_or_null(record.seconds)},
                    {"best", record.epoch == history.best_epoch ? 1 : 0}});
  }
  return rows;
}

/// When training.json, which is written last, was written.
ordered_json trained_at(const fs::path& file) {
  std::error_code code;
  const auto written = fs::last_write_time(file, code);
  if (code) return nullptr;
  const auto time = std::chrono::file_clock::to_sys(written).time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time).count();
  return format_timestamp(Timestamp{seconds * 1000});
}

}  // namespace

ordered_json read_model_card(const fs::path& model_directory) {
  const pipeline::TrainingCard card = pipeline::load_training_card(model_directory);
  const ordered_json config = read_json_if_any(model_directory / "config.json");
  const ordered_json variant =
      config.is_object() && config.contains("variant") ? config["variant"] : ordered_json(nullptr);
  return {
      {"model", card.model},
      {"variant", variant},
      {"encoders", card.encoders_name},
      {"encoders_fingerprint", card.encoders_fingerprint},
      {"protocol", pipeline::name_of(card.rules.protocol)},
      {"k", card.k},
      {"trained_on",
       {{"train", card.num_train}, {"stop", card.num_stop}, {"calibration", card.num_calibration}}},
      {"trained_at", trained_at(model_directory / "training.json")},
      {"metrics", read_json_if_any(model_directory / "metrics.json")},
      {"calibration", read_json_if_any(model_directory / "calibration.json")},
      {"history", read_history(model_directory / "history.csv")}};
}

ordered_json describe_bank(const bank::BankInfo& info) {
  ordered_json columns = ordered_json::object();
  for (const auto& [name, type] : info.schema.context_columns) columns[name] = bank::name_of(type);
  return {{"records", info.num_records},
          {"labelled", info.num_labelled},
          {"with_video", info.num_with_video},
          {"with_time", info.num_with_time},
          {"unit", info.schema.popularity_unit},
          {"horizon", info.schema.popularity_horizon},
          {"encoders", info.schema.encoders_name},
          {"generation", info.generation},
          {"context_columns", columns}};
}

}  // namespace mmra::serving
