#include "mmra/retrieval/index/segment_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::retrieval {
namespace {

using mmra::testing::TemporaryDirectory;
using ::testing::ElementsAre;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAreArray;

/// As whoever makes a segment does.
std::string write_new(SegmentFiles& files) {
  std::string name = files.new_name();
  write_file_atomically(files.path_of(name), "a segment");
  return name;
}

TEST(SegmentFiles, AreReplacedInTheListAsItIsThen) {
  const TemporaryDirectory bank;
  write_segment_list(bank.path(), {"HNSW32", {"a.bin", "b.bin", "c.bin"}});
  SegmentFiles files(bank.path());
  write_file_atomically(files.path_of("a.bin"), "a");
  write_file_atomically(files.path_of("b.bin"), "b");
  const std::vector<std::string> first = {write_new(files)};
  const std::vector<std::string> second = {write_new(files)};
  // Both looked at the list before either committed.
  EXPECT_THAT(files.commit("HNSW32", std::vector<std::string>{"a.bin"}, first).files,
              ElementsAre("b.bin", "c.bin", first.at(0)));
  EXPECT_TRUE(std::filesystem::exists(files.path_of(second.at(0))))
      << "another's, that is not committed yet";
  EXPECT_FALSE(std::filesystem::exists(files.path_of("a.bin")));
  files.commit("HNSW32", std::vector<std::string>{"c.bin", "a.bin"}, second);
  EXPECT_THAT(read_segment_list(bank.path())->files,
              ElementsAre("b.bin", first.at(0), second.at(0)));
  EXPECT_TRUE(std::filesystem::exists(files.path_of("b.bin")));
}

TEST(SegmentFiles, ThatWereGivenUpGoWithTheNextCommit) {
  const TemporaryDirectory bank;
  make_directories(index_directory(bank.path()));
  SegmentFiles files(bank.path());
  const std::string given_up = write_new(files);
  files.commit("HNSW32", {}, {});
  EXPECT_TRUE(std::filesystem::exists(files.path_of(given_up)));
  files.release(std::vector<std::string>{given_up});
  files.commit("HNSW32", {}, {});
  EXPECT_FALSE(std::filesystem::exists(files.path_of(given_up)));
}

TEST(SegmentFiles, AreLeftAloneWhileTheyAreWritten) {
  const TemporaryDirectory bank;
  SegmentFiles files(bank.path());
  make_directories(index_directory(bank.path()));
  const std::string name = files.new_name();
  AtomicFile half(files.path_of(name));
  half.write("half of ");
  files.commit("HNSW32", {}, std::vector<std::string>{write_new(files)});
  half.write("a segment");
  half.commit();
  EXPECT_EQ(read_file(files.path_of(name)), "half of a segment");
}

TEST(SegmentFiles, OfAListThatCannotBeReadAreThoseThatWereAdded) {
  const TemporaryDirectory bank;
  make_directories(index_directory(bank.path()));
  write_file_atomically(index_directory(bank.path()) / "segments.json", "{\"version\":");
  SegmentFiles files(bank.path());
  const std::vector<std::string> added = {write_new(files)};
  files.commit("IVF8,Flat", {}, added);
  EXPECT_EQ(read_segment_list(bank.path())->spec, "IVF8,Flat");
  EXPECT_THAT(read_segment_list(bank.path())->files, ElementsAre(added.at(0)));
}

TEST(SegmentFiles, OfManyThreadsAreAllThere) {
  constexpr int kThreads = 4;
  constexpr int kCommits = 25;
  const TemporaryDirectory bank;
  make_directories(index_directory(bank.path()));
  SegmentFiles files(bank.path());
  std::vector<std::vector<std::string>> names(kThreads);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&files, &mine = names[static_cast<std::size_t>(t)]] {
        for (int i = 0; i < kCommits; ++i) {
          const std::vector<std::string> added = {write_new(files)};
          // Each third replaces the one before.
          std::vector<std::string> removed;
          if (i % 3 == 2) {
            removed = {mine.back()};
            mine.pop_back();
          }
          files.commit("HNSW32", removed, added);
          files.release(added);
          mine.push_back(added.at(0));
        }
      });
    }
  }
  std::vector<std::string> all;
  for (const auto& mine : names) all.insert(all.end(), mine.begin(), mine.end());
  EXPECT_THAT(all, SizeIs(kThreads * (kCommits - kCommits / 3)));
  EXPECT_THAT(read_segment_list(bank.path())->files, UnorderedElementsAreArray(all));
  for (const std::string& name : all) {
    EXPECT_TRUE(std::filesystem::exists(files.path_of(name))) << name;
  }
  EXPECT_EQ(files.bytes_of({"HNSW32", all}), static_cast<std::int64_t>(9 * all.size()));
}

}  // namespace
}  // namespace mmra::retrieval
