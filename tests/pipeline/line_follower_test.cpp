#include "mmra/pipeline/line_follower.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "expect_error.h"
#include "mmra/core/error.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;

class LineFollowerOfAFile : public ::testing::Test {
 protected:
  void append(const std::string& text) const {
    std::ofstream(file(), std::ios::app | std::ios::binary) << text;
  }
  [[nodiscard]] std::filesystem::path file() const { return directory_ / "rows.jsonl"; }

  TemporaryDirectory directory_;
  std::stop_source stop_;
};

TEST_F(LineFollowerOfAFile, GivesLinesWhenTheyAreWhole) {
  append("one\n\ntw");
  LineFollower lines(file(), stop_.get_token());
  EXPECT_EQ(lines.next(), "one");
  EXPECT_EQ(lines.line(), 1);
  EXPECT_EQ(lines.next(), "");
  std::jthread writer([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    append("o\nthree\n");
  });
  EXPECT_EQ(lines.next(), "two");
  EXPECT_EQ(lines.next(), "three");
  EXPECT_EQ(lines.line(), 4);
  EXPECT_EQ(lines.folder(), std::filesystem::absolute(file()).parent_path());
}

TEST_F(LineFollowerOfAFile, AStopEndsTheWaiting) {
  append("half a line");
  LineFollower lines(file(), stop_.get_token());
  std::jthread stopper([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stop_.request_stop();
  });
  EXPECT_EQ(lines.next(), std::nullopt);
}

TEST_F(LineFollowerOfAFile, ReadsLinesLongerThanItsBuffer) {
  const std::string long_line(200'000, 'x');
  append(long_line + "\n" + long_line + "y\n");
  LineFollower lines(file(), stop_.get_token());
  EXPECT_EQ(lines.next(), long_line);
  EXPECT_EQ(lines.next(), long_line + "y");
}

TEST_F(LineFollowerOfAFile, SaysWhenTheFileIsCutOrReplaced) {
  append("one\ntwo\n");
  LineFollower cut(file(), stop_.get_token());
  LineFollower replaced(file(), stop_.get_token());
  for (LineFollower* lines : {&cut, &replaced}) {
    EXPECT_EQ(lines->next(), "one");
    EXPECT_EQ(lines->next(), "two");
  }
  std::filesystem::resize_file(file(), 4);
  expect_error(ErrorKind::kInvalidInput, "has become shorter (4 bytes, 8 were read)",
               [&] { (void)cut.next(); });
  std::filesystem::rename(file(), directory_ / "old.jsonl");
  append("three\n");
  expect_error(ErrorKind::kInvalidInput, "was removed or replaced", [&] { (void)replaced.next(); });
}

TEST_F(LineFollowerOfAFile, RefusesWhatCannotBeRead) {
  expect_error(ErrorKind::kNotFound, "rows.jsonl",
               [&] { LineFollower(file(), stop_.get_token()); });
  expect_error(ErrorKind::kInvalidInput, "is a directory",
               [&] { LineFollower(directory_.path(), stop_.get_token()); });
  append(std::string((std::size_t{16} << 20) + 100'000, 'x'));
  LineFollower lines(file(), stop_.get_token());
  expect_error(ErrorKind::kInvalidInput, "line 1: more than 16 MiB", [&] { (void)lines.next(); });
}

}  // namespace
}  // namespace mmra::pipeline::testing
