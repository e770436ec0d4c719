#include "mmra/serving/model_card.h"

#include <chrono>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "mmra/bank/context_typer.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/timestamp.h"
#include "mmra/pipeline/model_directory.h"

namespace mmra::serving {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// A file that a model may lack; a damaged one counts as lacking: it is for people to read.
ordered_json read_json_if_any(const fs::path& file) {
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return nullptr;
  ordered_json document = ordered_json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
  return document.is_object() ? document : ordered_json(nullptr);
}

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::stringstream stream(line);
  for (std::string cell; std::getline(stream, cell, ',');) cells.push_back(cell);
  return cells;
}

/// history.csv: a header and numbers, written by training.
ordered_json read_history(const fs::path& file) {
  ordered_json rows = ordered_json::array();
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return rows;
  std::istringstream text(read_file(file));
  std::string line;
  if (!std::getline(text, line)) return rows;
  const std::vector<std::string> names = cells_of(line);
  while (std::getline(text, line)) {
    const std::vector<std::string> cells = cells_of(line);
    ordered_json row = ordered_json::object();
    for (std::size_t i = 0; i < names.size() && i < cells.size(); ++i) {
      const auto number = bank::parse_number(cells[i]);
      row[names[i]] = number ? ordered_json(*number) : ordered_json(nullptr);
    }
    rows.push_back(std::move(row));
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
