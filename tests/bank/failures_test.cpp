#include "mmra/bank/failures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using testing::expect_error;
using testing::TemporaryDirectory;

TEST(Failures, AreReadBackAsTheyWere) {
  const TemporaryDirectory directory;
  const std::vector<IngestFailure> written{{"a\"b\n", 3, "/v/é.mp4", "no such file"},
                                           {"", 0, "", ""}};
  write_failures(directory / "f.jsonl", written);
  const auto read = read_failures(directory / "f.jsonl");
  ASSERT_EQ(read.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read[i].id, written[i].id);
    EXPECT_EQ(read[i].line, written[i].line);
    EXPECT_EQ(read[i].video, written[i].video);
    EXPECT_EQ(read[i].what, written[i].what);
  }
  const std::string text = read_file(directory / "f.jsonl");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << "one line each";
}

TEST(Failures, NoneReplaceAnEarlierList) {
  const TemporaryDirectory directory;
  write_failures(directory / "f.jsonl", std::vector<IngestFailure>{{"a", 1, "", "x"}});
  write_failures(directory / "f.jsonl", {});
  EXPECT_TRUE(read_failures(directory / "f.jsonl").empty());
  EXPECT_TRUE(std::filesystem::exists(directory / "f.jsonl"));
  EXPECT_TRUE(read_failures(directory / "never written").empty());
}

TEST(Failures, AFileNameThatIsNotUtf8IsWrittenAllTheSame) {
  const TemporaryDirectory directory;
  write_failures(directory / "f.jsonl", std::vector<IngestFailure>{{"a", 1, "/v/\xFF.mp4", "x"}});
  EXPECT_EQ(read_failures(directory / "f.jsonl").at(0).video, "/v/\xEF\xBF\xBD.mp4");
}

TEST(Failures, DamageNamesTheLine) {
  const TemporaryDirectory directory;
  const std::string good = R"({"id":"a","line":1,"video":"","what":"x"})"
                           "\n";
  for (const std::string& bad :
       {std::string("{\n"), std::string("[]\n"), std::string("\n"), std::string("\xFF\n"),
        std::string(R"({"id":"a","line":1,"video":""})"), std::string(R"({"id":1,"line":1})"),
        std::string(R"({"id":"a","line":"1","video":"","what":"x"})")}) {
    write_file_atomically(directory / "f.jsonl", good + bad);
    expect_error(ErrorKind::kCorruptData, "f.jsonl, line 2: expected an object with id, line, vid",
                 [&] { (void)read_failures(directory / "f.jsonl"); });
  }
}

TEST(Failures, ErrorsOfTheFileSystemAreOurs) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::kInvalidInput, "it is a directory",
               [&] { (void)read_failures(directory.path()); });
  expect_error(ErrorKind::kNotFound, "none", [&] { write_failures(directory / "none" / "f", {}); });
  std::filesystem::create_symlink("loop", directory / "loop");
  expect_error(ErrorKind::kIo, "loop", [&] { (void)read_failures(directory / "loop"); });
}

}  // namespace
}  // namespace mmra::bank
