#include "mmra/pipeline/ingest_messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "expect_error.h"

namespace mmra::pipeline {
namespace {

using mmra::testing::expect_error;

IngestRow full_row() {
  IngestRow work;
  work.row_index = 6;
  work.row.line = 8;
  work.row.id = "a";
  work.row.title = "caf\xC3\xA9 \xFF";  // what is no UTF-8 must come through too
  work.row.has_popularity_column = true;
  work.row.popularity = 0.1;
  work.row.posted_at = Timestamp{-5};
  work.row.split = bank::Split::kTest;
  work.row.video_path = "/a.mp4";
  work.row.context = {{"creator", std::string("anna")}, {"followers", 3.0}};
  work.fault = "no";
  return work;
}

TEST(IngestMessages, RowsKeepAllTheyHave) {
  const std::string message = encode_rows({full_row(), IngestRow{}});
  EXPECT_EQ(kind_of(message), IngestMessage::kRows);
  const auto rows = decode_rows(message);
  ASSERT_EQ(rows.size(), 2U);
  const IngestRow expected = full_row();
  EXPECT_EQ(rows[0].row_index, 6);
  EXPECT_EQ(rows[0].fault, expected.fault);
  EXPECT_EQ(rows[0].row.line, 8);
  EXPECT_EQ(rows[0].row.id, "a");
  EXPECT_EQ(rows[0].row.title, expected.row.title);
  EXPECT_TRUE(rows[0].row.has_popularity_column);
  EXPECT_EQ(rows[0].row.popularity, 0.1);
  EXPECT_EQ(rows[0].row.posted_at->ms, -5);
  EXPECT_EQ(rows[0].row.split, bank::Split::kTest);
  EXPECT_EQ(rows[0].row.video_path, "/a.mp4");
  EXPECT_EQ(rows[0].row.context, expected.row.context);
  EXPECT_FALSE(rows[1].row.popularity);
  EXPECT_FALSE(rows[1].row.posted_at);
  EXPECT_FALSE(rows[1].row.split);
  EXPECT_FALSE(rows[1].fault);
}

TEST(IngestMessages, FinishedRowsKeepAllTheyHave) {
  FinishedRow added;
  added.row = {"a", 3, IngestOutcome::kAdded, {}, "truncated"};
  added.stored.record.id = "a";
  added.stored.record.title = "a boat";
  added.stored.record.thumbnails = {{1, 2, 3}, {4}};
  added.stored.features.visual_tokens = {2, 2, {1, 2, 3, 4}};
  added.stored.features.retrieval_vector = {0.6F, 0.8F};
  FinishedRow failed;
  failed.row = {"b", 4, IngestOutcome::kFailed, bank::IngestFailure{"b", 4, "b.mp4", "why"}, {}};
  const std::string message = encode_finished({added, failed});
  EXPECT_EQ(kind_of(message), IngestMessage::kFinished);
  const auto rows = decode_finished(message);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].row.outcome, IngestOutcome::kAdded);
  EXPECT_EQ(rows[0].row.line, 3);
  EXPECT_EQ(rows[0].row.warning, "truncated");
  EXPECT_EQ(rows[0].stored.record.title, "a boat");
  EXPECT_EQ(rows[0].stored.record.thumbnails, added.stored.record.thumbnails);
  EXPECT_EQ(rows[0].stored.features.visual_tokens.values,
            added.stored.features.visual_tokens.values);
  EXPECT_EQ(rows[0].stored.features.retrieval_vector, added.stored.features.retrieval_vector);
  EXPECT_EQ(rows[1].row.outcome, IngestOutcome::kFailed);
  EXPECT_EQ(rows[1].row.failure->video, "b.mp4");
  EXPECT_EQ(rows[1].row.failure->what, "why");
}

TEST(IngestMessages, TheSetupHasSchemaAndEncoders) {
  IngestSetup setup;
  setup.schema.encoders_name = "builtin";
  setup.schema.num_frames = 7;
  setup.schema.context_columns = {{"width", bank::ColumnType::kNumber}};
  setup.num_rows = 12;
  setup.host = "here";
  setup.encoders = {{"encoders.json", "{}"}, {"text/words.bin", std::string("\0\xFF", 2)}};
  const IngestSetup read = decode_setup(encode_setup(setup));
  EXPECT_EQ(read.schema.encoders_name, "builtin");
  EXPECT_EQ(read.schema.num_frames, 7);
  EXPECT_EQ(read.schema.context_columns, setup.schema.context_columns);
  EXPECT_EQ(read.num_rows, 12);
  EXPECT_EQ(read.host, "here");
  ASSERT_EQ(read.encoders.size(), 2U);
  EXPECT_EQ(read.encoders[1].path, "text/words.bin");
  EXPECT_EQ(read.encoders[1].bytes, std::string("\0\xFF", 2));
}

TEST(IngestMessages, WhatIsNoneOfThemIsRefused) {
  expect_error(ErrorKind::kCorruptData, "same program", [] { (void)kind_of(""); });
  expect_error(ErrorKind::kCorruptData, "same program", [] { (void)kind_of("?"); });
  const std::string rows = encode_rows({full_row()});
  for (std::size_t size = 1; size < rows.size(); ++size) {
    expect_error(ErrorKind::kCorruptData, "same program",
                 [&] { (void)decode_rows(rows.substr(0, size)); });
  }
  expect_error(ErrorKind::kCorruptData, "same program", [&] { (void)decode_finished(rows); });
  expect_error(ErrorKind::kCorruptData, "same program", [&] { (void)decode_setup(rows); });
}

}  // namespace
}  // namespace mmra::pipeline
