#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "child_process.h"
#include "expect_error.h"
#include "made_records.h"
#include "mmra/bank/bank_state.h"
#include "mmra/bank/lmdb_environment.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/bank/record_codec.h"
#include "mmra/bank/vector_table.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::expect_error;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::made_record;
using testing::RandomValues;
using testing::small_schema;
using testing::TemporaryDirectory;

auto problem(const std::string& id, const std::string& part) {
  return AllOf(Field(&Problem::id, id), Field(&Problem::what, HasSubstr(part)));
}

/// A bank of v0 … v9 whose files are damaged while it is closed.
class DamagedBank : public ::testing::Test {
 protected:
  DamagedBank() {
    const auto bank = create_bank(path(), small_schema());
    std::vector<StoredRecord> records;
    records.reserve(10);
    for (int i = 0; i < 10; ++i) records.push_back(made_record("v" + std::to_string(i)));
    bank->put(records);
    (void)bank->table();
  }
  [[nodiscard]] std::filesystem::path path() const { return directory_ / "bank"; }
  [[nodiscard]] std::filesystem::path data_file() const { return path() / "records" / "data.mdb"; }
  [[nodiscard]] std::filesystem::path vectors_file() const {
    return path() / "derived" / "vectors.bin";
  }
  [[nodiscard]] std::unique_ptr<MemoryBank> open(OpenMode mode = OpenMode::kReadOnly) const {
    return open_bank(path(), mode);
  }
  static void overwrite(const std::filesystem::path& file, const std::string& bytes) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
  }

  /// Flips a bit in every copy of `value` in data.mdb, `at` bytes from its start.
  void damage_value(const Bytes& value, std::size_t at) const {
    std::string bytes = read_file(data_file());
    int num_copies = 0;
    for (std::size_t found = bytes.find(value); found != std::string::npos;
         found = bytes.find(value, found + 1)) {
      bytes[found + at] = static_cast<char>(bytes[found + at] ^ 0x04);
      ++num_copies;
    }
    ASSERT_GT(num_copies, 0);
    overwrite(data_file(), bytes);
  }

  /// Changes the environment behind the bank's back.
  template <typename Change>
  void change(const Change& change) const {
    const SharedEnvironment environment(path() / "records");
    Transaction transaction(environment.get(), Transaction::Kind::kWrite);
    change(transaction);
    transaction.commit();
  }

  /// 0 where the bank can be read, verified and written, or says that it is damaged (or, by a
  /// version number that is damaged, of a newer format).
  [[nodiscard]] int try_everything() const {
    try {
      const auto bank = open(OpenMode::kReadWrite);
      (void)bank->verify();
      for (int i = 0; i < 10; ++i) (void)bank->find("v" + std::to_string(i));
      const StoredRecord changed = made_record("v3");
      bank->put({&changed, 1});
      const std::string gone[] = {"v5"};
      bank->remove(gone);
      return 0;
    } catch (const Error& error) {
      const bool is_named =
          error.kind() == ErrorKind::kCorruptData || error.kind() == ErrorKind::kUnsupported;
      if (!is_named) ADD_FAILURE() << error.what();
      return is_named ? 0 : 3;
    }
  }

  TemporaryDirectory directory_;
};

TEST_F(DamagedBank, VerifyAndFindNameADamagedRecord) {
  damage_value(encode_record(made_record("v3").record), 60);
  const auto bank = open();
  EXPECT_THAT(bank->verify(), ElementsAre(problem("v3", "the record \"v3\" is damaged")));
  expect_error(ErrorKind::kCorruptData, "the record \"v3\" is damaged: its checksum",
               [&] { (void)bank->find("v3"); });
  EXPECT_TRUE(bank->find("v4").has_value()) << "the others are there";
  expect_error(ErrorKind::kCorruptData, "\"v3\"",
               [&] { bank->for_each([](const Record&) { return true; }); });
}

