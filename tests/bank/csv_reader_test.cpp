#include "mmra/bank/csv_reader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "expect_error.h"
#include "made_records.h"
#include "mmra/core/files.h"
#include "test_files.h"
#include "text_source.h"

namespace mmra::bank {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::RandomValues;
using testing::TemporaryDirectory;
using testing::text_source;

std::vector<CsvRow> rows_of(const std::string& text, std::size_t piece_bytes = 1 << 16) {
  TextInput input(text_source(text, piece_bytes), "m.csv");
  CsvReader reader(input);
  std::vector<CsvRow> rows;
  while (auto row = reader.next()) rows.push_back(std::move(*row));
  return rows;
}

std::vector<std::vector<std::string>> fields_of(const std::string& text) {
  std::vector<std::vector<std::string>> fields;
  for (CsvRow& row : rows_of(text)) fields.push_back(std::move(row.fields));
  return fields;
}

TEST(CsvReader, EndsRecordsAtLfCrlfAndCr) {
  for (const char* end : {"\n", "\r\n", "\r"}) {
    const std::string text = std::string("a,b") + end + "c,d" + end;
    EXPECT_THAT(fields_of(text), ElementsAre(ElementsAre("a", "b"), ElementsAre("c", "d")));
  }
  EXPECT_THAT(fields_of("a,b"), ElementsAre(ElementsAre("a", "b"))) << "no line break at the end";
  EXPECT_THAT(fields_of(""), ElementsAre());
}

TEST(CsvReader, KeepsCommasQuotesAndLineBreaksInsideQuotes) {
  EXPECT_THAT(fields_of("\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\r\nthree\"\n"),
              ElementsAre(ElementsAre("a,b", "say \"hi\"", "two\nlines\r\nthree")));
  EXPECT_THAT(fields_of("\"\"\"\",\"\",\n"), ElementsAre(ElementsAre("\"", "", "")));
}

TEST(CsvReader, KeepsBlanksAroundFields) {
  EXPECT_THAT(fields_of(" a , b\t\n"), ElementsAre(ElementsAre(" a ", " b\t")));
}

TEST(CsvReader, DropsAByteOrderMarkAtTheStartOnly) {
  EXPECT_THAT(fields_of("\xEF\xBB\xBF"
                        "a,\xEF\xBB\xBF"
                        "b\n"),
              ElementsAre(ElementsAre("a",
                                      "\xEF\xBB\xBF"
                                      "b")));
  EXPECT_THAT(fields_of("\xEF\xBB\xBF"), ElementsAre());
}

TEST(CsvReader, RefusesUtf16) {
  for (const std::string& mark : {std::string("\xFF\xFE", 2), std::string("\xFE\xFF", 2)}) {
    expect_error(ErrorKind::kInvalidInput, "m.csv, line 1: the file is UTF-16",
                 [&] { (void)rows_of(mark + "a"); });
  }
}

TEST(CsvReader, CountsLinesAcrossQuotedLineBreaksAndBlankLines) {
  const auto rows = rows_of("a,b\r\n\r\n\"x\ny\",\"z\n\"\nlast,\"q\r\rr\",s\nend\n");
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[0].line, 1);
  EXPECT_EQ(rows[1].line, 3);
  EXPECT_THAT(rows[1].field_lines, ElementsAre(3, 4));
  EXPECT_EQ(rows[2].line, 6);
  EXPECT_THAT(rows[2].field_lines, ElementsAre(6, 6, 8));
  EXPECT_EQ(rows[3].line, 9);
}

TEST(CsvReader, NamesLineAndColumnOfAStrayQuote) {
  expect_error(ErrorKind::kInvalidInput, "m.csv, line 2, column 2: a quote inside a field",
               [] { (void)rows_of("a,b\nc,d\"e\n"); });
  expect_error(ErrorKind::kInvalidInput, "line 3, column 1: a quote inside a field",
               [] { (void)rows_of("a,\"b\n\"\n\"c\"d,e\n"); });
}

TEST(CsvReader, NamesWhereAnUnclosedQuoteOpened) {
  expect_error(ErrorKind::kInvalidInput, "m.csv, line 3, column 2: a quote opens here",
               [] { (void)rows_of("a,b\nc,d\ne,\"f\ng,h\ni,j\n"); });
}

TEST(CsvReader, ReadsATitleOfAMegabyte) {
  const std::string title(1 << 20, 't');
  EXPECT_THAT(fields_of("1," + title + ",2\n"), ElementsAre(ElementsAre("1", title, "2")));
}

TEST(CsvReader, RefusesAFieldBeyondTheLimitAndNamesWhereItBegan) {
  const std::string text = "a,b\nc,\"" + std::string(kMaxFieldBytes + 100000, '\n');
  expect_error(ErrorKind::kInvalidInput, "line 2, column 2: a field of more than 16 MiB",
               [&] { (void)rows_of(text); });
}

// The pieces in which a pipe gives its bytes must not matter.
TEST(CsvReader, GivesTheSameRowsInPiecesOfAnySize) {
  RandomValues random(1);
  for (int round = 0; round < 200; ++round) {
    const std::string text = random.text(40) + "\n" + random.text(40);
    const auto outcome = [&](std::size_t piece_bytes) {
      std::string all;
      try {
        for (const CsvRow& row : rows_of(text, piece_bytes)) {
          all += "row " + std::to_string(row.line);
          for (std::size_t i = 0; i < row.fields.size(); ++i) {
            all += " [" + row.fields[i] + "]@" + std::to_string(row.field_lines.at(i));
          }
        }
      } catch (const Error& error) {
        all = error.what();
      }
      return all;
    };
    const std::string whole = outcome(1 << 16);
    for (const std::size_t piece_bytes : {1, 2, 3, 7}) {
      ASSERT_EQ(outcome(piece_bytes), whole) << ::testing::PrintToString(text);
    }
  }
}

TEST(DescriptorSource, NamesTheFileThatCannotBeRead) {
  char buffer[8];
  expect_error(ErrorKind::kIo, "cannot read my file",
               [&] { (void)descriptor_source(-1, "my file")(buffer); });
}

TEST(DescriptorSource, ReadsAPipeToItsEnd) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ASSERT_EQ(::write(ends[1], "a,b", 3), 3);
  ::close(ends[1]);
  TextInput input(descriptor_source(ends[0], "pipe"), "pipe");
  EXPECT_EQ(input.peek(), "a,b");
  input.consume(3);
  EXPECT_EQ(input.peek(), "");
  ::close(ends[0]);
}

TEST(ReadCsv, VisitsTheHeaderTooAndNamesTheFile) {
  const TemporaryDirectory directory;
  write_file_atomically(directory / "x.csv", "h,i\n1,2\n");
  std::vector<std::vector<std::string>> rows;
  read_csv(directory / "x.csv", [&](const CsvRow& row) { rows.push_back(row.fields); });
  EXPECT_THAT(rows, ElementsAre(ElementsAre("h", "i"), ElementsAre("1", "2")));
  write_file_atomically(directory / "x.csv", "h,\"i\n");
  expect_error(ErrorKind::kInvalidInput, (directory / "x.csv").string() + ", line 1, column 2",
               [&] { read_csv(directory / "x.csv", [](const CsvRow&) {}); });
}

}  // namespace
}  // namespace mmra::bank
