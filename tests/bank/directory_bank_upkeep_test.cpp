#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "child_process.h"
#include "expect_error.h"
#include "made_records.h"
#include "mmra/bank/lmdb_environment.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using testing::expect_error;
using testing::expect_same;
using ::testing::HasSubstr;
using testing::made_record;
using testing::small_schema;
using testing::TemporaryDirectory;
namespace fs = std::filesystem;

constexpr int kNumRecords = 60;

std::string id_of(int number) { return "v" + std::to_string(number); }

/// What no other record has, in its title, captions and frames.
std::string secret_of(int number) { return "secret-" + std::to_string(number) + "-terces"; }

StoredRecord secret_record(int number) {
  StoredRecord stored = made_record(id_of(number));
  const std::string secret = secret_of(number);
  stored.record.title = "title " + secret;
  stored.record.captions = {"caption " + secret};
  std::string frame;
  for (int i = 0; i < 200; ++i)
    frame += secret;  // beyond a page: LMDB keeps it in pages of its own
  stored.record.thumbnails = {std::vector<std::uint8_t>(frame.begin(), frame.end())};
  stored.record.context["creator"] = "creator " + secret;
  return stored;
}

/// The files of a directory in which `text` stands anywhere.
std::vector<std::string> files_with(const fs::path& directory, const std::string& text) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file() && read_file(entry.path()).find(text) != std::string::npos) {
      files.push_back(entry.path().filename().string());
    }
  }
  return files;
}

class BankUpkeep : public ::testing::Test {
 protected:
  BankUpkeep() : bank_(create_bank(path(), small_schema())) {
    make_directories(encoders_directory(path()));
    write_file_atomically(encoders_directory(path()) / "encoders.json", "{}");
    // Several commits, so that pages are freed and used again.
    for (int i = 0; i < kNumRecords; ++i) {
      const StoredRecord stored = secret_record(i);
      bank_->put({&stored, 1});
    }
    const RecordObservation count{id_of(1), {Timestamp{std::int64_t{3} << 40}, 7.0}};
    bank_->observe({&count, 1});
    (void)bank_->table();
  }
  [[nodiscard]] fs::path path() const { return directory_ / "bank"; }

  void remove_even() {
    std::vector<std::string> ids;
    for (int i = 0; i < kNumRecords; i += 2) ids.push_back(id_of(i));
    EXPECT_EQ(bank_->remove(ids), kNumRecords / 2);
  }
  static void expect_odd(const MemoryBank& bank) {
    EXPECT_EQ(bank.info().num_records, kNumRecords / 2);
    for (int i = 0; i < kNumRecords; ++i) {
      const auto found = bank.find(id_of(i));
      ASSERT_EQ(found.has_value(), i % 2 == 1) << i;
      if (!found) continue;
      expect_same(*found, secret_record(i).record);
      expect_same(bank.find_features(id_of(i)).value(), secret_record(i).features);
    }
    EXPECT_EQ(bank.find_history(id_of(1))->timed.size(), 1U);
    EXPECT_EQ(bank.table()->num_rows(), static_cast<std::size_t>(kNumRecords / 2));
    for (const Problem& problem : bank.verify()) ADD_FAILURE() << problem.id << problem.what;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<MemoryBank> bank_;
};

TEST_F(BankUpkeep, RemovalIsImmediateAndCompactionLeavesNoTrace) {
  const auto before = bank_->table();
  remove_even();
  EXPECT_EQ(bank_->table()->num_rows(), static_cast<std::size_t>(kNumRecords / 2)) << "at once";
  EXPECT_EQ(before->num_rows(), static_cast<std::size_t>(kNumRecords)) << "a snapshot stays";
  std::size_t num_traces = 0;
  for (int i = 0; i < kNumRecords; i += 2) num_traces += files_with(path(), secret_of(i)).size();
  EXPECT_GT(num_traces, 0U) << "or this test would show nothing";

  const std::uint64_t generation = bank_->info().generation;
  bank_->compact();
  for (int i = 0; i < kNumRecords; ++i) {
    EXPECT_EQ(files_with(path(), secret_of(i)).empty(), i % 2 == 0) << i;
    // A record's id is its own too.
    if (i % 2 == 0 && i >= 10) {
      EXPECT_THAT(files_with(path() / "derived", id_of(i)), ::testing::IsEmpty());
    }
  }
  EXPECT_EQ(bank_->info().generation, generation) << "the same records";
  expect_odd(*bank_);
  // And it goes on.
  const StoredRecord more = secret_record(2);
  bank_->put({&more, 1});
  EXPECT_TRUE(bank_->find(id_of(2)).has_value());
  bank_.reset();
  bank_ = open_bank(path(), OpenMode::kReadOnly);
  EXPECT_EQ(bank_->info().num_records, kNumRecords / 2 + 1);
}

TEST_F(BankUpkeep, CompactionGivesSpaceBack) {
  const std::int64_t before = bank_->info().disk_bytes;
  remove_even();
  bank_->compact();
  EXPECT_LT(bank_->info().disk_bytes, before * 2 / 3);
}

TEST_F(BankUpkeep, ReadersSeeTheNewFilesAndKeepWhatTheyHaveOpen) {
  const auto reader = open_bank(path(), OpenMode::kReadOnly);
  std::vector<std::string> seen;
  reader->for_each([&](const Record& record) {
    if (seen.empty()) {
      remove_even();
      bank_->compact();
    }
    seen.push_back(record.id);
    return true;
  });
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kNumRecords)) << "one snapshot to its end";
  expect_odd(*reader);
}

