#include "mmra/pipeline/training_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "expect_error.h"
#include "made_model.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

using bank::Split;
using mmra::testing::TemporaryDirectory;
using ::testing::ElementsAre;

class TrainingRows : public ::testing::Test {
 protected:
  LoadedBank ingest_and_load(const std::string& manifest) {
    (void)ingest_text(directory_.path(), manifest);
    SilentProgress silent;
    return load_bank(directory_ / "bank", silent);
  }
  static std::vector<std::string> ids(const bank::BankTable& table, Split split) {
    std::vector<std::string> ids;
    for (const std::int32_t row : labelled_rows(table, split)) {
      ids.emplace_back(table.id(static_cast<std::size_t>(row)));
    }
    return ids;
  }

  TemporaryDirectory directory_;
};

TEST_F(TrainingRows, HaveTheBanksSplitsUnlessTimesDecide) {
  const LoadedBank loaded = ingest_and_load(
      "id,title,popularity,split,posted_at\n"
      "a,one,1,test,1\nb,two,2,valid,2\nc,three,3,train,3\nd,four,4,train,4\ne,five,5,train,5\n"
      "f,six,6,train,6\ng,seven,7,train,7\nh,eight,8,train,8\ni,nine,9,train,9\n"
      "j,ten,10,train,10\nx,eleven,,train,11\ny,twelve,12,test,\n");
  RowRules rules;
  EXPECT_THAT(ids(*apply_rules(loaded, rules, 1, {}), Split::kTest), ElementsAre("a", "y"));
  EXPECT_FALSE(rules.cuts.has_value());
  rules.protocol = Protocol::kChronological;
  const auto table = apply_rules(loaded, rules, 1, {});
  EXPECT_THAT(ids(*table, Split::kTrain), ElementsAre("a", "b", "c", "d", "e", "f", "g", "h"));
  EXPECT_THAT(ids(*table, Split::kValid), ElementsAre("i"));
  EXPECT_THAT(ids(*table, Split::kTest), ElementsAre("j")) << "x has no label, y no time";
  ASSERT_TRUE(rules.cuts.has_value());
  EXPECT_EQ(rules.cuts->valid_from, Timestamp{9000});
  EXPECT_EQ(rules.cuts->test_from, Timestamp{10'000});
  EXPECT_FALSE(table->popularity(*table->row_of("y")).has_value());
  EXPECT_TRUE(loaded.table->popularity(*table->row_of("y")).has_value());
}

TEST_F(TrainingRows, TakeNoPartWhereTheirLabelWasNotKnownInTime) {
  std::string manifest = "id,title,popularity,posted_at\n";
  for (int i = 0; i < 10; ++i) {  // one a day
    manifest += std::string(1, static_cast<char>('a' + i)) + ",title " + std::to_string(i) + "," +
                std::to_string(i) + "," + std::to_string(86'400 * (i + 1)) + "\n";
  }
  (void)ingest_text(directory_.path(), manifest);
  SilentProgress silent;
  const LoadedBank loaded = load_bank(directory_ / "bank", silent, {}, parse_duration("36h"));
  RowRules rules;
  rules.protocol = Protocol::kChronological;
  const auto table = apply_rules(loaded, rules, 1, {});
  EXPECT_THAT(ids(*table, Split::kTrain), ElementsAre("a", "b", "c", "d", "e", "f", "g"))
      << "that of h was known half a day after validation began";
  EXPECT_THAT(ids(*table, Split::kTest), ElementsAre("j"));
  const training::Examples examples =
      retrieve_for_rows(*table, labelled_rows(*table, Split::kTrain), 10, rules, 1, {});
  for (std::size_t i = 0; i < examples.instances.rows.size(); ++i) {
    const std::int32_t found = examples.instances.rows[i];
    if (found < 0) continue;
    EXPECT_LE(found, examples.rows[i / 10] - 2) << "36 hours after it was posted";
  }
}

TEST_F(TrainingRows, WithoutNearDuplicatesLackThoseOfALaterSplit) {
  const LoadedBank loaded = ingest_and_load(
      "id,title,popularity,split\n"
      "a,red boat,1,train\nb,blue cake,2,train\nc,green piano,3,valid\nd,Red Boat!,4,test\n"
      "e,green piano,5,test\n");
  RowRules rules;
  rules.drop_near_duplicates = true;
  const auto table = apply_rules(loaded, rules, 1, {});
  EXPECT_THAT(ids(*table, Split::kTrain), ElementsAre("b"));
  EXPECT_THAT(ids(*table, Split::kValid), ::testing::IsEmpty());
  EXPECT_THAT(ids(*table, Split::kTest), ElementsAre("d", "e"));
  const training::Examples examples =
      retrieve_for_rows(*table, labelled_rows(*table, Split::kTest), 5, rules, 1, {});
  for (const std::int32_t row : examples.instances.rows) {
    if (row >= 0) {
      EXPECT_EQ(table->id(static_cast<std::size_t>(row)), "b");
    }
  }
}

TEST_F(TrainingRows, WithoutLabelsAreThoseToBePredictedNeverTheFutureOrWhatIsLeftOut) {
  const LoadedBank loaded = ingest_and_load(
      "id,title,popularity,split,posted_at\n"
      "a,red boat,1,train,1\nb,blue cake,2,train,2\nc,green piano,3,valid,3\n"
      "d,Red Boat!,4,test,4\nx,yellow hat,,train,5\n");
  const auto unlabelled = [&](RowRules rules, const RowRules& looked_at_with) {
    const auto table = apply_rules(loaded, rules, 1, {});
    std::vector<std::string> ids;
    for (const std::int32_t row : unlabelled_rows(*table, looked_at_with)) {
      ids.emplace_back(table->id(static_cast<std::size_t>(row)));
    }
    return ids;
  };
  EXPECT_THAT(unlabelled({}, {}), ElementsAre("d", "x"));
  RowRules without_copies;
  without_copies.drop_near_duplicates = true;
  EXPECT_THAT(unlabelled(without_copies, without_copies), ElementsAre("d"))
      << "a is left out and has no label now";
  RowRules by_time;
  by_time.protocol = Protocol::kChronological;
  EXPECT_THAT(unlabelled({}, by_time), ::testing::IsEmpty());
}

}  // namespace
}  // namespace mmra::pipeline::testing
