#include "mmra/bank/milvus/stored_row.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "bank/made_records.h"
#include "expect_error.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using ::testing::IsEmpty;
using testing::made_record;
using testing::RandomValues;
using Json = nlohmann::json;

constexpr std::int64_t kDay = 86'400'000;

Record record_at(std::optional<std::int64_t> posted_ms, std::optional<double> popularity) {
  Record record = made_record("a").record;
  record.popularity = popularity;
  record.posted_at = posted_ms ? std::optional(Timestamp{*posted_ms}) : std::nullopt;
  return record;
}

TEST(ValueNames, AreReadAsTheyAreWritten) {
  const std::vector<ValueName> names = {{'R', 0x0123456789abcdef, 1}, {'F', 1, 3}};
  EXPECT_EQ(to_text(names), "R0123456789abcdef:1;F0000000000000001:3");
  EXPECT_EQ(parse_value_names(to_text(names), "a"), names);
  EXPECT_THAT(parse_value_names("", "a"), IsEmpty());
}

TEST(ValueNames, OfAnotherFormAreDamage) {
  for (const char* text :
       {"R", "R0123456789abcdef", "R0123456789abcdef:", "R0123456789abcdef:0",
        "R0123456789abcdef:-1", "R0123456789abcdef:65536", "R0123456789abcdeg:1",
        "X0123456789abcdef:1", "R0123456789abcdef:1;;", "R0123456789abcdef:1x", ";", " "}) {
    expect_error(ErrorKind::kCorruptData, "the record \"a\" is damaged",
                 [&] { (void)parse_value_names(text, "a"); });
  }
}

TEST(Pieces, AreTheValueAgain) {
  RandomValues random(3);
  for (const std::size_t size : {0U, 1U, 49'148U, 49'149U, 49'150U, 200'000U}) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.below(256));
    const ValueName name = name_value('F', "id", bytes);
    Json rows = Json::array();
    append_pieces(name, "id", bytes, rows);
    const std::vector<std::string> keys = keys_of(name, "id");
    ASSERT_EQ(rows.size(), keys.size());
    std::string again;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(rows[i].at("key"), keys[i]);
      const auto text = rows[i].at("value").get<std::string>();
      EXPECT_LE(text.size(), 65'535U) << "what Milvus takes as one text";
      again += decode_piece(keys[i], text);
    }
    EXPECT_TRUE(again == bytes) << size;
    EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end())) << "read in the order of keys";
  }
}

TEST(Pieces, OfAnotherAlphabetAreDamage) {
  for (const char* text : {"a", "ab c", "abc!", "====", "ab==cd=="}) {
    expect_error(ErrorKind::kCorruptData, "no base64", [&] { (void)decode_piece("k", text); });
  }
}

TEST(Pieces, HaveKeysOfTheirRecordAndContents) {
  EXPECT_NE(keys_of(name_value('R', "a", "x"), "a"), keys_of(name_value('R', "b", "x"), "b"));
  EXPECT_NE(keys_of(name_value('R', "a", "x"), "a"), keys_of(name_value('R', "a", "y"), "a"));
  EXPECT_EQ(keys_of(name_value('R', "a", "x"), "a"), keys_of(name_value('R', "a", "x"), "a"));
}

TEST(StoredRow, KnowsFromWhenOnItsLabelIs) {
  const PopularityHistory timed{std::nullopt,
                                {{Timestamp{3 * kDay}, 1.0}, {Timestamp{5 * kDay}, 2.0}}};
  const PopularityHistory both{7.0, timed.timed};
  StoredRow row = summarise(record_at(0, 4.0), nullptr, std::nullopt);
  EXPECT_EQ(row.known_at, kNoMoment);
  EXPECT_EQ(row.first_known_at, kNoMoment);
  row = summarise(record_at(0, 2.0), &timed, std::nullopt);
  EXPECT_EQ(row.known_at, 5 * kDay);
  EXPECT_EQ(row.first_known_at, 3 * kDay);
  row = summarise(record_at(0, 2.0), &both, std::nullopt);
  EXPECT_EQ(row.known_at, 5 * kDay);
  EXPECT_EQ(row.first_known_at, kNoMoment) << "the untimed count was there before";
  row = summarise(record_at(0, 2.0), &timed, Duration{7 * kDay});
  EXPECT_EQ(row.known_at, 7 * kDay);
  EXPECT_EQ(row.first_known_at, 7 * kDay);
  row = summarise(record_at(std::nullopt, 2.0), &timed, Duration{7 * kDay});
  EXPECT_EQ(row.known_at, 5 * kDay) << "without a time of posting there is no horizon";
  row = summarise(record_at(0, std::nullopt), nullptr, std::nullopt);
  EXPECT_EQ(row.first_known_at, kNever);
}

TEST(StoredRow, CountsAsItsRecord) {
  StoredRow row = summarise(made_record("a").record, nullptr, std::nullopt);
  row.visual_tokens = 2;
  row.text_tokens = 3;
  BankState state;
  row.count(state, +1);
  BankState expected;
  expected.count(made_record("a").record, +1);
  expected.count_tokens(2, 3, +1);
  EXPECT_TRUE(state.same_counts(expected));
}

TEST(StoredRow, AValuesKeyEndsWithItsRecord) {
  for (const char* id : {"v1", "a:b", ":"}) {
    for (const std::string& key : keys_of({'F', 7, 3}, id)) EXPECT_EQ(id_of_key(key), id);
  }
  EXPECT_EQ(id_of_key("none"), "");
}

TEST(IndexKind, IsNamedAsInADirectory) {
  EXPECT_EQ(parse_index_kind("Flat").type, "FLAT");
  EXPECT_EQ(parse_index_kind("HNSW32").type, "HNSW");
  EXPECT_EQ(parse_index_kind("HNSW32").num_links, 32);
  for (const char* kind : {"Flat", "HNSW16"}) {
    const IndexKind parsed = parse_index_kind(kind);
    MilvusIndex index;
    index.type = parsed.type;
    index.num_links = parsed.num_links;
    EXPECT_EQ(to_index_kind(index), kind);
  }
  for (const char* other : {"", "flat", "HNSW", "HNSW1", "HNSW9999", "HNSW32,Flat", "IVF64,Flat"}) {
    testing::expect_error(ErrorKind::kUnsupported, "has the index Flat or HNSW",
                          [&] { (void)parse_index_kind(other); });
  }
}

TEST(StoredRow, IsPaddedToMilvusSmallestDimension) {
  const std::vector<float> one{0.5F};
  const StoredRow row = summarise(made_record("a").record, nullptr, std::nullopt);
  EXPECT_THAT(to_json(row, one).at("vector").get<std::vector<float>>(), ElementsAre(0.5F, 0.0F));
  EXPECT_EQ(record_fields(0).at(1).size, 2);
  EXPECT_EQ(record_fields(768).at(1).size, 768);
}

TEST(Digest, IsOfAllValuesInWhateverOrder) {
  const ValueChecksum a{'R', 1};
  const ValueChecksum b{'F', 2};
  const ValueChecksum swapped[] = {{'R', 2}, {'F', 1}};
  const ValueChecksum forwards[] = {a, b};
  const ValueChecksum backwards[] = {b, a};
  EXPECT_EQ(digest_of(forwards), digest_of(backwards));
  EXPECT_NE(digest_of(forwards), digest_of(swapped));
  EXPECT_NE(digest_of(forwards), digest_of(std::span(&a, 1)));
}

}  // namespace
}  // namespace mmra::bank