TEST_F(BankUpkeep, ReadersOfOtherProcessesGoOn) {
  bank_.reset();
  int to_child[2];
  int to_parent[2];
  ASSERT_EQ(::pipe(to_child), 0);
  ASSERT_EQ(::pipe(to_parent), 0);
  const pid_t child = testing::start_child([&] {
    const auto reader = open_bank(path(), OpenMode::kReadOnly);
    char byte = 0;
    if (reader->info().num_records != kNumRecords) return 1;
    if (::write(to_parent[1], &byte, 1) != 1 || ::read(to_child[0], &byte, 1) != 1) return 2;
    if (reader->info().num_records != kNumRecords / 2) return 3;
    if (reader->find(id_of(0)) || !reader->find(id_of(1))) return 4;
    return reader->verify().empty() ? 0 : 5;
  });
  ::close(to_parent[1]);  // the child's end: without it a child that fails is no endless wait
  char byte = 0;
  ASSERT_EQ(::read(to_parent[0], &byte, 1), 1) << "exit " << testing::wait_for_child(child);
  bank_ = open_bank(path(), OpenMode::kReadWrite);
  remove_even();
  bank_->compact();
  ASSERT_EQ(::write(to_child[1], &byte, 1), 1);
  EXPECT_EQ(testing::wait_for_child(child), 0);
  for (const int end : {to_child[0], to_child[1], to_parent[0]}) ::close(end);
}

TEST_F(BankUpkeep, WhatAKilledCompactionLeftGoesWithTheNextWriter) {
  remove_even();
  fs::copy(path() / "records", path() / "records.compacting", fs::copy_options::recursive);
  fs::copy(path() / "derived", path() / "derived.removed", fs::copy_options::recursive);
  write_file_atomically(path() / "derived" / "vectors.bin.tmp.abcdef", secret_of(0));
  bank_.reset();
  bank_ = open_bank(path(), OpenMode::kReadOnly);
  EXPECT_TRUE(fs::exists(path() / "records.compacting")) << "a reader changes nothing";
  bank_ = open_bank(path(), OpenMode::kReadWrite);
  EXPECT_FALSE(fs::exists(path() / "records.compacting"));
  EXPECT_FALSE(fs::exists(path() / "derived.removed"));
  EXPECT_FALSE(fs::exists(path() / "derived" / "vectors.bin.tmp.abcdef"));
  expect_odd(*bank_);
}

TEST_F(BankUpkeep, ABackupOfALiveBankIsAWholeBank) {
  remove_even();
  const fs::path copy = directory_ / "copy";
  std::atomic<bool> done{false};
  std::thread writer([&] {  // goes on writing, and takes back what it wrote
    for (int i = 0; !done; ++i) {
      const StoredRecord stored = secret_record(1000 + i % 7);
      bank_->put({&stored, 1});
      bank_->remove(std::vector<std::string>{stored.record.id});
    }
  });
  open_bank(path(), OpenMode::kReadOnly)->backup(copy);
  done = true;
  writer.join();
  auto restored = open_bank(copy, OpenMode::kReadWrite);
  std::vector<std::string> extra;
  restored->for_each([&](const Record& record) {
    if (record.id.size() == 5) extra.push_back(record.id);
    return true;
  });
  EXPECT_LE(extra.size(), 1U);
  restored->remove(extra);
  expect_odd(*restored);
  EXPECT_EQ(files_with(copy, secret_of(0)).size(), 0U) << "a backup is compact";
  EXPECT_EQ(read_file(encoders_directory(copy) / "encoders.json"), "{}");
  expect_error(ErrorKind::kInvalidInput, "holds other things", [&] { bank_->backup(copy); });
}

