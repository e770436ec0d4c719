#include "mmra/retrieval/index/segment_file.h"

#include <gtest/gtest.h>

#include <cstring>

#include "expect_error.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/fingerprint.h"
#include "test_files.h"

namespace mmra::retrieval {
namespace {

using mmra::testing::expect_error;

constexpr std::size_t kBegin = 64;  // what the headers of all versions begin with
constexpr std::size_t kHeader = 248;

SegmentHead made_head() {
  SegmentHead head;
  head.generation = 3;
  head.commit_id = 4;
  head.dim = 5;
  head.sample_recall = 0.5F;
  for (std::size_t rank = 0; rank < kNumRanks; ++rank) {
    for (std::size_t i = 0; i < kNumEfforts; ++i) {
      const auto width = static_cast<int>(10 * (rank + 1) + i);
      head.efforts[rank][i] = {width, width + 10};
    }
  }
  return head;
}

std::string written() {
  const testing::TemporaryDirectory directory;
  const auto file = directory.path() / "segment";
  SegmentColumns columns{{1, 2}, {7, SegmentColumns::kNoTime}, {1, 3}, {0, 1}, "abc"};
  write_segment_file(file, made_head(), columns, [](const ByteSink& sink) { sink("an index", 8); });
  return read_file(file);
}

SegmentContents parsed(const std::string& bytes) {
  return parse_segment(std::as_bytes(std::span(bytes)), "f");
}

void set(std::string& bytes, std::size_t at, std::uint64_t value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

/// The same as the first version had it: without efforts, of a width alone.
std::string of_version_1(const std::string& bytes) {
  std::string old = bytes.substr(0, kBegin) + std::string(16, '\0') + bytes.substr(kHeader);
  old[8] = 1;
  set(old, 64, checksum64(std::as_bytes(std::span(old)).subspan(80)));
  set(old, 72, checksum64(std::as_bytes(std::span(old)).first(72)));
  return old;
}

/// As the second had it: with the first of the three rows of efforts.
std::string of_version_2(const std::string& bytes) {
  constexpr std::size_t kEfforts = 56;
  std::string old =
      bytes.substr(0, kBegin + kEfforts) + std::string(16, '\0') + bytes.substr(kHeader);
  old[8] = 2;
  set(old, 120, checksum64(std::as_bytes(std::span(old)).subspan(136)));
  set(old, 128, checksum64(std::as_bytes(std::span(old)).first(128)));
  return old;
}

TEST(SegmentFile, IsReadAsItWasWritten) {
  const std::string bytes = written();
  const SegmentContents contents = parsed(bytes);
  EXPECT_EQ(contents.head.generation, 3U);
  EXPECT_EQ(contents.head.commit_id, 4U);
  EXPECT_EQ(contents.head.dim, 5U);
  EXPECT_EQ(contents.head.num_places, 2U);
  EXPECT_EQ(contents.head.sample_recall, 0.5F);
  EXPECT_EQ(contents.head.efforts.front().front().width, 10);
  EXPECT_EQ(contents.head.efforts.back().back().width, 36);
  EXPECT_EQ(contents.head.efforts.back().back().places, 46);
  EXPECT_EQ(contents.columns.id_bytes, "abc");
  EXPECT_EQ(std::memcmp(contents.index.data(), "an index", 8), 0);
}

TEST(SegmentFile, OfTheFirstVersionIsRead) {
  const std::string old = of_version_1(written());
  const SegmentContents contents = parsed(old);
  EXPECT_EQ(contents.head.commit_id, 4U);
  for (const FilteredEfforts& efforts : contents.head.efforts) {
    for (const SearchEffort& effort : efforts) {
      EXPECT_EQ(effort.width, 10);
      EXPECT_EQ(effort.places, 0) << "as many as the kind of index needs";
    }
  }
  EXPECT_EQ(contents.columns.id_bytes, "abc");
  EXPECT_EQ(contents.index.size(), 8U);
}

TEST(SegmentFile, OfTheSecondVersionIsRead) {
  const std::string old = of_version_2(written());
  const SegmentContents contents = parsed(old);
  for (const FilteredEfforts& efforts : contents.head.efforts) {
    EXPECT_EQ(efforts.front().width, 10) << "whatever share of the bank a segment has";
    EXPECT_EQ(efforts.back().width, 16);
    EXPECT_EQ(efforts.back().places, 26);
  }
  EXPECT_EQ(contents.columns.id_bytes, "abc");
  EXPECT_EQ(contents.index.size(), 8U);
}

TEST(SegmentFile, CutOffOrChangedAnywhereItIsDamaged) {
  for (const std::string& sound : {written(), of_version_1(written()), of_version_2(written())}) {
    for (std::size_t size = 0; size < sound.size(); ++size) {
      expect_error(ErrorKind::kCorruptData, "damaged",
                   [&] { static_cast<void>(parsed(sound.substr(0, size))); });
    }
    for (std::size_t at = 12; at < sound.size(); ++at) {  // behind the version
      std::string changed = sound;
      changed[at] = static_cast<char>(changed[at] ^ 4);
      expect_error(ErrorKind::kCorruptData, "damaged", [&] { static_cast<void>(parsed(changed)); });
    }
  }
}

TEST(SegmentFile, OfANewerVersionIsNotSupported) {
  std::string bytes = written();
  bytes[8] = 4;
  expect_error(ErrorKind::kUnsupported, "version 4", [&] { static_cast<void>(parsed(bytes)); });
}

}  // namespace
}  // namespace mmra::retrieval
