#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <nlohmann/json.hpp>
#include <string>

#include "made_records.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using ::testing::IsEmpty;
using Json = nlohmann::json;
using testing::expect_same;
using testing::TemporaryDirectory;
namespace fs = std::filesystem;

HalfTokenMatrix tokens_of(const Json& json) {
  return {json.at("num_tokens"), json.at("dim"), json.at("bits").get<std::vector<Float16Bits>>()};
}

StoredRecord expected_record(const Json& json) {
  StoredRecord stored;
  Record& record = stored.record;
  record.id = json.at("id");
  record.title = json.at("title");
  if (json.contains("popularity_bits")) {
    record.popularity = std::bit_cast<double>(json["popularity_bits"].get<std::uint64_t>());
  }
  if (json.contains("posted_at_ms")) record.posted_at = Timestamp{json["posted_at_ms"]};
  record.split = parse_split(json.at("split").get<std::string>()).value();
  for (const auto& [name, bits] : json.at("numbers").items()) {
    record.context[name] = std::bit_cast<double>(bits.get<std::uint64_t>());
  }
  for (const auto& [name, text] : json.at("categories").items()) {
    record.context[name] = text.get<std::string>();
  }
  record.video_path = json.at("video_path");
  record.captions = json.at("captions").get<std::vector<std::string>>();
  record.thumbnails = json.at("thumbnails").get<std::vector<std::vector<std::uint8_t>>>();
  record.row_fingerprint = json.at("row_fingerprint");
  record.video_fingerprint = json.at("video_fingerprint");
  record.video_size_bytes = json.at("video_size_bytes");
  record.video_mtime_ns = json.at("video_mtime_ns");
  stored.features.visual_tokens = tokens_of(json.at("visual_tokens"));
  stored.features.text_tokens = tokens_of(json.at("text_tokens"));
  for (const auto& bits : json.at("retrieval_vector_bits")) {
    stored.features.retrieval_vector.push_back(std::bit_cast<float>(bits.get<std::uint32_t>()));
  }
  return stored;
}

void expect_everything(const MemoryBank& bank, const Json& expected) {
  EXPECT_THAT(bank.verify(), IsEmpty());
  for (const Json& json : expected) {
    const StoredRecord stored = expected_record(json);
    const auto found = bank.find(stored.record.id);
    ASSERT_TRUE(found.has_value()) << stored.record.id;
    expect_same(*found, stored.record);
    expect_same(bank.find_features(stored.record.id).value(), stored.features);
    const auto table = bank.table();
    const auto row = table->row_of(stored.record.id);
    ASSERT_TRUE(row.has_value());
    EXPECT_EQ(table->popularity(*row), stored.record.popularity);
    EXPECT_EQ(table->posted_at(*row), stored.record.posted_at);
  }
}

// A bank that the first version of the program wrote (tools/golden_bank.cpp). People keep theirs:
// every later version must read it, and go on writing to it.
TEST(GoldenBank, Version1IsReadAndWrittenForEver) {
  const fs::path golden = fs::path(MMRA_GOLDEN_DIR) / "bank" / "v1";
  const Json expected = Json::parse(read_file(golden / "expected.json"));
  ASSERT_EQ(expected.size(), 4U);
  const TemporaryDirectory directory;
  const fs::path path = directory / "bank";
  fs::copy(golden / "bank", path, fs::copy_options::recursive);
  const std::string vectors_file = path / "derived" / "vectors.bin";
  const std::string vectors = read_file(vectors_file);
  {
    const auto bank = open_bank(path, OpenMode::kReadOnly);
    const BankInfo info = bank->info();
    EXPECT_EQ(info.generation, 5U);
    EXPECT_EQ(info.num_records, 4);
    EXPECT_EQ(info.num_labelled, 3);
    EXPECT_EQ(info.num_with_video, 1);
    EXPECT_EQ(info.num_with_time, 2);
    EXPECT_THAT(info.num_in_split, ::testing::ElementsAre(2, 1, 1));
    EXPECT_EQ(info.num_visual_tokens, 4);
    EXPECT_EQ(info.num_text_tokens, 908);
    EXPECT_EQ(info.schema.format_version, 1);
    EXPECT_EQ(info.schema.popularity_unit, "comments");
    EXPECT_EQ(info.schema.popularity_horizon, "7d");
    EXPECT_EQ(info.schema.encoders_name, "builtin");
    EXPECT_EQ(info.schema.encoders_fingerprint, "000102030405060708090a0b0c0d0e0f");
    EXPECT_EQ(info.schema.num_frames, 2);
    EXPECT_EQ(info.schema.retrieval_dim, 5);
    expect_everything(*bank, expected);
  }
  EXPECT_EQ(read_file(vectors_file), vectors) << "the derived file of version 1 is taken as it is";

  const auto bank = open_bank(path, OpenMode::kReadWrite);
  StoredRecord more = expected_record(expected[1]);
  more.record.id = "more";
  bank->put({&more, 1});
  expect_everything(*bank, expected);
  EXPECT_EQ(bank->info().num_records, 5);
}

}  // namespace
}  // namespace mmra::bank
