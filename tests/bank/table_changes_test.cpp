#include "mmra/bank/table_changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "made_records.h"
#include "mmra/bank/bank_files.h"
#include "mmra/bank/vector_table.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::made_record;
using testing::TemporaryDirectory;

std::shared_ptr<const BankTable> table_of_generation(std::uint64_t generation) {
  return make_vector_table({generation, 1}, {}, 4, [](const auto&) {});
}

void note(TableChanges& changes, const std::vector<std::string>& ids, std::uint64_t generation) {
  changes.note(ids, generation);
}

TEST(TableChanges, AreThoseSinceTheTable) {
  TableChanges changes;
  note(changes, {"a"}, 4);
  EXPECT_FALSE(changes.before(9)) << "no table yet";
  changes.follow(table_of_generation(5));
  ASSERT_TRUE(changes.before(5));
  EXPECT_THAT(changes.before(5)->ids, IsEmpty());
  note(changes, {"c", "b"}, 6);
  note(changes, {"c"}, 7);
  EXPECT_THAT(changes.before(7)->ids, ElementsAre("b", "c"));
  EXPECT_EQ(changes.before(7)->table->generation(), 5U);
  EXPECT_FALSE(changes.before(4)) << "the table is of a later time";
}

TEST(TableChanges, ANewerTableHasTheEarlierOnes) {
  TableChanges changes;
  changes.follow(table_of_generation(5));
  note(changes, {"b"}, 6);
  note(changes, {"c"}, 7);
  changes.follow(table_of_generation(6));
  EXPECT_THAT(changes.before(7)->ids, ElementsAre("c"));
  changes.follow(table_of_generation(5));
  EXPECT_EQ(changes.before(7)->table->generation(), 6U) << "an older one tells nothing more";
}

TEST(TableChanges, TooManyAreNotKept) {
  TableChanges changes;
  changes.follow(table_of_generation(5));
  std::vector<std::string> ids(200'000);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = std::to_string(i);
  note(changes, ids, 6);
  EXPECT_FALSE(changes.before(6));
  EXPECT_FALSE(changes.is_following());
  changes.follow(table_of_generation(6));
  EXPECT_THAT(changes.before(6)->ids, IsEmpty());
  changes.forget();
  EXPECT_FALSE(changes.before(6));
}

/// A bank with a writer whose tables are made from earlier ones.
class TableOfChanges : public ::testing::Test {
 protected:
  void SetUp() override {
    bank_ = create_bank(directory_.path(), testing::small_schema());
    std::vector<StoredRecord> records(40);
    for (StoredRecord& record : records) record = record_of(random_() % 100);
    bank_->put(records);
    static_cast<void>(bank_->table());
  }
  StoredRecord record_of(std::size_t number) {
    StoredRecord stored = made_record("r" + std::to_string(100 + number));
    if (random_() % 3 == 0) stored.record.popularity.reset();
    if (random_() % 3 == 0) stored.record.posted_at.reset();
    for (float& value : stored.features.retrieval_vector) {
      value = static_cast<float>(random_() % 100) / 1000.0F;
    }
    return stored;
  }
  [[nodiscard]] std::string any_id() { return "r" + std::to_string(100 + random_() % 100); }

  void change_something() {
    switch (random_() % 4) {
      case 0: {
        const StoredRecord stored[] = {record_of(random_() % 100), record_of(random_() % 100)};
        bank_->put(stored);
        break;
      }
      case 1: {
        const std::string ids[] = {any_id(), any_id()};
        bank_->remove(ids);
        break;
      }
      case 2: {
        auto record = bank_->find(any_id());
        if (!record) break;
        record->popularity = static_cast<double>(random_() % 50);
        record->posted_at = Timestamp{static_cast<std::int64_t>(random_() % 1000)};
        bank_->put_record(*record);
        break;
      }
      default: {
        const auto moment = static_cast<std::int64_t>(2'000'000'000'000 + random_() % 1000);
        const RecordObservation counted[] = {{any_id(), {Timestamp{moment}, 7.0}}};
        static_cast<void>(bank_->observe(counted));
      }
    }
  }
  [[nodiscard]] std::string table_file() const {
    static_cast<void>(bank_->table());
    return read_file(vectors_file(directory_.path()));
  }
  void open_again() {
    bank_ = nullptr;
    bank_ = open_bank(directory_.path(), OpenMode::kReadWrite);
  }

  TemporaryDirectory directory_;
  std::mt19937 random_{7};
  std::unique_ptr<MemoryBank> bank_;
};

TEST_F(TableOfChanges, IsTheTableOfAllRecords) {
  for (int round = 0; round < 60; ++round) {
    for (std::size_t i = random_() % 5; i > 0; --i) change_something();
    const std::string of_changes = table_file();
    if (round % 5 == 0) {
      bank_->rebuild_derived_files();
      ASSERT_EQ(of_changes == table_file(), true) << round;
    }
    if (round % 7 == 0) open_again();
    if (round % 11 == 0) bank_->compact();
  }
  EXPECT_THAT(bank_->verify(), IsEmpty());
}

// Damage in the file that the next is made from is not written again under a new checksum.
TEST_F(TableOfChanges, OfADamagedOneIsMadeFromTheRecords) {
  const auto file = vectors_file(directory_.path());
  std::string bytes = read_file(file);
  const float first = bank_->table()->retrieval_vectors()[1];
  const std::string needle(reinterpret_cast<const char*>(&first), sizeof first);
  const std::size_t at = bytes.find(needle);
  ASSERT_NE(at, std::string::npos);
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  bank_ = nullptr;
  write_file_atomically(file, bytes);
  bank_ = open_bank(directory_.path(), OpenMode::kReadWrite);
  change_something();
  change_something();
  static_cast<void>(bank_->table());
  EXPECT_THAT(bank_->verify(), IsEmpty());
}

}  // namespace
}  // namespace mmra::bank
