#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <stop_token>
#include <string>

#include "encoders/pretrained/made_models.h"
#include "expect_error.h"
#include "made_bank.h"
#include "mmra/bank/failures.h"
#include "mmra/core/error.h"
#include "mmra/pipeline/ingest.h"
#include "mmra/pipeline/query.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

namespace fs = std::filesystem;
using encoders::testing::kMadeWidth;
using encoders::testing::make_bert;
using encoders::testing::make_set;
using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using ::testing::SizeIs;

class IngestPretrained : public ::testing::Test {
 protected:
  void SetUp() override {
    make_set(directory_ / "small");
    write_clip(directory_ / "a.mp4", 40);
    write_clip(directory_ / "b.mp4", 200);
  }
  [[nodiscard]] IngestOptions options() const {
    IngestOptions options;
    options.encoder_set = directory_ / "small";
    options.encoders_given = true;
    options.num_frames = 3;
    options.num_jobs = 2;
    options.num_threads = 2;
    return options;
  }
  IngestReport ingest_rows(const std::string& rows, const IngestOptions& options) const {
    return ingest_text(directory_.path(), "id,title,popularity,video\n" + rows, options);
  }
  [[nodiscard]] std::unique_ptr<bank::MemoryBank> bank() const {
    return open_made_bank(directory_.path());
  }
  TemporaryDirectory directory_;
  const std::string rows_ = "both,the red ball,3,a.mp4\nvideo,,4,b.mp4\ntitle,my cake,5,\n";
};

TEST_F(IngestPretrained, FillsABankThatNamesItsEncoders) {
  const IngestReport report = ingest_rows(rows_, options());
  EXPECT_EQ(report.num_added, 3);
  EXPECT_FALSE(report.fitted_encoders);
  EXPECT_THAT(bank::read_failures(bank::failures_file(directory_ / "bank")), SizeIs(0));
  const bank::BankSchema schema = bank()->info().schema;
  EXPECT_EQ(schema.encoders_name, "small");
  EXPECT_EQ(schema.encoders_fingerprint, encoders::fingerprint_of_set(directory_ / "small"));
  EXPECT_EQ(schema.visual_dim, kMadeWidth);
  const bank::Features both = bank()->find_features("both").value();
  EXPECT_EQ(both.visual_tokens.num_tokens, 3);
  EXPECT_EQ(both.text_tokens.num_tokens, 5) << "[CLS] the red ball [SEP]";
  EXPECT_EQ(both.retrieval_vector.size(), static_cast<std::size_t>(kMadeWidth));
  EXPECT_EQ(bank()->find_features("title").value().visual_tokens.num_tokens, 0);
  EXPECT_FALSE(fs::exists(directory_ / "bank/encoders/model.safetensors"))
      << "weights stay where they are";
}

TEST_F(IngestPretrained, ASecondRunDoesNothingEvenWithoutTheFlag) {
  (void)ingest_rows(rows_, options());
  EXPECT_EQ(ingest_rows(rows_, options()).num_unchanged, 3);
  IngestOptions plain;
  EXPECT_EQ(ingest_rows(rows_, plain).num_unchanged, 3);
  EXPECT_EQ(ingest_rows(rows_ + "more,on the water,1,\n", plain).num_added, 1);
}

TEST_F(IngestPretrained, OtherEncodersAreRefusedWithBothNames) {
  (void)ingest_rows(rows_, options());
  IngestOptions builtin;
  builtin.encoders_given = true;
  expect_error(ErrorKind::kInvalidInput, "\"builtin\"", [&] { ingest_rows(rows_, builtin); });
  fs::copy(directory_ / "small", directory_ / "other", fs::copy_options::recursive);
  IngestOptions same_files = options();
  same_files.encoder_set = directory_ / "other";
  EXPECT_EQ(ingest_rows(rows_, same_files).num_unchanged, 3) << "a copy is no other set";
  make_bert(directory_ / "other/retrieval", 77);
  expect_error(ErrorKind::kInvalidInput, "other (", [&] { ingest_rows(rows_, same_files); });
}

TEST_F(IngestPretrained, AFaultyModelLeavesNoBank) {
  const fs::path weights = directory_ / "small/text/model.safetensors";
  fs::resize_file(weights, fs::file_size(weights) / 2);
  expect_error(ErrorKind::kCorruptData, "text/model.safetensors",
               [&] { ingest_rows(rows_, options()); });
  EXPECT_FALSE(bank::bank_exists(directory_ / "bank"));
  fs::remove_all(directory_ / "small/text");
  EXPECT_EQ(ingest_rows(rows_, options()).num_added, 3) << "the next run may start";
}

TEST_F(IngestPretrained, WithoutARetrievalPartThereIsNothingToRetrieveBy) {
  fs::remove_all(directory_ / "small/retrieval");
  expect_error(ErrorKind::kInvalidInput, "no part retrieval/",
               [&] { ingest_rows(rows_, options()); });
}

TEST_F(IngestPretrained, SearchUsesTheSameEncoders) {
  (void)ingest_rows(rows_ + "near,the red ball on the water,9,\n", options());
  Query query;
  query.title = "the red ball on the water";
  const auto opened = bank();
  const SearchResult result = search_bank(*opened, directory_ / "bank", query, 2, 1, {});
  ASSERT_THAT(result.instances, SizeIs(2));
  EXPECT_EQ(result.instances[0].id, "near");
  EXPECT_NEAR(result.instances[0].similarity, 1.0, 1e-5);
}

}  // namespace
}  // namespace mmra::pipeline::testing
