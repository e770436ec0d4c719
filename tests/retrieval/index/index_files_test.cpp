#include "mmra/retrieval/index/index_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "expect_error.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::retrieval {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using ::testing::ElementsAre;

TEST(IndexFiles, AreReadAsTheyWereWritten) {
  const TemporaryDirectory bank;
  EXPECT_EQ(read_index_spec(bank.path()), std::nullopt);
  EXPECT_FALSE(read_segment_list(bank.path()));
  write_index_spec(bank.path(), "IVF1024,PQ64");
  write_segment_list(bank.path(), {"HNSW32", {"segment-a.bin", "segment-b.bin"}});
  EXPECT_EQ(read_index_spec(bank.path()), "IVF1024,PQ64");
  const auto list = read_segment_list(bank.path());
  ASSERT_TRUE(list);
  EXPECT_EQ(list->spec, "HNSW32");
  EXPECT_THAT(list->files, ElementsAre("segment-a.bin", "segment-b.bin"));
  write_index_spec(bank.path(), std::nullopt);
  write_index_spec(bank.path(), std::nullopt);
  EXPECT_EQ(read_index_spec(bank.path()), std::nullopt);
}

TEST(IndexFiles, OfAnotherVersionOrShapeAreRefused) {
  const TemporaryDirectory bank;
  write_file_atomically(bank.path() / "index.json", R"({"version":2,"index":"HNSW32"})");
  expect_error(ErrorKind::kUnsupported, "version 2",
               [&] { static_cast<void>(read_index_spec(bank.path())); });
  write_file_atomically(bank.path() / "index.json", R"({"version":1,"index":7})");
  expect_error(ErrorKind::kCorruptData, "index.json",
               [&] { static_cast<void>(read_index_spec(bank.path())); });
  for (const char* name : {"../../records/data.mdb", "", ".", "..", "a/b"}) {
    write_segment_list(bank.path(), {"HNSW32", {name}});
    expect_error(ErrorKind::kCorruptData, "not the name of a file",
                 [&] { static_cast<void>(read_segment_list(bank.path())); });
  }
}

TEST(IndexFiles, WhatIsNotInTheListGoes) {
  const TemporaryDirectory bank;
  write_segment_list(bank.path(), {"HNSW32", {"kept.bin"}});
  const auto directory = index_directory(bank.path());
  write_file_atomically(directory / "kept.bin", "a");
  write_file_atomically(directory / "old.bin", "b");
  write_file_atomically(directory / "half.bin.tmp.1", "c");
  remove_other_segments(bank.path(), *read_segment_list(bank.path()));
  EXPECT_TRUE(std::filesystem::exists(directory / "kept.bin"));
  EXPECT_TRUE(std::filesystem::exists(directory / "segments.json"));
  EXPECT_FALSE(std::filesystem::exists(directory / "old.bin"));
  EXPECT_FALSE(std::filesystem::exists(directory / "half.bin.tmp.1"));
}

}  // namespace
}  // namespace mmra::retrieval
