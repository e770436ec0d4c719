#include "mmra/core/fingerprint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

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

TEST(RunningChecksum, OfPiecesIsThatOfTheWhole) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>('a' + i * i % 23);
  const auto bytes = std::as_bytes(std::span(text));
  EXPECT_EQ(RunningChecksum().value(), checksum64(std::string_view("")));
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{255}, bytes.size()}) {
    RunningChecksum checksum;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      checksum.add(bytes.subspan(at, std::min(piece, bytes.size() - at)));
    }
    EXPECT_EQ(checksum.value(), checksum64(bytes)) << piece;
    checksum.add({});
    EXPECT_EQ(checksum.value(), checksum64(bytes)) << "nothing more changes nothing";
  }
}

TEST(RunningChecksum, ACopyGoesOnByItself) {
  const auto bytes_of = [](std::string_view text) { return std::as_bytes(std::span(text)); };
  RunningChecksum first;
  first.add(bytes_of("ab"));
  RunningChecksum second = first;
  second.add(bytes_of("cd"));
  EXPECT_EQ(first.value(), checksum64(std::string_view("ab")));
  EXPECT_EQ(second.value(), checksum64(std::string_view("abcd")));
  first = second;
  first.add(bytes_of("e"));
  EXPECT_EQ(first.value(), checksum64(std::string_view("abcde")));
  EXPECT_EQ(second.value(), checksum64(std::string_view("abcd")));
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
