#include "mmra/core/files.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "expect_error.h"
#include "resident_bytes.h"
#include "test_files.h"

namespace mmra {
namespace {

using testing::expect_error;
using testing::resident_bytes;
using testing::TemporaryDirectory;

std::size_t count_files(const std::filesystem::path& directory) {
  const std::filesystem::directory_iterator files(directory);
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

TEST(AtomicFile, IsThereOnlyAfterCommit) {
  const TemporaryDirectory directory;
  {
    AtomicFile file(directory / "a.txt");
    file.write("hello");
    EXPECT_FALSE(std::filesystem::exists(directory / "a.txt"));
    file.commit();
  }
  EXPECT_EQ(read_file(directory / "a.txt"), "hello");
  EXPECT_EQ(count_files(directory.path()), 1U);
}

TEST(AtomicFile, LeavesTheOldFileWhereItIsNotCommitted) {
  const TemporaryDirectory directory;
  write_file_atomically(directory / "a.txt", "old");
  {
    AtomicFile file(directory / "a.txt");
    file.write("new");
  }
  EXPECT_EQ(read_file(directory / "a.txt"), "old");
  EXPECT_EQ(count_files(directory.path()), 1U);
}

TEST(AtomicFile, NamesTheFileWhereItsDirectoryIsMissing) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::kNotFound, "no/where.txt",
               [&] { write_file_atomically(directory / "no" / "where.txt", "x"); });
}

TEST(AtomicFile, AFullDiskIsOneLineAndLeavesTheOldFile) {
  const TemporaryDirectory directory;
  write_file_atomically(directory / "a.txt", "old");
  // A limit on the size of files stands in for the full disk: write() fails in the middle.
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int status = 2;
    try {
      write_file_atomically(directory / "a.txt", std::string(1 << 20, 'x'));
    } catch (const Error& error) {
      status = error.kind() == ErrorKind::kIo ? 0 : 3;
    }
    ::_exit(status);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(read_file(directory / "a.txt"), "old");
  EXPECT_EQ(count_files(directory.path()), 1U) << "a temporary file was left";
}

TEST(ReadFile, SaysWhatIsWrong) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::kNotFound, "none.txt", [&] { (void)read_file(directory / "none.txt"); });
  expect_error(ErrorKind::kInvalidInput, "is a directory",
               [&] { (void)read_file(directory.path()); });
}

TEST(CopyDirectory, CopiesAllOfItAndReplacesWhatIsThere) {
  const TemporaryDirectory directory;
  std::filesystem::create_directories(directory / "from/below");
  write_file_atomically(directory / "from/a", "first");
  write_file_atomically(directory / "from/below/b", "");
  std::filesystem::create_directories(directory / "to");
  write_file_atomically(directory / "to/a", "old and longer");
  copy_directory(directory / "from", directory / "to");
  EXPECT_EQ(read_file(directory / "to/a"), "first");
  EXPECT_EQ(read_file(directory / "to/below/b"), "");
  expect_error(ErrorKind::kNotFound, {"missing"},
               [&] { copy_directory(directory / "missing", directory / "other"); });
  EXPECT_FALSE(std::filesystem::exists(directory / "other"));
}

TEST(MappedFile, HoldsTheBytesAndMoves) {
  const TemporaryDirectory directory;
  write_file_atomically(directory / "a.bin", "abc");
  MappedFile first(directory / "a.bin");
  const MappedFile second(std::move(first));
  ASSERT_EQ(second.bytes().size(), 3U);
  EXPECT_EQ(static_cast<char>(second.bytes()[1]), 'b');
  write_file_atomically(directory / "empty", "");
  EXPECT_TRUE(MappedFile(directory / "empty").bytes().empty());
  expect_error(ErrorKind::kNotFound, "none", [&] { const MappedFile file(directory / "none"); });
  expect_error(ErrorKind::kInvalidInput, "directory",
               [&] { const MappedFile file(directory.path()); });
}

TEST(MappedFile, GivesBackTheMemoryOfAPart) {
  const TemporaryDirectory directory;
  const std::string bytes(1 << 20, 'x');
  write_file_atomically(directory / "a.bin", bytes);
  const MappedFile file(directory / "a.bin");
  const auto as_text = [&] {
    return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  };
  ASSERT_EQ(as_text(), bytes);
  ASSERT_EQ(resident_bytes(directory / "a.bin"), bytes.size());
  // From the middle of a page to the middle of another: both stay.
  file.release(file.bytes().subspan(100, bytes.size() - 200));
  EXPECT_EQ(resident_bytes(directory / "a.bin"),
            2 * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
  EXPECT_EQ(as_text(), bytes);
  file.release({});
}

}  // namespace
}  // namespace mmra
