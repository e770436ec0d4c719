#include "mmra/pipeline/index_updater.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <random>
#include <thread>

#include "mmra/bank/memory_bank.h"
#include "mmra/core/progress.h"
#include "mmra/pipeline/bank_index.h"
#include "test_files.h"

namespace mmra::pipeline {
namespace {

constexpr int kDim = 4;
constexpr std::size_t kRows = 9000;

bank::BankSchema small_schema() {
  bank::BankSchema schema;
  schema.encoders_name = "made";
  schema.encoders_fingerprint = "made";
  schema.num_frames = 1;
  schema.visual_dim = 1;
  schema.text_dim = 1;
  schema.retrieval_dim = kDim;
  return schema;
}

class IndexUpdaters : public ::testing::Test {
 protected:
  void fill() {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    std::vector<bank::StoredRecord> records;
    for (std::size_t row = 0; row < kRows; ++row) {
      bank::StoredRecord stored;
      stored.record.id = "r" + std::to_string(10'000 + row);
      stored.record.title = "a title";
      stored.record.popularity = 1.0;
      std::vector<float> vector(kDim);
      double squares = 0.0;
      for (float& value : vector) {
        value = normal(random);
        squares += static_cast<double>(value) * value;
      }
      for (float& value : vector) value = static_cast<float>(value / std::sqrt(squares));
      stored.features.retrieval_vector = vector;
      records.push_back(std::move(stored));
    }
    bank_->put(records);
  }
  [[nodiscard]] std::size_t num_indexed() const {
    const auto index = open_bank_index(directory_.path() / "bank", *bank_, 1);
    if (index == nullptr) return 0;
    std::size_t count = 0;
    for (const auto& placed : index->segments()) count += placed.num_alive;
    return count;
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<bank::MemoryBank> bank_ =
      bank::create_bank(directory_.path() / "bank", small_schema());
  SilentProgress silent_;
};

TEST_F(IndexUpdaters, PutNewRowsIntoTheIndexWhileTheirWriterGoesOn) {
  reindex_bank(*bank_, directory_.path() / "bank", "IVF8,Flat", {}, silent_);
  IndexUpdater updater(*bank_, directory_.path() / "bank", 1);
  fill();
  EXPECT_EQ(num_indexed(), 0U);
  updater.note(kRows / 2);
  updater.note(kRows - kRows / 2);
  while (num_indexed() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(num_indexed(), kRows);
}

TEST_F(IndexUpdaters, LeaveABankWithoutAnIndexAloneAndEndAtOnce) {
  fill();
  {
    IndexUpdater updater(*bank_, directory_.path() / "bank", 1);
    updater.note(kRows);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
  EXPECT_FALSE(std::filesystem::exists(directory_.path() / "bank" / "derived"))
      << "a table was made, for nothing";
  EXPECT_EQ(open_bank_index(directory_.path() / "bank", *bank_, 1), nullptr);
}

}  // namespace
}  // namespace mmra::pipeline