TEST_F(DamagedBank, VerifyNamesDamagedFeaturesAndThumbnails) {
  damage_value(encode_features("v5", made_record("v5").features), 50);
  damage_value(encode_thumbnails("v6", made_record("v6").record.thumbnails), 20);
  const auto bank = open();
  EXPECT_THAT(bank->verify(),
              ElementsAre(problem("v5", "the features of the record \"v5\" is damaged"),
                          problem("v6", "the thumbnails of the record \"v6\" is damaged")));
  expect_error(ErrorKind::kCorruptData, "\"v5\"", [&] { (void)bank->find_features("v5"); });
  expect_error(ErrorKind::kCorruptData, "\"v6\"", [&] { (void)bank->find("v6"); });
  EXPECT_EQ(bank->table()->num_rows(), 10U) << "the derived file of this commit is sound";
  std::filesystem::remove(vectors_file());
  const auto again = open();
  expect_error(ErrorKind::kCorruptData, "\"v5\"", [&] { (void)again->table(); });
}

TEST_F(DamagedBank, ADamagedRecordCanBeReplacedOrRemovedAndTheCountsAreRightAgain) {
  damage_value(encode_record(made_record("v3").record), 60);
  damage_value(encode_features("v5", made_record("v5").features), 50);
  damage_value(encode_record(made_record("v7").record), 60);
  {
    const auto bank = open(OpenMode::kReadWrite);
    const StoredRecord v3 = made_record("v3");
    const std::string gone[] = {"v5"};
    bank->put({&v3, 1});
    EXPECT_EQ(bank->remove(gone), 1);
    bank->put_record(made_record("v7").record);
    EXPECT_THAT(bank->verify(), IsEmpty());
    EXPECT_EQ(bank->info().num_records, 9);
    EXPECT_EQ(bank->info().num_labelled, 9);
    EXPECT_EQ(bank->table()->num_rows(), 9U);
  }
}

TEST_F(DamagedBank, VerifyNamesWhatLacksItsOtherHalf) {
  change([](Transaction& transaction) {
    transaction.remove(Database::kRecords, "v1");
    transaction.remove(Database::kFeatures, "v2");
  });
  const auto bank = open();
  const auto problems = bank->verify();
  EXPECT_THAT(problems, Contains(problem("v1", "there are features but no record")));
  EXPECT_THAT(problems, Contains(problem("v1", "there are thumbnails but no record")));
  EXPECT_THAT(problems, Contains(problem("v2", "the record has no features")));
  EXPECT_THAT(problems, Contains(problem("", "10 rows, the bank has 9 records")));
  expect_error(ErrorKind::kCorruptData, "the record \"v2\" has no features in the bank", [&] {
    bank->for_each_with_features([](const Record&, const Features&) { return true; });
  });
}

TEST_F(DamagedBank, VerifyNoticesWrongCounts) {
  change([](Transaction& transaction) {
    BankState state =
        parse_state(decode_text("state", transaction.get(Database::kMeta, "state").value()), "b");
    ++state.num_labelled;
    transaction.put(Database::kMeta, "state", encode_text("state", to_json_text(state)));
  });
  EXPECT_THAT(open()->verify(), ElementsAre(problem("", "its counts of labels, videos, times")));
}

TEST_F(DamagedBank, VerifyNamesARecordThatDoesNotFitTheSchema) {
  change([](Transaction& transaction) {
    Record record = made_record("v1").record;
    record.context["unknown"] = 1.0;
    transaction.put(Database::kRecords, "v1", encode_record(record));
    Features features = made_record("v2").features;
    features.retrieval_vector.push_back(1.0F);
    transaction.put(Database::kFeatures, "v2", encode_features("v2", features));
  });
  const auto problems = open()->verify();
  EXPECT_THAT(problems, Contains(problem("v1", "it has no context column \"unknown\"")));
  EXPECT_THAT(problems, Contains(problem("v2", "a retrieval vector of dimension 5, expected 4")));
}

