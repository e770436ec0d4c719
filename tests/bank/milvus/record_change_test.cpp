#include "mmra/bank/milvus/record_change.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "bank/made_records.h"
#include "mmra/bank/record_codec.h"

namespace mmra::bank {
namespace {

using testing::day;
using ::testing::ElementsAre;
using testing::made_counted_record;
using testing::made_record;
using testing::small_schema;

/// As the next commit finds a record that was put.
RecordChange stored(const StoredRecord& record) {
  RecordChange before;
  before.put(record, small_schema());
  RecordChange change;
  change.old = before.row;
  change.row = before.row;
  change.history = before.history;
  return change;
}

std::string kinds_of(const StoredRow& row) {
  std::string kinds;
  for (const ValueName& name : row.values) kinds += name.kind;
  std::sort(kinds.begin(), kinds.end());
  return kinds;
}

std::set<std::string> keys_of_row(const StoredRow& row) {
  std::set<std::string> keys;
  for (const ValueName& name : row.values) {
    for (const std::string& key : keys_of(name, row.id)) keys.insert(key);
  }
  return keys;
}

TEST(RecordChange, ARecordThatIsPutHasAllOfItsValues) {
  const StoredRecord record = made_record("a");
  RecordChange change;
  change.put(record, small_schema());
  ASSERT_TRUE(change.row);
  EXPECT_FALSE(change.old);
  EXPECT_EQ(kinds_of(*change.row), "FRT");
  for (const ValueName& name : change.row->values) {
    EXPECT_EQ(name, name_value(name.kind, "a", change.new_values.at(name.kind)));
  }
  EXPECT_EQ(change.row->visual_tokens, record.features.visual_tokens.num_tokens);
  EXPECT_EQ(change.row->text_tokens, record.features.text_tokens.num_tokens);
  EXPECT_EQ(change.vector, record.features.retrieval_vector);
}

TEST(RecordChange, AVectorIsPaddedToMilvusSmallestDimension) {
  StoredRecord record = made_record("a");
  record.features.retrieval_vector = {1.0F};
  BankSchema schema = small_schema();
  schema.retrieval_dim = 1;
  RecordChange change;
  change.put(record, schema);
  EXPECT_THAT(change.vector, ElementsAre(1.0F, 0.0F));
}

TEST(RecordChange, ThumbnailsThatAreGoneAreNotNamed) {
  StoredRecord record = made_record("a");
  RecordChange change = stored(record);
  record.record.thumbnails.clear();
  change.put(record, small_schema());
  EXPECT_EQ(kinds_of(*change.row), "FR");
  EXPECT_FALSE(change.new_values.contains('T'));
}

TEST(RecordChange, ARecordAloneLeavesFeaturesAndThumbnails) {
  RecordChange change = stored(made_record("a"));
  Record renamed = made_record("a").record;
  renamed.title = "another";
  change.set_record(renamed, std::nullopt, small_schema());
  EXPECT_EQ(kinds_of(*change.row), "FRT");
  EXPECT_EQ(*change.row->find('F'), *change.old->find('F'));
  EXPECT_EQ(*change.row->find('T'), *change.old->find('T'));
  EXPECT_NE(*change.row->find('R'), *change.old->find('R'));
  EXPECT_EQ(change.row->visual_tokens, change.old->visual_tokens);
  EXPECT_EQ(change.row->text_tokens, change.old->text_tokens);
  EXPECT_EQ(change.new_values.size(), 1U) << "only the record is written";
}

TEST(RecordChange, CountsStayAndGoBeforeTheRecordsOwnPopularity) {
  StoredRecord record = made_counted_record("a");
  record.history = PopularityHistory{1.0, {{day(6), 50.0}}};
  RecordChange change = stored(record);
  EXPECT_EQ(kinds_of(*change.row).substr(0, 2), "FO");
  EXPECT_EQ(change.row->popularity, 50.0);

  Record again = record.record;
  again.popularity = 50.0;
  change.set_record(again, std::nullopt, small_schema());
  EXPECT_EQ(change.history->untimed, 1.0) << "the label that was read is no count";
  again.popularity = 3.0;
  change.set_record(again, std::nullopt, small_schema());
  EXPECT_EQ(change.history->untimed, 3.0);
  EXPECT_EQ(change.row->popularity, 50.0);
}

TEST(RecordChange, CountsThatAreTakenAwayAreNotNamed) {
  StoredRecord record = made_counted_record("a");
  record.history = PopularityHistory{1.0, {{day(6), 50.0}}};
  RecordChange change = stored(record);
  record.history = PopularityHistory{1.0, {}};
  change.put(record, small_schema());
  EXPECT_EQ(change.row->find('O'), nullptr);
  EXPECT_FALSE(change.history);
  EXPECT_EQ(change.row->popularity, 1.0);
}

TEST(RecordChange, SaysWhatBecomesOfEachCount) {
  const RecordChange change = stored(made_counted_record("a"));
  const std::vector<RecordObservation> observations = {
      {"a", {day(5), 20.0}}, {"b", {day(5), 1.0}}, {"a", {day(-1), 9.0}}, {"a", {day(6), 30.0}}};
  const std::vector<std::size_t> which = {0, 2, 3};
  ObserveReport report;
  const auto counts = change.observe(observations, which, report);
  ASSERT_TRUE(counts);
  EXPECT_THAT(counts->timed, ElementsAre(Observation{day(5), 20.0}, Observation{day(6), 30.0}));
  EXPECT_EQ(counts->untimed, 1.0);
  EXPECT_EQ(report.num_added, 2);
  EXPECT_THAT(report.early, ElementsAre(2U)) << "counted before it was posted";

  RecordChange counted = stored(made_counted_record("a"));
  counted.history = counts;
  report = {};
  EXPECT_FALSE(counted.observe(observations, which, report));
  EXPECT_EQ(report.num_added, 0);
  EXPECT_EQ(report.num_unchanged, 2);
}

TEST(RecordChange, WhatIsReplacedIsStaleUntilItIsNamedAgain) {
  const StoredRecord record = made_record("a");
  StoredRecord renamed = record;
  renamed.record.title = "another";
  std::set<std::string> stale;

  RecordChanges changes = {{"a", stored(record)}};
  changes.at("a").put(renamed, small_schema());
  note_stale(changes, stale);
  const ValueName old_record = *changes.at("a").old->find('R');
  EXPECT_THAT(stale, ElementsAre(keys_of(old_record, "a").front())) << "the rest is as it was";

  changes = {{"a", stored(renamed)}};
  changes.at("a").put(record, small_schema());
  note_stale(changes, stale);
  const ValueName other_record = *changes.at("a").old->find('R');
  EXPECT_THAT(stale, ElementsAre(keys_of(other_record, "a").front()));

  changes = {{"a", stored(record)}};
  changes.at("a").row.reset();
  note_stale(changes, stale);
  std::set<std::string> all = keys_of_row(*changes.at("a").old);
  all.insert(keys_of(other_record, "a").front());
  EXPECT_EQ(stale, all) << "of a record that was removed all of it";
}

}  // namespace
}  // namespace mmra::bank
