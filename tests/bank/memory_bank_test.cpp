#include "mmra/bank/memory_bank.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "any_bank.h"
#include "expect_error.h"
#include "made_records.h"

// What every kind of bank does: each test runs on a directory and, where there is a server
// (any_bank.h), on that.

namespace mmra::bank {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::expect_same;
using testing::ids_of;
using ::testing::IsEmpty;
using testing::made_record;
using testing::put;
using testing::RandomValues;
using testing::small_schema;

class AnyBank : public testing::OnAnyEngine {
 protected:
  void SetUp() override {
    testing::OnAnyEngine::SetUp();
    if (!IsSkipped()) bank_ = create_bank(path(), small_schema());
  }
  void TearDown() override {
    bank_.reset();
    testing::OnAnyEngine::TearDown();
  }
  [[nodiscard]] std::filesystem::path path() { return place("bank"); }
  void reopen(OpenMode mode) {
    bank_.reset();
    bank_ = open_bank(path(), mode);
  }

  std::unique_ptr<MemoryBank> bank_;
};

MMRA_ON_EVERY_ENGINE(AnyBank);

TEST_P(AnyBank, IsEmptyAndSoundWhenNew) {
  const BankInfo info = bank_->info();
  EXPECT_EQ(info.num_records, 0);
  EXPECT_EQ(info.schema.popularity_unit, "comments");
  EXPECT_EQ(info.schema.context_columns, small_schema().context_columns);
  EXPECT_EQ(bank_->find("a"), std::nullopt);
  EXPECT_EQ(bank_->table()->num_rows(), 0U);
  EXPECT_THAT(bank_->verify(), IsEmpty());
  EXPECT_TRUE(bank_exists(path()));
  EXPECT_FALSE(bank_exists(place("elsewhere")));
}

TEST_P(AnyBank, FindsWhatWasPutAlsoAfterItWasClosed) {
  std::vector<StoredRecord> records;
  for (const char* id : {"b", "a", "日本", "a b"}) records.push_back(made_record(id));
  bank_->put(records);
  for (const OpenMode mode : {OpenMode::kReadWrite, OpenMode::kReadOnly}) {
    for (const StoredRecord& stored : records) {
      const auto record = bank_->find(stored.record.id);
      ASSERT_TRUE(record.has_value());
      expect_same(*record, stored.record);
      expect_same(bank_->find_features(stored.record.id).value(), stored.features);
    }
    EXPECT_THAT(ids_of(*bank_), ElementsAre("a", "a b", "b", "日本")) << "in the order of bytes";
    EXPECT_EQ(bank_->find("c"), std::nullopt);
    EXPECT_EQ(bank_->find(""), std::nullopt);
    EXPECT_EQ(bank_->find(std::string(600, 'x')), std::nullopt);
    EXPECT_THAT(bank_->verify(), IsEmpty());
    reopen(mode);
  }
}

TEST_P(AnyBank, VisitsRecordsWithTheirFeaturesUntilToldToStop) {
  for (const char* id : {"a", "b", "c"}) put(*bank_, made_record(id));
  std::vector<std::string> visited;
  bank_->for_each_with_features([&](const Record& record, const Features& features) {
    EXPECT_THAT(record.thumbnails, IsEmpty()) << "a scan stays cheap";
    expect_same(features, made_record(record.id).features);
    visited.push_back(record.id);
    return visited.size() < 2;
  });
  EXPECT_THAT(visited, ElementsAre("a", "b"));
}

TEST_P(AnyBank, PutReplacesEverythingOfARecord) {
  put(*bank_, made_record("a"));
  StoredRecord other = made_record("something else");
  other.record.id = "a";
  other.record.thumbnails.clear();
  put(*bank_, other);
  expect_same(bank_->find("a").value(), other.record);
  expect_same(bank_->find_features("a").value(), other.features);
  EXPECT_EQ(bank_->info().num_records, 1);
  EXPECT_THAT(bank_->verify(), IsEmpty());
}

TEST_P(AnyBank, TheLastOfTwoWithOneIdStays) {
  StoredRecord twice[] = {made_record("a"), made_record("a")};
  twice[1].record.title = "second";
  bank_->put(twice);
  EXPECT_EQ(bank_->find("a")->title, "second");
  EXPECT_EQ(bank_->info().num_records, 1);
  EXPECT_THAT(bank_->verify(), IsEmpty()) << "counted once";
}

TEST_P(AnyBank, PutRecordLeavesFeaturesAndThumbnails) {
  const StoredRecord stored = made_record("a");
  put(*bank_, stored);
  Record changed = stored.record;
  changed.title = "changed";
  changed.popularity.reset();
  changed.split = Split::kTest;
  changed.thumbnails.clear();
  bank_->put_record(changed);
  changed.thumbnails = stored.record.thumbnails;
  expect_same(bank_->find("a").value(), changed);
  expect_same(bank_->find_features("a").value(), stored.features);
  EXPECT_EQ(bank_->info().num_labelled, 0);
  EXPECT_THAT(bank_->verify(), IsEmpty());
  expect_error(ErrorKind::kNotFound, "has no record \"b\" to replace", [&] {
    changed.id = "b";
    bank_->put_record(changed);
  });
}

TEST_P(AnyBank, RemoveCountsThoseThatWereThere) {
  for (const char* id : {"a", "b", "c"}) put(*bank_, made_record(id));
  const std::uint64_t generation = bank_->info().generation;
  const std::vector<std::string> none{"x", "", std::string(600, 'x')};
  EXPECT_EQ(bank_->remove(none), 0);
  EXPECT_EQ(bank_->info().generation, generation) << "nothing was written";
  const std::vector<std::string> some{"a", "x", "c", "a"};
  EXPECT_EQ(bank_->remove(some), 2);
  EXPECT_THAT(ids_of(*bank_), ElementsAre("b"));
  EXPECT_EQ(bank_->find_features("a"), std::nullopt);
  EXPECT_THAT(bank_->verify(), IsEmpty());
}

TEST_P(AnyBank, CountsStayRightThroughRandomChanges) {
  RandomValues random(20);
  std::map<std::string, StoredRecord> expected;
  const auto random_record = [&] {
    StoredRecord stored = made_record("v" + std::to_string(random.below(12)));
    if (random.one_in(2)) stored.record.popularity.reset();
    if (random.one_in(2)) stored.record.posted_at.reset();
    if (random.one_in(2)) stored.record.video_path.clear();
    if (random.one_in(3)) stored.features.text_tokens = {0, 0, {}};
    stored.record.split = static_cast<Split>(random.below(3));
    return stored;
  };
  for (int round = 0; round < 150; ++round) {
    const StoredRecord stored = random_record();
    const std::string& id = stored.record.id;
    if (random.one_in(3)) {
      EXPECT_EQ(bank_->remove({&id, 1}), expected.erase(id) > 0 ? 1 : 0);
    } else if (random.one_in(3) && expected.contains(id)) {
      bank_->put_record(stored.record);
      expected[id].record = stored.record;
    } else {
      put(*bank_, stored);
      expected[id] = stored;
    }
  }
  BankInfo sums;
  for (const auto& [id, stored] : expected) {
    expect_same(bank_->find(id).value(), stored.record);
    expect_same(bank_->find_features(id).value(), stored.features);
    sums.num_labelled += stored.record.popularity ? 1 : 0;
    sums.num_with_time += stored.record.posted_at ? 1 : 0;
    sums.num_with_video += stored.record.video_path.empty() ? 0 : 1;
    ++sums.num_in_split[static_cast<int>(stored.record.split)];
    sums.num_visual_tokens += stored.features.visual_tokens.num_tokens;
    sums.num_text_tokens += stored.features.text_tokens.num_tokens;
  }
  const BankInfo info = bank_->info();
  EXPECT_EQ(info.num_records, static_cast<std::int64_t>(expected.size()));
  EXPECT_EQ(info.num_labelled, sums.num_labelled);
  EXPECT_EQ(info.num_with_time, sums.num_with_time);
  EXPECT_EQ(info.num_with_video, sums.num_with_video);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(info.num_in_split[i], sums.num_in_split[i]) << i;
  EXPECT_EQ(info.num_visual_tokens, sums.num_visual_tokens);
  EXPECT_EQ(info.num_text_tokens, sums.num_text_tokens);
  EXPECT_THAT(bank_->verify(), IsEmpty());
}

TEST_P(AnyBank, TakesRecordsWithNothingKnown) {
  StoredRecord empty;
  empty.record.id = "a";
  empty.features.retrieval_vector.assign(4, 0.0F);
  put(*bank_, empty);
  expect_same(bank_->find("a").value(), empty.record);
  EXPECT_THAT(bank_->verify(), IsEmpty());
}

TEST_P(AnyBank, RefusesWhatDoesNotFitAndNamesTheRecord) {
  const auto expect_refused = [&](const std::string& part, const auto& spoil) {
    StoredRecord batch[] = {made_record("good"), made_record("my id")};
    spoil(batch[1]);
    expect_error(ErrorKind::kInvalidInput, part, [&] { bank_->put(batch); });
  };
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  const std::string who = "the record \"my id\" does not fit the bank: ";
  expect_refused(who + "visual tokens of dimension 5, expected 2", [](StoredRecord& r) {
    r.features.visual_tokens = {1, 5, {1, 2, 3, 4, 5}};
  });
  expect_refused(who + "3 values of text tokens, expected 2 x 3", [](StoredRecord& r) {
    r.features.text_tokens = {2, 3, {1, 2, 3}};
  });
  expect_refused(who + "0 values of text tokens, expected -1 x 3", [](StoredRecord& r) {
    r.features.text_tokens = {-1, 3, {}};
  });
  expect_refused(who + "a visual token holds infinity or NaN",
                 [](StoredRecord& r) { r.features.visual_tokens.values[1] = 0x7C00; });
  expect_refused(who + "a retrieval vector of dimension 3, expected 4",
                 [](StoredRecord& r) { r.features.retrieval_vector.resize(3); });
  expect_refused(who + "its retrieval vector holds infinity or NaN", [&](StoredRecord& r) {
    r.features.retrieval_vector[0] = static_cast<float>(nan);
  });
  expect_refused(who + "the popularity -1", [](StoredRecord& r) { r.record.popularity = -1.0; });
  expect_refused(who + "the popularity nan", [&](StoredRecord& r) { r.record.popularity = nan; });
  expect_refused(who + "it has no context column \"x\"",
                 [](StoredRecord& r) { r.record.context["x"] = 1.0; });
  expect_refused(who + "the context column \"creator\" holds a number, expected a category",
                 [](StoredRecord& r) { r.record.context["creator"] = 1.0; });
  expect_refused(who + "the context column \"followers\" holds a category, expected a number",
                 [](StoredRecord& r) { r.record.context["followers"] = "many"; });
  expect_refused(who + "the context column \"followers\" holds infinity or NaN",
                 [&](StoredRecord& r) { r.record.context["followers"] = nan; });
  expect_refused("the id is empty", [](StoredRecord& r) { r.record.id = ""; });
  expect_refused("at most 511", [](StoredRecord& r) { r.record.id = std::string(512, 'x'); });
  EXPECT_EQ(bank_->info().num_records, 0) << "all or nothing: the good ones neither";

  put(*bank_, made_record("my id"));
  Record record = made_record("my id").record;
  record.context["x"] = 1.0;
  expect_error(ErrorKind::kInvalidInput, who, [&] { bank_->put_record(record); });
}

TEST_P(AnyBank, AddsContextColumnsAndNeverChangesThem) {
  bank_->add_context_columns({{"x", ColumnType::kNumber}, {"creator", ColumnType::kCategory}});
  StoredRecord stored = made_record("a");
  stored.record.context["x"] = 2.0;
  put(*bank_, stored);
  const std::uint64_t generation = bank_->info().generation;
  bank_->add_context_columns({{"x", ColumnType::kNumber}});
  bank_->add_context_columns({});
  EXPECT_EQ(bank_->info().generation, generation) << "nothing to add, nothing written";
  expect_error(
      ErrorKind::kInvalidInput,
      "the context column \"x\" is a number in the memory bank " + path().string() +
          ", here it is a category",
      [&] {
        bank_->add_context_columns({{"a", ColumnType::kNumber}, {"x", ColumnType::kCategory}});
      });
  reopen(OpenMode::kReadOnly);
  EXPECT_EQ(bank_->info().schema.context_columns.size(), 3U) << "all or nothing";
  expect_same(bank_->find("a").value(), stored.record);
}

TEST_P(AnyBank, TableIsThatOfTheLatestCommit) {
  put(*bank_, made_record("b"));
  const auto before = bank_->table();
  EXPECT_EQ(before, bank_->table()) << "made once a commit";
  put(*bank_, made_record("a"));
  const auto after = bank_->table();
  EXPECT_EQ(before->num_rows(), 1U) << "an older one stays as it was";
  ASSERT_EQ(after->num_rows(), 2U);
  EXPECT_EQ(after->id(0), "a");
  EXPECT_EQ(after->generation(), bank_->info().generation);
  EXPECT_EQ(after->popularity(0), made_record("a").record.popularity);
  EXPECT_THAT(after->retrieval_vectors().first(4),
              ::testing::ElementsAreArray(made_record("a").features.retrieval_vector));
  reopen(OpenMode::kReadOnly);
  EXPECT_EQ(bank_->table()->num_rows(), 2U);
}

TEST_P(AnyBank, AReaderMayNotWrite) {
  put(*bank_, made_record("a"));
  reopen(OpenMode::kReadOnly);
  const std::string ids[] = {"a"};
  const std::string part = "was opened for reading only";
  expect_error(ErrorKind::kInternal, part, [&] { put(*bank_, made_record("b")); });
  expect_error(ErrorKind::kInternal, part, [&] { bank_->put_record(made_record("a").record); });
  expect_error(ErrorKind::kInternal, part, [&] { (void)bank_->remove(ids); });
  expect_error(ErrorKind::kInternal, part, [&] {
    bank_->add_context_columns({{"x", ColumnType::kNumber}});
  });
}

TEST_P(AnyBank, IsNotMadeWhereOneIs) {
  put(*bank_, made_record("a"));
  bank_.reset();
  expect_error(ErrorKind::kInvalidInput, "there is a memory bank in " + path().string() + " alre",
               [&] { (void)create_bank(path(), small_schema()); });
  reopen(OpenMode::kReadOnly);
  EXPECT_EQ(bank_->info().num_records, 1);
}

TEST_P(AnyBank, ASecondWriterIsToldWhoWrites) {
  const std::string part = "is being written by process " + std::to_string(::getpid());
  expect_error(ErrorKind::kIo, part, [&] { (void)open_bank(path(), OpenMode::kReadWrite); });
  EXPECT_EQ(open_bank(path(), OpenMode::kReadOnly)->info().num_records, 0) << "readers may";
  reopen(OpenMode::kReadWrite);
}

TEST_P(AnyBank, MissingSaysHowToMakeOne) {
  for (const OpenMode mode : {OpenMode::kReadOnly, OpenMode::kReadWrite}) {
    expect_error(ErrorKind::kNotFound, "make one with `mmra ingest MANIFEST --bank ",
                 [&] { (void)open_bank(place("none"), mode); });
    EXPECT_FALSE(bank_exists(place("none")));
  }
}

TEST_P(AnyBank, NeedsDimensionsThatMakeSense) {
  BankSchema schema = small_schema();
  schema.text_dim = -1;
  expect_error(ErrorKind::kInvalidInput, "dimensions of 0 or more",
               [&] { (void)create_bank(place("other"), schema); });
  schema = small_schema();
  schema.num_frames = 0;
  expect_error(ErrorKind::kInvalidInput, "at least one frame",
               [&] { (void)create_bank(place("other"), schema); });
  EXPECT_FALSE(bank_exists(place("other")));
}

// More than one page and one request of everything.
TEST_P(AnyBank, HoldsMoreThanAPageInOrder) {
  constexpr int kRecords = 2500;
  std::vector<StoredRecord> records;
  std::vector<std::string> ids;
  for (int i = 0; i < kRecords; ++i) {
    // Not in the order in which they are put.
    records.push_back(made_record("v" + std::to_string((i * 7919) % kRecords)));
    ids.push_back(records.back().record.id);
  }
  bank_->put(records);
  std::sort(ids.begin(), ids.end());
  EXPECT_THAT(ids_of(*bank_), ::testing::ElementsAreArray(ids));
  EXPECT_EQ(bank_->info().num_records, kRecords);
  const auto table = bank_->table();
  ASSERT_EQ(table->num_rows(), ids.size());
  for (std::size_t row = 0; row < ids.size(); row += 97) {
    const StoredRecord expected = made_record(ids[row]);
    EXPECT_EQ(table->id(row), ids[row]);
    EXPECT_EQ(table->popularity(row), expected.record.popularity);
    EXPECT_EQ(table->posted_at(row), expected.record.posted_at);
    EXPECT_EQ(table->split(row), expected.record.split);
    EXPECT_THAT(table->retrieval_vectors().subspan(row * 4, 4),
                ::testing::ElementsAreArray(expected.features.retrieval_vector));
  }
  const std::span<const std::string> half = std::span(ids).first(ids.size() / 2);
  EXPECT_EQ(bank_->remove(half), kRecords / 2);
  EXPECT_EQ(bank_->info().num_records, kRecords - kRecords / 2);
  EXPECT_THAT(bank_->verify(), IsEmpty());
}

// Values of several pieces, where a store has pieces.
TEST_P(AnyBank, HoldsLargeValues) {
  StoredRecord large = made_record("large");
  large.record.thumbnails.assign(3, std::vector<std::uint8_t>(120'000));
  for (auto& thumbnail : large.record.thumbnails) {
    for (std::size_t i = 0; i < thumbnail.size(); ++i) {
      thumbnail[i] = static_cast<std::uint8_t>(i * i >> 3);
    }
  }
  large.record.title = std::string(70'000, 't') + "\xF0\x9F\x8E\xAC";
  put(*bank_, large);
  expect_same(bank_->find("large").value(), large.record);
  EXPECT_THAT(bank_->verify(), IsEmpty());
}

}  // namespace
}  // namespace mmra::bank
