#include "mmra/hub/digest.h"

#include <gtest/gtest.h>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::hub {
namespace {

using testing::expect_error;
using testing::TemporaryDirectory;

// FIPS 180-4's example, and what `git hash-object` prints for "hello\n".
TEST(Digest, IsSha256AndGitsOwnSha1) {
  EXPECT_EQ(digest_of("abc").sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const FileDigest hello = digest_of("hello\n");
  EXPECT_EQ(hello.git_blob_sha1, "ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(hello.bytes, 6);
  EXPECT_EQ(digest_of("").git_blob_sha1, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

TEST(Digest, OfAFileIsThatOfItsBytes) {
  const TemporaryDirectory directory;
  const std::string bytes(3'000'000, 'm');
  write_file_atomically(directory / "f", bytes);
  const FileDigest in_memory = digest_of(bytes);
  const FileDigest of_file = digest_of_file(directory / "f");
  EXPECT_EQ(of_file.bytes, 3'000'000);
  EXPECT_EQ(of_file.sha256, in_memory.sha256);
  EXPECT_EQ(of_file.git_blob_sha1, in_memory.git_blob_sha1);
}

TEST(Digest, StopsAndNamesAMissingFile) {
  const TemporaryDirectory directory;
  write_file_atomically(directory / "f", "x");
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW((void)digest_of_file(directory / "f", stop.get_token()), Interrupted);
  expect_error(ErrorKind::kNotFound, "none", [&] { (void)digest_of_file(directory / "none"); });
}

TEST(Digest, KnowsHexadecimalDigits) {
  EXPECT_TRUE(is_hex("0123456789abcdef", 16));
  EXPECT_FALSE(is_hex("0123456789abcdef", 15));
  EXPECT_FALSE(is_hex("0123456789ABCDEF", 16));
  EXPECT_FALSE(is_hex("../../../etc/pas", 16));
}

}  // namespace
}  // namespace mmra::hub
