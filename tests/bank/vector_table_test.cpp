#include "mmra/bank/vector_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "expect_error.h"
#include "made_records.h"
#include "mmra/core/files.h"
#include "mmra/core/fingerprint.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using ::testing::ElementsAreArray;
using testing::expect_error;
using testing::made_record;
using testing::TemporaryDirectory;

constexpr CommitStamp kStamp{7, 0x1234567890ABCDEF};
constexpr int kDim = 4;

/// Without the sync to disk of write_file_atomically(), which thousands of cases would wait for.
void overwrite(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
}

class VectorTableFile : public ::testing::Test {
 protected:
  VectorTableFile() {
    // Ascending ids of several lengths; not everything is known of every record.
    for (const char* id : {"a", "ab", "b", "long id with blanks", "日本"}) {
      records_.push_back(made_record(id));
    }
    records_[1].record.popularity.reset();
    records_[2].record.posted_at.reset();
    records_[3].record.popularity = 0.0;
    records_[3].record.posted_at = Timestamp{0};
    for (const StoredRecord& stored : records_) columns_.append(stored.record);
  }

  [[nodiscard]] ForEachVector vectors() const {
    return [this](const std::function<void(ByteView)>& visit) {
      for (const StoredRecord& stored : records_) {
        visit(std::as_bytes(std::span(stored.features.retrieval_vector)));
      }
    };
  }
  void write() const { write_vector_file(file(), kStamp, columns_, kDim, vectors()); }
  [[nodiscard]] std::filesystem::path file() const { return directory_ / "vectors.bin"; }
  [[nodiscard]] std::shared_ptr<const BankTable> map(CommitStamp stamp = kStamp) const {
    return map_vector_file(file(), stamp, fault_);
  }

  void expect_all(const BankTable& table) const {
    EXPECT_EQ(table.generation(), kStamp.generation);
    EXPECT_EQ(table.retrieval_dim(), kDim);
    ASSERT_EQ(table.num_rows(), records_.size());
    ASSERT_EQ(table.retrieval_vectors().size(), records_.size() * kDim);
    for (std::size_t row = 0; row < records_.size(); ++row) {
      const Record& record = records_[row].record;
      EXPECT_EQ(table.id(row), record.id);
      EXPECT_EQ(table.row_of(record.id), row);
      EXPECT_EQ(table.popularity(row), record.popularity);
      EXPECT_EQ(table.posted_at(row), record.posted_at);
      EXPECT_EQ(table.split(row), record.split);
      EXPECT_THAT(table.retrieval_vectors().subspan(row * kDim, kDim),
                  ElementsAreArray(records_[row].features.retrieval_vector));
    }
    for (const char* absent : {"", "0", "aa", "abc", "c", "日", "日本語", "~"}) {
      EXPECT_EQ(table.row_of(absent), std::nullopt) << absent;
    }
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(table.retrieval_vectors().data()) % 64, 0U);
  }

  void expect_all_but_vectors(const BankTable& table) const {
    ASSERT_EQ(table.num_rows(), records_.size());
    for (std::size_t row = 0; row < records_.size(); ++row) {
      EXPECT_EQ(table.popularity(row), records_[row].record.popularity);
      EXPECT_EQ(table.posted_at(row), records_[row].record.posted_at);
      EXPECT_EQ(table.history(row).timed.size(), row == 1 ? 2U : 0U);
    }
  }

  TemporaryDirectory directory_;
  std::vector<StoredRecord> records_;
  TableColumns columns_;
  mutable std::string fault_;
};

TEST_F(VectorTableFile, IsReadBackAsItWas) {
  write();
  const auto table = map();
  ASSERT_NE(table, nullptr) << fault_;
  EXPECT_EQ(fault_, "");
  expect_all(*table);
  EXPECT_TRUE(verify_vectors(*table));
}

