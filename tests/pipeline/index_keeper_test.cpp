#include "mmra/pipeline/index_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <future>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/core/error.h"
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

class IndexKeepers : public ::testing::Test {
 protected:
  void fill(std::size_t first = 0) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    std::vector<bank::StoredRecord> records;
    for (std::size_t row = first; row < first + kRows; ++row) {
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

TEST_F(IndexKeepers, PutNewRowsIntoTheIndexWhileTheirWriterGoesOn) {
  reindex_bank(*bank_, directory_.path() / "bank", "IVF8,Flat", {}, silent_);
  IndexKeeper keeper(*bank_, directory_.path() / "bank", {});
  fill();
  EXPECT_EQ(num_indexed(), 0U);
  keeper.note(kRows / 2);
  keeper.note(kRows - kRows / 2);
  while (num_indexed() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(num_indexed(), kRows);
}

TEST_F(IndexKeepers, PutIntoTheIndexWhatCameWhileTheyWereAtWork) {
  reindex_bank(*bank_, directory_.path() / "bank", "IVF8,Flat", {}, silent_);
  std::promise<void> is_at_work;
  std::promise<void> may_go_on;
  IndexKeeper::Options options;
  options.ready = [&, is_first = true](const IndexKeeper::IndexPointer&) mutable {
    if (!std::exchange(is_first, false)) return;
    is_at_work.set_value();
    may_go_on.get_future().wait();
  };
  IndexKeeper keeper(*bank_, directory_.path() / "bank", std::move(options));
  fill();
  keeper.note(kRows);
  is_at_work.get_future().wait();
  EXPECT_EQ(num_indexed(), kRows);
  fill(kRows);
  keeper.note(kRows);  // and then nothing more comes
  may_go_on.set_value();
  for (int i = 0; i < 1500 && num_indexed() == kRows; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(num_indexed(), 2 * kRows);
}

TEST_F(IndexKeepers, JoinSegmentsThatHaveBecomeManyAndSayWhatSearchesMayGoBy) {
  fill();
  const auto path = directory_.path() / "bank";
  reindex_bank(*bank_, path, "IVF8,Flat", {.rows_per_segment = 1500}, silent_);
  std::mutex mutex;
  std::vector<IndexKeeper::IndexPointer> offered;
  std::vector<std::string> lines;
  IndexKeeper::Options options;
  options.least_rows_to_join = 1000;
  options.ready = [&](IndexKeeper::IndexPointer index) {
    const std::scoped_lock lock(mutex);
    offered.push_back(std::move(index));
  };
  options.log = [&](const std::string& line) {
    const std::scoped_lock lock(mutex);
    lines.push_back(line);
  };
  IndexKeeper keeper(*bank_, path, std::move(options));
  const auto before = open_bank_index(path, *bank_, 1);
  ASSERT_EQ(before->segments().size(), 6U);
  keeper.look_at(nullptr);
  keeper.look_at(before);
  while (keeper.num_joins() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  keeper.finish();
  EXPECT_EQ(keeper.num_updates(), 0U);
  ASSERT_EQ(offered.size(), 1U);
  EXPECT_EQ(offered.front()->segments().size(), 1U);
  EXPECT_EQ(offered.front()->segments().front().num_alive, kRows);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines.front(), "the index is joined: 1 segments, 1 of them new");
}

TEST_F(IndexKeepers, SayWhatFailedAndDoNotTryItAgainAtOnce) {
  fill();
  const auto path = directory_.path() / "bank";
  reindex_bank(*bank_, path, "IVF8,Flat", {.rows_per_segment = 1500}, silent_);
  std::promise<std::string> said;
  IndexKeeper::Options options;
  options.least_rows_to_join = 1000;
  options.ready = [](const IndexKeeper::IndexPointer&) {
    throw Error(ErrorKind::kIo, "there is no room");
  };
  options.log = [&](const std::string& line) { said.set_value(line); };
  IndexKeeper keeper(*bank_, path, std::move(options));
  const auto before = open_bank_index(path, *bank_, 1);
  keeper.look_at(before);
  EXPECT_THAT(said.get_future().get(), ::testing::HasSubstr("there is no room"));
  while (keeper.num_joins() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  // Were it tried again, a second line would be said, and a promise takes one.
  for (int i = 0; i < 20; ++i) {
    keeper.look_at(before);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

TEST_F(IndexKeepers, LeaveABankWithoutAnIndexAloneAndEndAtOnce) {
  fill();
  {
    IndexKeeper keeper(*bank_, directory_.path() / "bank", {});
    keeper.note(kRows);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
  EXPECT_FALSE(std::filesystem::exists(directory_.path() / "bank" / "derived"))
      << "a table was made, for nothing";
  EXPECT_EQ(open_bank_index(directory_.path() / "bank", *bank_, 1), nullptr);
}

}  // namespace
}  // namespace mmra::pipeline
