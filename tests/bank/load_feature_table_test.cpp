#include "mmra/bank/load_feature_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "expect_error.h"
#include "made_records.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using ::testing::ElementsAreArray;
using testing::expect_error;
using testing::made_record;
using testing::small_schema;
using testing::TemporaryDirectory;

/// A bank that somebody writes to at an inconvenient moment: after its table was taken.
class DisturbedBank final : public MemoryBank {
 public:
  DisturbedBank(MemoryBank& bank, std::function<void()> disturb)
      : bank_(bank), disturb_(std::move(disturb)) {}

  [[nodiscard]] BankInfo info() const override { return bank_.info(); }
  [[nodiscard]] std::optional<Record> find(std::string_view id) const override {
    return bank_.find(id);
  }
  [[nodiscard]] std::optional<Features> find_features(std::string_view id) const override {
    return bank_.find_features(id);
  }
  void for_each(const std::function<bool(const Record&)>& visit) const override {
    bank_.for_each(visit);
  }
  void for_each_with_features(
      const std::function<bool(const Record&, const Features&)>& visit) const override {
    bank_.for_each_with_features(visit);
  }
  void put(std::span<const StoredRecord> records) override { bank_.put(records); }
  void put_record(const Record& record) override { bank_.put_record(record); }
  ObserveReport observe(std::span<const RecordObservation> observations) override {
    return bank_.observe(observations);
  }
  [[nodiscard]] std::optional<PopularityHistory> find_history(std::string_view id) const override {
    return bank_.find_history(id);
  }
  std::int64_t remove(std::span<const std::string> ids) override { return bank_.remove(ids); }
  void add_context_columns(const std::map<std::string, ColumnType>& columns) override {
    bank_.add_context_columns(columns);
  }
  [[nodiscard]] std::shared_ptr<const BankTable> table() const override {
    auto table = bank_.table();
    disturb_();
    return table;
  }
  [[nodiscard]] std::vector<Problem> verify() const override { return bank_.verify(); }

 private:
  MemoryBank& bank_;
  std::function<void()> disturb_;
};

class LoadFeatureTable : public ::testing::Test {
 protected:
  LoadFeatureTable() : bank_(create_bank(directory_ / "bank", small_schema())) {
    for (int i = 0; i < 20; ++i) put("v" + std::to_string(i));
  }
  void put(const std::string& id) {
    const StoredRecord stored = made_record(id);
    bank_->put({&stored, 1});
  }
  static void expect_rows_match(const LoadedFeatures& loaded) {
    ASSERT_EQ(loaded.features.num_rows(), loaded.table->num_rows());
    for (std::size_t row = 0; row < loaded.table->num_rows(); ++row) {
      const StoredRecord expected = made_record(std::string(loaded.table->id(row)));
      EXPECT_THAT(loaded.features.visual_tokens(row).values,
                  ElementsAreArray(expected.features.visual_tokens.values));
      EXPECT_THAT(loaded.features.text_tokens(row).values,
                  ElementsAreArray(expected.features.text_tokens.values));
      EXPECT_EQ(loaded.features.log2_popularity(row),
                static_cast<float>(log2_popularity(*expected.record.popularity)));
    }
  }

  TemporaryDirectory directory_;
  std::unique_ptr<MemoryBank> bank_;
};

TEST_F(LoadFeatureTable, RowsOfTableAndFeaturesAreTheSameRecords) {
  const LoadedFeatures loaded = load_feature_table(*bank_);
  EXPECT_EQ(loaded.table->num_rows(), 20U);
  EXPECT_EQ(loaded.features.visual_dim(), 2);
  EXPECT_EQ(loaded.features.text_dim(), 3);
  expect_rows_match(loaded);
}

TEST_F(LoadFeatureTable, OfAnEmptyBankIsEmpty) {
  const auto empty = create_bank(directory_ / "empty", small_schema());
  EXPECT_EQ(load_feature_table(*empty).features.num_rows(), 0U);
}

TEST_F(LoadFeatureTable, BeginsAgainWhereARecordIsAddedRemovedOrReplacedMeanwhile) {
  const std::string gone[] = {"v3"};
  const std::function<void()> disturbances[] = {[&] { put("v100"); }, [&] { bank_->remove(gone); },
                                                [&] { put("v7"); }};
  for (const auto& disturb : disturbances) {
    int num_tables = 0;
    const DisturbedBank disturbed(*bank_, [&] {
      if (num_tables++ == 0) disturb();
    });
    const LoadedFeatures loaded = load_feature_table(disturbed);
    EXPECT_EQ(num_tables, 2);
    EXPECT_EQ(loaded.table->generation(), bank_->info().generation);
    expect_rows_match(loaded);
  }
}

TEST_F(LoadFeatureTable, GivesUpOnABankThatIsAlwaysBeingWritten) {
  const DisturbedBank disturbed(*bank_, [&] { put("v1"); });
  expect_error(ErrorKind::kIo, "is being written while it is read",
               [&] { (void)load_feature_table(disturbed); });
}

TEST_F(LoadFeatureTable, ReadsTheColumnsThatAreAskedFor) {
  const LoadedFeatures loaded = load_feature_table(*bank_, {/*tokens=*/false, /*details=*/true});
  ASSERT_EQ(loaded.features.num_rows(), 20U);
  for (std::size_t row = 0; row < loaded.table->num_rows(); ++row) {
    const StoredRecord expected = made_record(std::string(loaded.table->id(row)));
    EXPECT_EQ(loaded.features.visual_tokens(row).num_tokens, 0);
    EXPECT_EQ(loaded.features.text_tokens(row).num_tokens, 0);
    const RowDetails& details = loaded.features.details(row);
    EXPECT_EQ(details.title, expected.record.title);
    EXPECT_EQ(details.context, expected.record.context);
    EXPECT_EQ(details.retrieval_vector, expected.features.retrieval_vector);
    EXPECT_EQ(details.visual_mean.empty(), expected.features.visual_tokens.num_tokens == 0);
  }
  EXPECT_FALSE(load_feature_table(*bank_).features.has_details());
}

}  // namespace
}  // namespace mmra::bank
