#include "mmra/bank/input_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using testing::expect_error;
using testing::TemporaryDirectory;

TEST(InputFile, GivesTheBytesOfAFileThatCanBeReadAgain) {
  const TemporaryDirectory directory;
  write_file_atomically(directory / "f", "hello");
  const InputFile file(directory / "f");
  EXPECT_TRUE(file.can_be_read_again());
  EXPECT_EQ(file.name(), (directory / "f").string());
  char buffer[16];
  const ByteSource source = file.source();
  ASSERT_EQ(source(buffer), 5U);
  EXPECT_EQ(std::string(buffer, 5), "hello");
  EXPECT_EQ(source(buffer), 0U);
}

TEST(InputFile, NamesWhatIsNotThereOrIsADirectory) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::kNotFound, (directory / "none").string(),
               [&] { InputFile file(directory / "none"); });
  expect_error(ErrorKind::kNotFound, "cannot read", [] { InputFile file(""); });
  expect_error(ErrorKind::kInvalidInput, "it is a directory",
               [&] { InputFile file(directory.path()); });
}

TEST(InputFile, StandardInputIsADashAndIsReadOnce) {
  const InputFile file("-");
  EXPECT_EQ(file.name(), "standard input");
  EXPECT_FALSE(file.can_be_read_again());
}

}  // namespace
}  // namespace mmra::bank
