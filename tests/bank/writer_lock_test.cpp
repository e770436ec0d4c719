#include "mmra/bank/writer_lock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using testing::expect_error;
using testing::TemporaryDirectory;

TEST(WriterLock, ASecondOneNamesTheProcessThatHoldsIt) {
  const TemporaryDirectory directory;
  std::optional<WriterLock> lock(directory.path());
  expect_error(ErrorKind::kIo,
               "the memory bank " + directory.path().string() + " is being written by process " +
                   std::to_string(::getpid()) + "; wait until it is done, or stop it",
               [&] { WriterLock second(directory.path()); });
  lock.reset();
  WriterLock third(directory.path());
}

TEST(WriterLock, SaysAnotherProcessWhereItsNumberIsNotThere) {
  const TemporaryDirectory directory;
  const WriterLock lock(directory.path());
  std::filesystem::resize_file(directory / "writer.lock", 0);
  expect_error(ErrorKind::kIo, "by another process", [&] { WriterLock second(directory.path()); });
}

TEST(WriterLock, AFileOfADeadWriterIsInNobodysWay) {
  const TemporaryDirectory directory;
  write_file_atomically(directory / "writer.lock", "123456789012345678901234567890");
  const WriterLock lock(directory.path());
  EXPECT_EQ(read_file(directory / "writer.lock"), std::to_string(::getpid()));
}

TEST(WriterLock, NamesTheDirectoryThatIsNotThere) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::kNotFound, (directory / "none").string(),
               [&] { WriterLock lock(directory / "none"); });
}

}  // namespace
}  // namespace mmra::bank
