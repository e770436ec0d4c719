#include "mmra/core/fingerprint.h"

#include <gtest/gtest.h>

#include <string>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra {
namespace {

// The values of xxHash's own command line tool (xxhsum -H3, -H2): they must never change, files of
// ours depend on them.
TEST(Fingerprint, IsXxh3) {
  EXPECT_EQ(checksum64(std::string_view("")), 0x2d06800538d394c2ULL);
  EXPECT_EQ(fingerprint(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_NE(seeded_hash("a", 1), seeded_hash("a", 2));
  EXPECT_EQ(seeded_hash("a", 0), checksum64(std::string_view("a")));
}

TEST(Fingerprint, OfAFileEqualsThatOfItsBytes) {
  const testing::TemporaryDirectory directory;
  const std::string bytes(3'000'001, 'q');
  write_file_atomically(directory / "f", bytes);
  EXPECT_EQ(fingerprint_file(directory / "f"), fingerprint(bytes));
  testing::expect_error(ErrorKind::kNotFound, "none",
                        [&] { (void)fingerprint_file(directory / "none"); });
  testing::expect_error(ErrorKind::kIo, "directory",
                        [&] { (void)fingerprint_file(directory.path()); });
}

}  // namespace
}  // namespace mmra