TEST_F(DamagedBank, ANewerFormatIsRefusedByWhoeverOpensIt) {
  change([](Transaction& transaction) {
    transaction.put(Database::kMeta, "schema",
                    encode_text("schema", R"({"format_version":3,"other":true})"));
  });
  for (const OpenMode mode : {OpenMode::kReadOnly, OpenMode::kReadWrite}) {
    expect_error(ErrorKind::kUnsupported, path().string() + " has format version 3",
                 [&] { (void)open(mode); });
  }
}

TEST_F(DamagedBank, WithoutOrWithADamagedSchemaOrStateIsNamed) {
  for (const char* key : {"schema", "state"}) {
    Bytes before;
    change([&](Transaction& transaction) {
      const ByteView value = transaction.get(Database::kMeta, key).value();
      before.assign(reinterpret_cast<const char*>(value.data()), value.size());
      transaction.remove(Database::kMeta, key);
    });
    expect_error(ErrorKind::kCorruptData, std::string("it has no ") + key,
                 [&] { (void)open()->info(); });
    change([&](Transaction& transaction) {
      transaction.put(Database::kMeta, key, before.substr(0, before.size() - 1));
    });
    expect_error(ErrorKind::kCorruptData, std::string("the bank's \"") + key + "\" is damaged",
                 [&] { (void)open()->info(); });
    change([&](Transaction& transaction) { transaction.put(Database::kMeta, key, before); });
    EXPECT_THAT(open()->verify(), IsEmpty());
  }
}

TEST_F(DamagedBank, ADamagedDerivedFileIsMadeAgain) {
  const std::string good = read_file(vectors_file());
  const std::pair<const char*, std::string> damages[] = {
      {"cut off", good.substr(0, good.size() / 2)},
      {"empty", ""},
      {"of zeros", std::string(good.size(), '\0')},
      {"a flipped bit in the ids", [&] {
         std::string bytes = good;
         bytes[64 + 128 + 3] = static_cast<char>(bytes[64 + 128 + 3] ^ 1);
         return bytes;
       }()}};
  for (const auto& [what, bytes] : damages) {
    overwrite(vectors_file(), bytes);
    const auto bank = open();
    EXPECT_THAT(bank->verify(), ElementsAre(problem("", "vectors.bin is damaged"))) << what;
    const auto table = bank->table();
    ASSERT_EQ(table->num_rows(), 10U) << what;
    EXPECT_EQ(table->id(3), "v3");
    EXPECT_EQ(read_file(vectors_file()), good) << what;
    EXPECT_THAT(bank->verify(), IsEmpty());
  }
}

TEST_F(DamagedBank, AVectorFileOfAnotherCommitIsNeverTaken) {
  const std::string old = read_file(vectors_file());
  {
    const auto bank = open(OpenMode::kReadWrite);
    StoredRecord changed = made_record("v3");
    changed.record.popularity = 123456.0;
    bank->put({&changed, 1});
  }
  overwrite(vectors_file(), old);
  const auto bank = open();
  EXPECT_THAT(bank->verify(), IsEmpty()) << "an old file is no damage";
  EXPECT_EQ(bank->table()->popularity(3), 123456.0);
  EXPECT_NE(read_file(vectors_file()), old);
}

/// Of the current commit, whatever its contents.
CommitStamp stamp_of(const std::string& vector_file) {
  CommitStamp stamp;
  std::memcpy(&stamp.generation, vector_file.data() + 16, 8);
  std::memcpy(&stamp.commit_id, vector_file.data() + 24, 8);
  return stamp;
}

TEST_F(DamagedBank, AVectorFileOfAnotherDimensionIsNeverTaken) {
  TableColumns columns;
  for (int i = 0; i < 10; ++i) columns.append(made_record("v" + std::to_string(i)).record);
  const float narrow[] = {1.0F};
  const ForEachVector vectors = [&](const auto& visit) {
    for (int i = 0; i < 10; ++i) visit(std::as_bytes(std::span(narrow)));
  };
  write_vector_file(vectors_file(), stamp_of(read_file(vectors_file())), columns, 1, vectors);
  const auto bank = open();
  EXPECT_THAT(bank->verify(), ElementsAre(problem("", "vectors of dimension 1, expected 4")));
  EXPECT_EQ(bank->table()->retrieval_dim(), 4);
  EXPECT_THAT(bank->verify(), IsEmpty());
}

