#include "mmra/bank/manifest_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "expect_error.h"
#include "made_records.h"
#include "mmra/bank/csv_reader.h"
#include "mmra/bank/manifest.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::RandomValues;
using testing::TemporaryDirectory;

TEST(ManifestWriter, QuotesWhatNeedsIt) {
  const TemporaryDirectory directory;
  ManifestWriter writer(directory / "m.csv", {"id", "a title"});
  writer.add_row({"1", "say \"hi\", twice\nor more"});
  writer.add_row({"", " "});
  writer.commit();
  EXPECT_EQ(read_file(directory / "m.csv"),
            "id,\"a title\"\n1,\"say \"\"hi\"\", twice\nor more\"\n,\" \"\n");
}

TEST(ManifestWriter, IsThereAfterCommitOnly) {
  const TemporaryDirectory directory;
  {
    ManifestWriter writer(directory / "m.csv", {"id"});
    writer.add_row({std::string(1 << 17, 'x')});
    EXPECT_FALSE(std::filesystem::exists(directory / "m.csv"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path())) << "not even a temporary file";
}

TEST(ManifestWriter, RefusesRowsOfAnotherWidth) {
  const TemporaryDirectory directory;
  ManifestWriter writer(directory / "m.csv", {"id", "title"});
  expect_error(ErrorKind::kInternal, "a CSV row of 1 fields, expected 2",
               [&] { writer.add_row({"1"}); });
}

TEST(ToText, NumbersAreReadBackBitByBit) {
  EXPECT_EQ(to_text(12.0), "12");
  EXPECT_EQ(to_text(-3.0), "-3");
  EXPECT_EQ(to_text(0.1), "0.1");
  EXPECT_EQ(to_text(999999999999999.0), "999999999999999");
  RandomValues random(4);
  for (int round = 0; round < 20000; ++round) {
    const double number = random.number();
    const auto read = parse_number(to_text(number));
    ASSERT_TRUE(read.has_value()) << to_text(number);
    // Both zeros are one number.
    EXPECT_EQ(std::bit_cast<std::uint64_t>(*read + 0.0), std::bit_cast<std::uint64_t>(number + 0.0))
        << to_text(number);
  }
  for (const double number : {std::numeric_limits<double>::max(), 1e15, 1e15 - 1, 1e15 + 2,
                              std::numeric_limits<double>::min(), 5e-324}) {
    EXPECT_EQ(parse_number(to_text(number)), number);
    EXPECT_EQ(parse_number(to_text(-number)), -number);
  }
}

TEST(ToText, TimesAreReadBack) {
  EXPECT_EQ(to_text(Timestamp{1720949400000}), "2024-07-14T09:30:00Z");
  for (const std::int64_t ms :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1}, std::int64_t{999},
        std::int64_t{-62167219200000}, std::int64_t{-62167219200001}, std::int64_t{253402300799999},
        std::int64_t{253402300800000}, std::int64_t{253402300800007},
        std::int64_t{999'999'999'999'999}, std::int64_t{-999'999'999'999'999}}) {
    EXPECT_EQ(parse_timestamp(to_text(Timestamp{ms})), Timestamp{ms}) << to_text(Timestamp{ms});
  }
}

/// The columns that records have between them, as a bank's schema would say. A column with values
/// of both types is a category; the numbers in it are dropped from the records.
ColumnTypes columns_of(std::vector<Record>& records) {
  ColumnTypes columns;
  for (const Record& record : records) {
    for (const auto& [name, value] : record.context) {
      const auto type =
          std::holds_alternative<double>(value) ? ColumnType::kNumber : ColumnType::kCategory;
      columns.emplace(name, type);
    }
  }
  for (Record& record : records) {
    std::erase_if(record.context, [&](const auto& entry) {
      const bool is_number = std::holds_alternative<double>(entry.second);
      return is_number != (columns.at(entry.first) == ColumnType::kNumber);
    });
  }
  return columns;
}

Record to_record(const ManifestRow& row) {
  Record record;
  record.id = row.id;
  record.title = row.title;
  record.popularity = row.popularity;
  record.posted_at = row.posted_at;
  record.split = row.split.value();
  record.context = row.context;
  record.video_path = row.video_path;
  return record;
}

/// What a manifest does not hold.
Record without_the_rest(Record record) {
  record.captions.clear();
  record.thumbnails.clear();
  record.row_fingerprint.clear();
  record.video_fingerprint.clear();
  record.video_size_bytes = record.video_mtime_ns = 0;
  for (auto& [name, value] : record.context) {
    // There is one zero in a manifest.
    if (auto* number = std::get_if<double>(&value)) *number += 0.0;
  }
  return record;
}

// What RecordWriter writes, read_manifest() reads back exactly.
TEST(RecordWriter, IsReadBackExactly) {
  RandomValues random(5);
  const TemporaryDirectory directory;
  for (int round = 0; round < 60; ++round) {
    std::vector<Record> records;
    for (std::size_t i = random.below(8) + 1; i > 0; --i) records.push_back(random.record());
    const ColumnTypes columns = columns_of(records);
    std::vector<std::string> names;
    for (const auto& column : columns) names.push_back(column.first);
    RecordWriter writer(directory / "m.csv", names);
    for (const Record& record : records) writer.add(record);
    writer.commit();

    std::vector<Record> read;
    const auto keep = [&](const ManifestRow& row) {
      read.push_back(to_record(row));
      return true;
    };
    read_manifest(directory / "m.csv", keep, {columns, true});
    ASSERT_EQ(read.size(), records.size());
    for (std::size_t i = 0; i < read.size(); ++i) {
      testing::expect_same(read[i], without_the_rest(records[i]));
    }
    if (HasFailure()) return;
  }
}

TEST(RecordWriter, LeavesCellsEmptyForWhatIsNotKnown) {
  const TemporaryDirectory directory;
  RecordWriter writer(directory / "m.csv", {"n"});
  Record record;
  record.id = "1";
  writer.add(record);
  writer.commit();
  EXPECT_EQ(read_file(directory / "m.csv"),
            "id,title,popularity,posted_at,split,video,n\n1,,,,train,,\n");
}

}  // namespace
}  // namespace mmra::bank
