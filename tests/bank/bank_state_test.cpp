#include "mmra/bank/bank_state.h"

#include <gtest/gtest.h>

#include <string>

#include "expect_error.h"
#include "made_records.h"

namespace mmra::bank {
namespace {

using testing::expect_error;
using testing::small_schema;

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(BankState, CountsRecordsInAndOut) {
  Record record;
  record.popularity = 0.0;
  record.video_path = "/v";
  record.split = Split::kTest;
  BankState state;
  state.count(record, +1);
  state.count_tokens(3, 5, +1);
  record.posted_at = Timestamp{0};
  record.split = Split::kTrain;
  record.popularity.reset();
  state.count(record, +1);
  EXPECT_EQ(state.num_labelled, 1) << "a popularity of zero is a label";
  EXPECT_EQ(state.num_with_video, 2);
  EXPECT_EQ(state.num_with_time, 1);
  EXPECT_EQ(state.num_in_split[0], 1);
  EXPECT_EQ(state.num_in_split[2], 1);
  state.count(record, -1);
  EXPECT_EQ(state.num_with_time, 0);
  EXPECT_EQ(state.num_in_split[0], 0);
  state.count_tokens(1, 5, -1);
  EXPECT_EQ(state.num_visual_tokens, 2);
  EXPECT_EQ(state.num_text_tokens, 0);
}

TEST(BankState, IsReadBackAsItWas) {
  BankState state;
  state.generation = 7;
  state.commit_id = 0xFFFFFFFFFFFFFFFF;
  state.num_labelled = 1;
  state.num_with_video = 2;
  state.num_with_time = 3;
  state.num_in_split[0] = 4;
  state.num_in_split[1] = 5;
  state.num_in_split[2] = 6;
  state.num_visual_tokens = std::int64_t{1} << 60;
  state.num_text_tokens = 9;
  const BankState read = parse_state(to_json_text(state), "b");
  EXPECT_EQ(read.generation, state.generation);
  EXPECT_EQ(read.commit_id, state.commit_id);
  EXPECT_TRUE(read.same_counts(state));
  state.num_in_split[1] = 0;
  EXPECT_FALSE(read.same_counts(state));
}

TEST(BankState, DamageNamesTheBank) {
  const std::string good = to_json_text(BankState{});
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("7"), std::string("{}"),
        good.substr(0, good.size() - 2), replaced(good, "\"labelled\":0", "\"labelled\":\"0\""),
        replaced(good, "[0,0,0]", "[0,0]"), replaced(good, "[0,0,0]", "3"),
        replaced(good, "\"text_tokens\"", "\"tokens\""), std::string("\xFF")}) {
    expect_error(ErrorKind::kCorruptData, "the memory bank my.bank is damaged: its state cannot",
                 [&] { (void)parse_state(text, "my.bank"); });
  }
}

TEST(BankSchema, IsReadBackAsItWas) {
  const BankSchema schema = small_schema();
  for (const int indent : {-1, 2}) {
    const BankSchema read = parse_schema(to_json_text(schema, indent), "b");
    EXPECT_EQ(read.format_version, 1);
    EXPECT_EQ(read.popularity_unit, schema.popularity_unit);
    EXPECT_EQ(read.popularity_horizon, schema.popularity_horizon);
    EXPECT_EQ(read.encoders_name, schema.encoders_name);
    EXPECT_EQ(read.encoders_fingerprint, schema.encoders_fingerprint);
    EXPECT_EQ(read.num_frames, schema.num_frames);
    EXPECT_EQ(read.visual_dim, schema.visual_dim);
    EXPECT_EQ(read.text_dim, schema.text_dim);
    EXPECT_EQ(read.retrieval_dim, schema.retrieval_dim);
    EXPECT_EQ(read.context_columns, schema.context_columns);
  }
}

TEST(BankSchema, DamageNamesTheBank) {
  const std::string good = to_json_text(small_schema());
  for (const std::string& text :
       {std::string(), std::string("null"), std::string("[1]"), good.substr(0, good.size() / 2),
        replaced(good, "\"number\"", "\"date\""), replaced(good, "\"number\"", "3"),
        replaced(good, "\"visual_dim\":2", "\"visual_dim\":\"2\""),
        replaced(good, "\"visual_dim\":2", "\"visual_dim\":-2"),
        replaced(good, "\"num_frames\":3", "\"num_frames\":0"),
        replaced(good, "\"text_dim\":3", "\"text_dim\":1e300"),
        replaced(good, "\"text_dim\":3", "\"text_dim\":3000000000"),
        replaced(good, "\"format_version\":1", "\"format_version\":0")}) {
    expect_error(ErrorKind::kCorruptData, "the memory bank my.bank is damaged: its schema cannot",
                 [&] { (void)parse_schema(text, "my.bank"); });
  }
}

TEST(BankSchema, ANewerVersionIsUnsupportedBeforeAnythingElseIsRead) {
  expect_error(ErrorKind::kUnsupported,
               "the memory bank my.bank has format version 3, this program reads up to 2",
               [] { (void)parse_schema(R"({"format_version":3,"other":true})", "my.bank"); });
}

}  // namespace
}  // namespace mmra::bank
