#include "mmra/bank/merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "expect_error.h"
#include "made_records.h"
#include "mmra/core/error.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using testing::expect_error;
using testing::expect_same;
using testing::made_record;
using testing::small_schema;
using testing::TemporaryDirectory;

Timestamp day(int days) { return {days * std::int64_t{86'400'000}}; }

class MergedBanks : public ::testing::Test {
 protected:
  MergedBanks() {
    BankSchema schema = small_schema();
    schema.popularity_horizon = "";
    own_ = create_bank(directory_ / "own", schema);
    schema.context_columns["mood"] = ColumnType::kCategory;
    other_ = create_bank(directory_ / "other", schema);
    put(*own_, "a", "own");
    put(*own_, "b", "own");
    put(*other_, "b", "other");
    put(*other_, "c", "other");
  }
  static void put(MemoryBank& bank, const std::string& id, const std::string& title) {
    StoredRecord stored = made_record(id);
    stored.record.title = title;
    stored.record.posted_at = day(0);
    bank.put({&stored, 1});
  }
  static void observe(MemoryBank& bank, const std::string& id, int days, double popularity) {
    const RecordObservation one{id, {day(days), popularity}};
    bank.observe({&one, 1});
  }
  MergeReport merge(Conflict conflict) {
    MergeOptions options;
    options.conflict = conflict;
    const MergeReport report = merge_banks(*own_, *other_, options);
    for (const Problem& problem : own_->verify()) ADD_FAILURE() << problem.id << problem.what;
    return report;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<MemoryBank> own_;
  std::unique_ptr<MemoryBank> other_;
};

TEST_F(MergedBanks, HoldTheRecordsOfBothAndKeepTheirOwn) {
  StoredRecord moody = made_record("d");
  moody.record.context["mood"] = "good";
  other_->put({&moody, 1});
  const MergeReport report = merge(Conflict::kKeep);
  EXPECT_EQ(report.num_records, 3);
  EXPECT_EQ(report.num_added, 2);
  EXPECT_EQ(report.num_kept, 1);
  EXPECT_EQ(report.num_counted, 0);
  EXPECT_EQ(own_->find("b")->title, "own");
  EXPECT_EQ(own_->find("c")->title, "other");
  expect_same(own_->find_features("c").value(), other_->find_features("c").value());
  EXPECT_EQ(own_->find("c")->thumbnails, other_->find("c")->thumbnails);
  expect_same(own_->find("d").value(), moody.record);
  EXPECT_EQ(own_->info().schema.format_version, 1) << "there are no counts";
  const std::uint64_t generation = own_->info().generation;
  EXPECT_EQ(merge(Conflict::kKeep).num_added, 0) << "again";
  EXPECT_EQ(own_->info().generation, generation) << "nothing was written";
}

TEST_F(MergedBanks, TakeTheOthersWhereTheyAreTold) {
  const MergeReport report = merge(Conflict::kTake);
  EXPECT_EQ(report.num_replaced, 1);
  EXPECT_EQ(own_->find("b")->title, "other");
}

TEST_F(MergedBanks, HaveTheCountsOfBothAndOfOneMomentThoseOfTheRecordThatStays) {
  observe(*own_, "b", 1, 10.0);
  observe(*own_, "b", 3, 30.0);
  observe(*other_, "b", 2, 20.0);
  observe(*other_, "b", 3, 33.0);
  observe(*other_, "c", 9, 90.0);
  const MergeReport report = merge(Conflict::kKeep);
  EXPECT_EQ(report.num_counted, 1);
  EXPECT_EQ(own_->find_history("b")->timed,
            (std::vector<Observation>{{day(1), 10.0}, {day(2), 20.0}, {day(3), 30.0}}));
  EXPECT_EQ(own_->find("b")->title, "own");
  EXPECT_EQ(own_->find("b")->popularity, 30.0);
  EXPECT_EQ(own_->find("c")->popularity, 90.0);
  EXPECT_EQ(own_->find_history("c"), other_->find_history("c"));
  (void)merge(Conflict::kTake);
  EXPECT_EQ(own_->find("b")->popularity, 33.0);
}

TEST_F(MergedBanks, MustHaveBeenMadeAlike) {
  BankSchema schema = small_schema();
  schema.popularity_horizon = "";
  schema.encoders_fingerprint = "ffff";
  const auto foreign = create_bank(directory_ / "foreign", schema);
  expect_error(ErrorKind::kInvalidInput, "differ in encoders",
               [&] { merge_banks(*own_, *foreign, {}); });
  schema = small_schema();
  const auto later = create_bank(directory_ / "later", schema);
  expect_error(ErrorKind::kInvalidInput, "differ in horizon",
               [&] { merge_banks(*own_, *later, {}); });
  EXPECT_EQ(own_->info().num_records, 2);
}

}  // namespace
}  // namespace mmra::bank
