#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "made_bank.h"
#include "made_features.h"
#include "mmra/pipeline/train.h"
#include "mmra/pipeline/training_defaults.h"

namespace mmra::pipeline::testing {

/// The network of the defaults, but so small that it trains in a blink.
inline TrainRequest small_request(const std::filesystem::path& directory,
                                  const std::string& model = "model") {
  TrainRequest request = default_train_request();
  request.bank_directory = directory / "bank";
  request.model_directory = directory / model;
  request.config.width = 8;
  request.config.mlp_hidden = {8};
  request.config.k = 3;
  request.config.learning_rate = 1e-2;
  request.max_epochs = 2;
  request.batch_size = 16;
  request.patience = 10;
  request.least_steps = 0;
  return request;
}

/// A baseline on the same bank.
inline TrainRequest baseline_request(const std::filesystem::path& directory,
                                     const std::string& system) {
  TrainRequest request = small_request(directory, system);
  request.model = system;
  request.baseline.k = 3;
  request.plus.k = 3;
  return request;
}

inline TrainSummary train_silently(const TrainRequest& request) {
  SilentProgress silent;
  return train_model(request, silent);
}

inline EvaluationReport evaluate_silently(const std::filesystem::path& directory, bank::Split split,
                                          const std::string& model = "model") {
  SilentProgress silent;
  return evaluate_model(directory / "bank", directory / model, split, 0, 1, {}, silent);
}

/// `num_rows` titles of two words out of a few, so that every row has rows like it: 60 % train,
/// 20 % valid, 20 % test. `further` gives the header's and the rows' further cells (row −1:
/// header).
inline std::string made_manifest(
    int num_rows, const std::function<std::string(int)>& further = [](int) { return ""; }) {
  const char* const subjects[] = {"boat", "cake", "tiger", "piano"};
  const char* const colours[] = {"red", "blue", "green"};
  std::string text = "id,title,popularity,split" + further(-1) + "\n";
  for (int i = 0; i < num_rows; ++i) {
    const char* const split = i % 5 == 3 ? "valid" : i % 5 == 4 ? "test" : "train";
    text += "v" + std::to_string(i) + "," + colours[i % 3] + " " + subjects[i % 4] + "," +
            std::to_string((i * 37) % 101 + 1) + "," + split + further(i) + "\n";
  }
  return text;
}

/// made_manifest with visual tokens made elsewhere, [num_rows × 2 × dim].
inline void make_bank_with_visual_tokens(const std::filesystem::path& directory, int num_rows,
                                         int dim) {
  std::vector<float> values;
  for (int i = 0; i < num_rows * 2 * dim; ++i) {
    values.push_back(static_cast<float>((i * 29) % 17) / 8.0F - 1.0F);
  }
  write_npy(directory / "v.npy", values,
            "(" + std::to_string(num_rows) + ", 2, " + std::to_string(dim) + ")");
  IngestOptions options;
  options.visual_features = directory / "v.npy";
  options.popularity_unit = "likes";
  options.popularity_horizon = "7d";
  (void)ingest_text(directory, made_manifest(num_rows), options);
}

/// Changes the records that `choose` picks, in one commit.
inline void change_records(const std::filesystem::path& directory,
                           const std::function<bool(const bank::Record&)>& choose,
                           const std::function<void(bank::Record&)>& change) {
  const auto bank = bank::open_bank(directory / "bank", bank::OpenMode::kReadWrite);
  std::vector<bank::StoredRecord> changed;
  bank->for_each_with_features([&](const bank::Record& record, const bank::Features& features) {
    if (choose(record)) changed.push_back({record, features});
    return true;
  });
  for (bank::StoredRecord& stored : changed) change(stored.record);
  bank->put(changed);
}

/// Asks to stop when the first epoch has been noted.
class StopAfterAnEpoch final : public ProgressSink {
 public:
  explicit StopAfterAnEpoch(std::stop_source& stop) : stop_(stop) {}
  void begin(std::string_view /*step*/, std::optional<std::int64_t> /*total*/) override {}
  void advance(std::int64_t /*done*/) override {}
  void end() override {}
  void note(std::string_view /*line*/) override { stop_.request_stop(); }

 private:
  std::stop_source& stop_;
};

/// A bank of 80 rows, of which every third has one of three videos and the others none, and one
/// more with a video but no title.
inline void ingest_mixed_rows(const std::filesystem::path& directory) {
  for (const int shade : {20, 120, 220}) {
    write_clip(directory / (std::to_string(shade) + ".mp4"), shade);
  }
  const auto video = [](int row) -> std::string {
    if (row < 0) return ",video";
    return row % 3 == 0 ? "," + std::to_string(20 + row % 9 / 3 * 100) + ".mp4" : ",";
  };
  IngestOptions options;
  options.num_frames = 2;
  options.popularity_unit = "likes";
  (void)ingest_text(directory, made_manifest(80, video) + "mute,,,test,20.mp4\n", options);
}

}  // namespace mmra::pipeline::testing