TEST_F(DamagedBank, VerifyComparesTheDerivedFileWithTheRecords) {
  TableColumns columns;
  for (int i = 0; i < 10; ++i) {
    StoredRecord stored = made_record("v" + std::to_string(i));
    if (i == 4) stored.record.popularity = 5000.0;
    columns.append(stored.record);
  }
  const ForEachVector vectors = [&](const auto& visit) {
    for (int i = 0; i < 10; ++i) {
      Features features = made_record("v" + std::to_string(i)).features;
      if (i == 6) features.retrieval_vector[2] = 0.5F;
      visit(std::as_bytes(std::span(features.retrieval_vector)));
    }
  };
  write_vector_file(vectors_file(), stamp_of(read_file(vectors_file())), columns, 4, vectors);
  EXPECT_THAT(open()->verify(),
              ElementsAre(problem("v4", "the derived file differs from the record"),
                          problem("v6", "the derived file differs from the features")));
}

TEST_F(DamagedBank, ADerivedFileThatCannotBeWrittenCostsNothing) {
  std::filesystem::remove_all(path() / "derived");
  overwrite(path() / "derived", "a file where a directory is needed");
  EXPECT_EQ(open()->table()->num_rows(), 10U);
}

/// Opens and reads everything in a process of its own, so that a signal is seen: 0 where the bank
/// is sound or its damage is an error that names it.
int outcome_of_reading(const std::filesystem::path& path) {
  return testing::run_in_child([&] {
    try {
      const auto bank = open_bank(path, OpenMode::kReadOnly);
      if (!bank->verify().empty()) return 0;
      for (int i = 0; i < 10; ++i) {
        const StoredRecord expected = made_record("v" + std::to_string(i));
        if (!testing::same(bank->find(expected.record.id).value(), expected.record)) return 1;
      }
      return bank->info().num_records == 10 ? 0 : 2;
    } catch (const Error& error) {
      return error.kind() == ErrorKind::kCorruptData ? 0 : 3;
    }
  });
}

// Whatever LMDB finds in a data file that was cut off, it ends in one of our errors.
TEST_F(DamagedBank, ADataFileThatIsCutOffIsAnErrorAndNeverASignal) {
  const std::string good = read_file(data_file());
  for (std::size_t size = 0; size < good.size(); size += 2048) {
    overwrite(data_file(), good.substr(0, size));
    EXPECT_EQ(outcome_of_reading(path()), 0) << "cut at " << size << " of " << good.size();
  }
}

// LMDB follows its pages without looking: what it would follow into nowhere is refused before.
TEST_F(DamagedBank, AChangedByteInTheDataFileIsNeverASignal) {
  constexpr std::size_t kPageBytes = 4096;
  constexpr int kNumChanges = 600;
  const std::string good = read_file(data_file());
  RandomValues random(5);
  std::vector<std::pair<std::size_t, char>> changes;
  for (int i = 0; i < kNumChanges; ++i) {
    // Half of them where a page's header and pointers are.
    const std::size_t page = random.below(good.size() / kPageBytes) * kPageBytes;
    const std::size_t offset = page + random.below(i % 2 == 0 ? 64 : kPageBytes);
    changes.emplace_back(offset, static_cast<char>(1 + random.below(255)));
  }
  // One process for all of them.
  const int outcome = testing::run_in_child([&] {
    for (const auto& [offset, bits] : changes) {
      std::string bad = good;
      bad[offset] = static_cast<char>(bad[offset] ^ bits);
      overwrite(data_file(), bad);
      if (const int code = try_everything()) return code;
    }
    return 0;
  });
  EXPECT_EQ(outcome, 0);
}

}  // namespace
}  // namespace mmra::bank
