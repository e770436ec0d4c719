#include "mmra/bank/milvus/record_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "bank/made_records.h"
#include "expect_error.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

using testing::expect_error;
using testing::expect_same;
using ::testing::IsEmpty;
using testing::made_record;
using Json = nlohmann::json;

/// A row with two values, the first one in three pieces, and the pieces.
class Assembled : public ::testing::Test {
 protected:
  Assembled() {
    row_.id = "a";
    for (const auto& [kind, bytes] : RecordValues{{'F', long_}, {'R', "short"}}) {
      row_.values.push_back(name_value(kind, "a", bytes));
      Json rows = Json::array();
      append_pieces(row_.values.back(), "a", bytes, rows);
      for (const Json& each : rows) pieces_[each.at("key")] = each.at("value");
    }
  }

  const std::string long_ = std::string(100'000, 'x') + "end";
  StoredRow row_;
  std::map<std::string, std::string> pieces_;
};

TEST_F(Assembled, AreTheValuesAgain) {
  ASSERT_EQ(pieces_.size(), 4U);
  EXPECT_EQ(assemble(row_, kRecordKinds, pieces_), (RecordValues{{'F', long_}, {'R', "short"}}));
  EXPECT_EQ(assemble(row_, "R", pieces_), (RecordValues{{'R', "short"}}));
  EXPECT_THAT(assemble(row_, "T", pieces_), IsEmpty());
}

TEST_F(Assembled, AreNoneWhereAPieceIsMissing) {
  pieces_.erase(keys_of(row_.values.front(), "a").at(1));
  EXPECT_THAT(assemble(row_, "RF", pieces_), IsEmpty()) << "not half of a record";
  EXPECT_EQ(assemble(row_, "R", pieces_).size(), 1U) << "it was not asked for";
}

TEST_F(Assembled, AreRefusedWhereAPieceIsDamaged) {
  pieces_[keys_of(row_.values.front(), "a").at(2)] = "abc!";
  expect_error(ErrorKind::kCorruptData, "no base64", [&] { (void)assemble(row_, "F", pieces_); });
}

TEST(RecordValues, AreAStoredRecord) {
  const StoredRecord made = made_record("a");
  RecordValues values = {{'R', encode_record(made.record)},
                         {'F', encode_features("a", made.features)}};
  StoredRecord stored = stored_record_of("a", values);
  expect_same(stored.features, made.features);
  EXPECT_THAT(stored.record.thumbnails, IsEmpty());
  EXPECT_EQ(stored.history, (PopularityHistory{made.record.popularity, {}}));

  const PopularityHistory counts{1.0, {{Timestamp{5}, 2.0}}};
  values['T'] = encode_thumbnails("a", made.record.thumbnails);
  values['O'] = encode_history("a", counts);
  stored = stored_record_of("a", values);
  expect_same(stored.record, made.record);
  EXPECT_EQ(stored.history, counts);
}

TEST(RecordValues, OfAnotherRecordAreDamage) {
  const StoredRecord made = made_record("a");
  const RecordValues values = {{'R', encode_record(made.record)},
                               {'F', encode_features("b", made.features)}};
  expect_same(record_of("a", values), [&] {
    Record expected = made.record;
    expected.thumbnails.clear();
    return expected;
  }());
  expect_error(ErrorKind::kCorruptData, "\"a\"", [&] { (void)features_of("a", values); });
}

}  // namespace
}  // namespace mmra::bank