TEST_F(VectorTableFile, WithCountsHasVersion2AndKeepsThem) {
  EXPECT_FALSE(has_histories(*make_vector_table(kStamp, columns_, kDim, vectors())));
  columns_ = {};
  const PopularityHistory history{std::nullopt, {{{-5}, 1.0}, {{7}, 2.0}}};
  for (std::size_t row = 0; row < records_.size(); ++row) {
    columns_.append(records_[row].record, row == 1 ? &history : nullptr);
  }
  write();
  EXPECT_EQ(read_file(file())[8], 2);
  const auto table = map();
  ASSERT_NE(table, nullptr) << fault_;
  expect_all(*table);
  EXPECT_TRUE(has_histories(*table));
  EXPECT_TRUE(verify_vectors(*table));
  EXPECT_EQ(table->history(1).untimed, std::nullopt);
  EXPECT_THAT(table->history(1).timed, ElementsAreArray(history.timed));
  EXPECT_EQ(table->label_known_at(1), Timestamp{7});
  EXPECT_EQ(table->popularity_as_of(1, Timestamp{7}), 1.0);
  EXPECT_EQ(table->history(3).untimed, 0.0);
  EXPECT_TRUE(table->history(3).timed.empty());
  EXPECT_EQ(table->label_known_at(3), std::nullopt);

  const std::string good = read_file(file());
  for (std::size_t size = 0; size < good.size(); ++size) {
    overwrite(file(), good.substr(0, size));
    ASSERT_EQ(map(), nullptr) << size;
    EXPECT_NE(fault_, "") << size;
  }
  std::size_t num_unnoticed = 0;
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x41);
    overwrite(file(), bytes);
    const auto changed = map();
    if (changed == nullptr) continue;
    expect_all_but_vectors(*changed);
    ++num_unnoticed;
  }
  // Padding, and the vectors, which verify_vectors() compares.
  EXPECT_LT(num_unnoticed, 700U);
}

TEST_F(VectorTableFile, IsTheSameInMemory) {
  const auto table = make_vector_table(kStamp, columns_, kDim, vectors());
  expect_all(*table);
  EXPECT_TRUE(verify_vectors(*table));
}

TEST_F(VectorTableFile, OfNoRecordsIsEmpty) {
  const ForEachVector none = [](const auto&) {};
  write_vector_file(file(), kStamp, {}, kDim, none);
  const auto table = map();
  ASSERT_NE(table, nullptr) << fault_;
  EXPECT_EQ(table->num_rows(), 0U);
  EXPECT_TRUE(table->retrieval_vectors().empty());
  EXPECT_EQ(table->row_of("a"), std::nullopt);
}

TEST_F(VectorTableFile, LivesOnWhenTheFileIsReplacedOrDeleted) {
  write();
  const auto table = map();
  write_file_atomically(file(), "something else");
  expect_all(*table);
  std::filesystem::remove(file());
  expect_all(*table);
}

TEST_F(VectorTableFile, OfAnotherCommitIsNotTaken) {
  write();
  EXPECT_EQ(map({kStamp.generation + 1, kStamp.commit_id}), nullptr);
  EXPECT_EQ(fault_, "") << "stale, not damaged";
  // A restored backup that counted to the same generation again.
  EXPECT_EQ(map({kStamp.generation, kStamp.commit_id + 1}), nullptr);
  EXPECT_EQ(fault_, "");
  std::filesystem::remove(file());
  EXPECT_EQ(map(), nullptr);
  EXPECT_EQ(fault_, "") << "absent, not damaged";
}

TEST_F(VectorTableFile, ThatIsCutOffIsDamagedWhereverTheCutIs) {
  write();
  const std::string good = read_file(file());
  for (std::size_t size = 0; size < good.size(); ++size) {
    overwrite(file(), good.substr(0, size));
    ASSERT_EQ(map(), nullptr) << size;
    EXPECT_NE(fault_, "") << size;
  }
  overwrite(file(), good + "x");
  EXPECT_EQ(map(), nullptr);
  EXPECT_NE(fault_, "");
}

// A change is noticed when the file is opened, or by verify_vectors() where it is in the vectors.
// Padding is never read.
TEST_F(VectorTableFile, NoticesEveryChangedByteThatIsEverRead) {
  write();
  const std::string good = read_file(file());
  int num_opened = 0;
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string damaged = good;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    overwrite(file(), damaged);
    if (const auto table = map()) {
      ++num_opened;
      if (verify_vectors(*table)) expect_all(*table);
    } else {
      const bool in_stamp = at >= 16 && at < 32;
      EXPECT_TRUE(fault_ != "" || in_stamp) << at;
    }
  }
  const int vector_bytes = static_cast<int>(records_.size()) * kDim * 4;
  EXPECT_GE(num_opened, vector_bytes);
  EXPECT_LE(num_opened, vector_bytes + 6 * 63) << "padding of six sections at most";
}

