#include "mmra/serving/model_card.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "mmra/core/files.h"
#include "mmra/pipeline/model_directory.h"
#include "mmra/training/calibration.h"
#include "mmra/training/trainer.h"
#include "test_files.h"

namespace mmra::serving::testing {
namespace {

using nlohmann::ordered_json;

class ModelCard : public ::testing::Test {
 protected:
  void SetUp() override {
    pipeline::save_training_card({}, directory_.path());
    write_file_atomically(directory_ / "config.json", R"({"variant": "paper"})");
    write_file_atomically(directory_ / "metrics.json", R"({"valid": {"nmse": 0.5}})");
    training::save_calibration({0.8, 1.25, 12, std::nullopt}, directory_ / "calibration.json");
    training::write_history({{{1, 2.5, 0.5, 1.5, std::nan(""), 3.25}, {2, 2, 0.75, 1, 0, 3}}, 1},
                            directory_.path());
  }

  mmra::testing::TemporaryDirectory directory_;
};

TEST_F(ModelCard, SaysWhatTrainingWrote) {
  const ordered_json card = read_model_card(directory_.path());
  EXPECT_EQ(card["model"], "mmra");
  EXPECT_EQ(card["variant"], "paper");
  EXPECT_EQ(card["metrics"]["valid"]["nmse"], 0.5);
  EXPECT_EQ(card["calibration"]["half_width_log2"], 1.25);
  ASSERT_EQ(card["history"].size(), 2U);
  EXPECT_EQ(card["history"][0],
            ordered_json::parse(R"({"epoch": 1, "train_loss": 2.5, "stop_nmse": 0.5,
                                    "stop_mae": 1.5, "stop_src": null, "seconds": 3.25,
                                    "best": 1})"));
  EXPECT_EQ(card["history"][1]["best"], 0);
}

TEST_F(ModelCard, LacksWhatIsDamagedOrNotThere) {
  for (const std::string name : {"config.json", "metrics.json", "calibration.json"}) {
    write_file_atomically(directory_ / name, "{\"\xff\": ");
  }
  write_file_atomically(directory_ / "history.csv", "epoch,\xff\n1,2\n");
  for (int i = 0; i < 2; ++i) {
    const ordered_json card = read_model_card(directory_.path());
    for (const char* key : {"variant", "metrics", "calibration"}) EXPECT_EQ(card[key], nullptr);
    EXPECT_EQ(card["history"], ordered_json::array());
    EXPECT_NO_THROW((void)card.dump());
    for (const char* name : {"config.json", "metrics.json", "calibration.json", "history.csv"}) {
      std::filesystem::remove(directory_ / name);
    }
  }
}

TEST_F(ModelCard, LeavesOutWhatIsTooDeepToBeWritten) {
  constexpr int kDepth = 500000;
  const std::string deep = std::string(kDepth, '[') + std::string(kDepth, ']');
  write_file_atomically(directory_ / "metrics.json", R"({"fit": "x", "deep": )" + deep + "}");
  const ordered_json card = read_model_card(directory_.path());
  EXPECT_EQ(card["metrics"]["fit"], "x");
  EXPECT_LT(card.dump().size(), 2000U);
}

}  // namespace
}  // namespace mmra::serving::testing