// Two records of a pair are always put in one call: whoever sees one sees the other, as it is.
TEST_F(BankUpkeep, ReadersSeeOneMomentWhileAWriterWorks) {
  std::atomic<bool> done{false};
  std::atomic<int> num_scans{0};
  const auto put_pair = [&](int number) {
    StoredRecord pair[2] = {made_record("pair 1"), made_record("pair 2")};
    for (StoredRecord& stored : pair) stored.record.popularity = number;
    bank_->put(pair);
  };
  put_pair(0);
  std::vector<std::thread> readers;
  readers.reserve(3);
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      const auto reader = open_bank(path(), OpenMode::kReadOnly);
      while (!done) {
        std::vector<double> seen;
        reader->for_each([&](const Record& record) {
          if (record.id.starts_with("pair")) seen.push_back(*record.popularity);
          return true;
        });
        ASSERT_EQ(seen.size(), 2U);
        ASSERT_EQ(seen[0], seen[1]);
        const auto table = reader->table();
        ASSERT_EQ(table->popularity(*table->row_of("pair 1")),
                  table->popularity(*table->row_of("pair 2")));
        ++num_scans;
      }
    });
  }
  for (int i = 1; i <= 12 || num_scans < 20; ++i) {
    put_pair(i);
    if (i % 5 == 0) bank_->compact();
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
}

class DamagedUpkeep : public BankUpkeep {
 protected:
  /// Changes a value behind the bank's back.
  void overwrite(Database database, const std::string& id, const std::string& value) {
    bank_.reset();
    {
      const SharedEnvironment environment(path() / "records");
      Transaction transaction(environment.get(), Transaction::Kind::kWrite);
      transaction.put(database, id, value);
      transaction.commit();
    }
    bank_ = open_bank(path(), OpenMode::kReadWrite);
  }
};

TEST_F(DamagedUpkeep, RepairSaysWhatItFoundAndDid) {
  EXPECT_TRUE(bank_->repair().empty()) << "of a sound bank";
  overwrite(Database::kRecords, id_of(3), "nonsense that is no record");
  overwrite(Database::kThumbnails, id_of(4), "nonsense that is no thumbnail");
  overwrite(Database::kFeatures, id_of(5), "nonsense that are no features");
  overwrite(Database::kHistories, id_of(1), "nonsense that are no counts");
  overwrite(Database::kFeatures, "orphan",
            encode_features("orphan", made_record("orphan").features));
  EXPECT_EQ(bank_->verify().size(), 6U) << "the fifth: the counts of tokens, sixth: of labels";
  const std::vector<Repair> repairs = bank_->repair();
  std::vector<std::string> lines;
  lines.reserve(repairs.size());
  for (const Repair& repair : repairs) lines.push_back(repair.id + ": " + repair.done);
  EXPECT_THAT(lines,
              ::testing::IsSupersetOf({id_of(3) + ": the record was removed; ingest it again",
                                       id_of(5) + ": the record was removed; ingest it again",
                                       id_of(4) + ": the thumbnails were removed",
                                       id_of(1) + ": the counts were removed"}));
  for (const Problem& problem : bank_->verify()) ADD_FAILURE() << problem.id << problem.what;
  EXPECT_EQ(bank_->info().num_records, kNumRecords - 2);
  EXPECT_TRUE(bank_->find(id_of(4)).has_value());
  EXPECT_TRUE(bank_->repair().empty()) << "again";
}

TEST_F(DamagedUpkeep, RepairMakesADamagedDerivedFileAnew) {
  const fs::path vectors = path() / "derived" / "vectors.bin";
  std::string bytes = read_file(vectors);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x10);
  write_file_atomically(vectors, bytes);
  const std::vector<Repair> repairs = bank_->repair();
  ASSERT_EQ(repairs.size(), 1U);
  EXPECT_THAT(repairs[0].found, HasSubstr("vectors.bin"));
  EXPECT_TRUE(bank_->verify().empty());
}

}  // namespace
}  // namespace mmra::bank