TEST_F(VectorTableFile, WithZerosForItsEndIsDamaged) {
  write();
  const std::string good = read_file(file());
  for (std::size_t size = 0; size < good.size(); size += 64) {
    overwrite(file(), good.substr(0, size) + std::string(good.size() - size, '\0'));
    EXPECT_EQ(map(), nullptr) << "the checksums are at the end";
    EXPECT_NE(fault_, "");
  }
}

TEST_F(VectorTableFile, OfANewerVersionIsMadeAgain) {
  write();
  std::string bytes = read_file(file());
  bytes[8] = 3;
  overwrite(file(), bytes);
  EXPECT_EQ(map(), nullptr);
  EXPECT_EQ(fault_, "it is of version 3");
  overwrite(file(), std::string(256, 'x'));
  EXPECT_EQ(map(), nullptr);
  EXPECT_EQ(fault_, "it does not begin with MMRAVEC");
}

// A checksum is no proof of origin: sizes that lie must not lead beyond the file.
TEST_F(VectorTableFile, HeadersThatLieUnderARightChecksumAreDamaged) {
  write();
  const std::string good = read_file(file());
  const auto with = [&](std::size_t at, std::uint64_t value, std::size_t size) {
    std::string bytes = good;
    std::memcpy(bytes.data() + at, &value, size);
    const std::uint64_t checksum = checksum64(std::string_view(bytes).substr(0, 56));
    std::memcpy(bytes.data() + 56, &checksum, sizeof checksum);
    overwrite(file(), bytes);
    return map();
  };
  for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{100}, std::uint64_t{1} << 40,
                                    std::uint64_t{1} << 62, ~std::uint64_t{0}}) {
    EXPECT_EQ(with(12, value, 4), nullptr) << "retrieval_dim " << value;
    EXPECT_NE(fault_, "");
    EXPECT_EQ(with(32, value, 8), nullptr) << "num_rows " << value;
    EXPECT_NE(fault_, "");
    EXPECT_EQ(with(48, value, 8), nullptr) << "file_bytes " << value;
    EXPECT_NE(fault_, "");
  }
  EXPECT_NE(with(32, records_.size(), 8), nullptr) << "the test itself";
}

TEST_F(VectorTableFile, VectorsOfAnotherSizeAreAFaultOfOurs) {
  expect_error(ErrorKind::kInternal, "a retrieval vector of 16 bytes, expected 20",
               [&] { write_vector_file(file(), kStamp, columns_, 5, vectors()); });
  EXPECT_FALSE(std::filesystem::exists(file()));
  const ForEachVector none = [](const auto&) {};
  expect_error(ErrorKind::kInternal, "fewer vectors than records",
               [&] { (void)make_vector_table(kStamp, columns_, kDim, none); });
  expect_error(ErrorKind::kInternal, "fewer vectors than records",
               [&] { write_vector_file(file(), kStamp, columns_, kDim, none); });
  EXPECT_FALSE(std::filesystem::exists(file()));
}

// The layout is described in docs/formats/bank.md.
TEST_F(VectorTableFile, LayoutOfVersion1) {
  write();
  const std::string bytes = read_file(file());
  EXPECT_EQ(bytes.substr(0, 8), std::string("MMRAVEC\0", 8));
  const auto number = [&](std::size_t at, std::size_t size) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data() + at, size);
    return value;
  };
  EXPECT_EQ(number(8, 4), 1U);
  EXPECT_EQ(number(12, 4), 4U);
  EXPECT_EQ(number(16, 8), kStamp.generation);
  EXPECT_EQ(number(24, 8), kStamp.commit_id);
  EXPECT_EQ(number(32, 8), 5U);
  EXPECT_EQ(number(40, 8), columns_.id_bytes.size());
  EXPECT_EQ(number(48, 8), bytes.size());
  // Header, id ends, ids, popularity, times, splits, vectors (80 bytes), footer.
  EXPECT_EQ(bytes.size(), 64U * (1 + 1 + 1 + 1 + 1 + 1 + 2 + 1));
  EXPECT_EQ(bytes.substr(128, 4), "aabb");
  EXPECT_EQ(number(bytes.size() - 64 + 8, 8), checksum64(columns_.id_bytes));
}

}  // namespace
}  // namespace mmra::bank
