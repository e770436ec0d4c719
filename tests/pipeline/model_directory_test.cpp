#include "mmra/pipeline/model_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using nlohmann::json;

TrainingCard made_card() {
  TrainingCard card;
  card.encoders_name = "builtin+visual features";
  card.encoders_fingerprint = "f00d";
  card.popularity_unit = "likes";
  card.popularity_horizon = "7d";
  card.k = 3;
  card.rules.protocol = Protocol::kAuthors;
  card.rules.instances = retrieval::Choice::kRandom;
  card.rules.drop_near_duplicates = true;
  card.num_train = 100;
  card.num_stop = 7;
  card.num_calibration = 8;
  return card;
}

class ModelDirectory : public ::testing::Test {
 protected:
  void SetUp() override { save_training_card(made_card(), directory_.path()); }
  [[nodiscard]] std::filesystem::path file() const { return directory_ / "training.json"; }
  [[nodiscard]] json document() const { return json::parse(read_file(file())); }
  void write(const json& changed) const { write_file_atomically(file(), changed.dump()); }
  void expect_damaged(const std::string& part) const {
    expect_error(ErrorKind::kCorruptData, part,
                 [&] { (void)load_training_card(directory_.path()); });
  }

  TemporaryDirectory directory_;
};

TEST_F(ModelDirectory, GivesBackTheCard) {
  const TrainingCard card = load_training_card(directory_.path());
  const TrainingCard made = made_card();
  EXPECT_EQ(card.model, "mmra");
  EXPECT_EQ(card.encoders_name, made.encoders_name);
  EXPECT_EQ(card.encoders_fingerprint, made.encoders_fingerprint);
  EXPECT_EQ(card.popularity_unit, made.popularity_unit);
  EXPECT_EQ(card.popularity_horizon, made.popularity_horizon);
  EXPECT_EQ(card.k, 3);
  EXPECT_EQ(card.rules.protocol, Protocol::kAuthors);
  EXPECT_EQ(card.rules.instances, retrieval::Choice::kRandom);
  EXPECT_TRUE(card.rules.drop_near_duplicates);
  EXPECT_FALSE(card.rules.cuts.has_value());
  EXPECT_EQ(card.num_train, 100);
  EXPECT_EQ(card.num_stop, 7);
  EXPECT_EQ(card.num_calibration, 8);
}

TEST_F(ModelDirectory, ADirectoryWithoutACardIsNoFinishedModel) {
  std::filesystem::remove(file());
  expect_error(ErrorKind::kNotFound, "not a finished model",
               [&] { (void)load_training_card(directory_.path()); });
  expect_error(ErrorKind::kNotFound, "mmra train",
               [&] { (void)load_training_card(directory_ / "nowhere"); });
}

TEST_F(ModelDirectory, NamesTheFileOfADamagedCard) {
  const std::string whole = read_file(file());
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, whole.size() / 2}) {
    write_file_atomically(file(), whole.substr(0, size));
    expect_damaged("training.json is not a JSON object");
  }
  for (const char* text : {"[]", "null", "7", "\"x\"", "\xff\xfe"}) {
    write_file_atomically(file(), text);
    expect_damaged("training.json is not a JSON object");
  }
  write_file_atomically(file(), "{}");
  expect_damaged("training.json has no key");
}

TEST_F(ModelDirectory, NamesTheKeyThatIsMissingOrOfAnotherType) {
  const json whole = document();
  for (const auto& [key, value] : whole.items()) {
    json changed = whole;
    changed.erase(key);
    write(changed);
    expect_damaged("\"" + key + "\"");
    changed = whole;
    changed[key] = json::array();
    write(changed);
    expect_damaged("\"" + key + "\"");
  }
}

TEST_F(ModelDirectory, RefusesValuesThatCannotBe) {
  const json whole = document();
  for (const int k : {0, -3, 10001}) {
    json changed = whole;
    changed["k"] = k;
    write(changed);
    expect_damaged(std::to_string(k) + " under \"k\", expected 1 to 10000");
  }
  json changed = whole;
  changed["num_stop"] = -1;
  write(changed);
  expect_damaged("below 0 under \"num_stop\"");
  changed = whole;
  changed["protocol"] = "dishonest";
  write(changed);
  expect_damaged("dishonest");
  changed = whole;
  changed["instances"] = "best";
  write(changed);
  expect_damaged("\"best\", expected similar or random");
}

TEST_F(ModelDirectory, TakesNoOtherValueForAWholeNumber) {
  const json whole = document();
  for (const char* key : {"format_version", "k", "num_train", "num_stop", "num_calibration"}) {
    for (const json& value : {json(1.0), json(2.5), json(1e300), json(true),
                              json(std::numeric_limits<std::uint64_t>::max())}) {
      SCOPED_TRACE(key + (" = " + value.dump()));
      json changed = whole;
      changed[key] = value;
      write(changed);
      expect_damaged(std::string("under \"") + key + "\"");
    }
  }
}

TEST_F(ModelDirectory, KeepsWhereTimeDivides) {
  TrainingCard card = made_card();
  card.rules.protocol = Protocol::kChronological;
  card.rules.cuts = TimeCuts{Timestamp{1'700'000'000'500}, Timestamp{1'700'100'000'000}};
  save_training_card(card, directory_.path());
  const TrainingCard back = load_training_card(directory_.path());
  ASSERT_TRUE(back.rules.cuts.has_value());
  EXPECT_EQ(back.rules.cuts->valid_from, card.rules.cuts->valid_from);
  EXPECT_EQ(back.rules.cuts->test_from, card.rules.cuts->test_from);
  const json whole = document();
  for (const char* key : {"valid_from", "test_from"}) {
    json changed = whole;
    changed[key] = "yesterday";
    write(changed);
    expect_damaged("\"yesterday\"");
    changed[key] = nullptr;
    write(changed);
    expect_damaged("chronological has both");
  }
  json changed = whole;
  changed["protocol"] = "honest";
  write(changed);
  expect_damaged("no other has one");
}

TEST_F(ModelDirectory, ReadsTheFirstVersion) {
  json old = document();
  old["format_version"] = 1;
  for (const char* key : {"instances", "near_duplicates_dropped", "valid_from", "test_from"}) {
    old.erase(key);
  }
  write(old);
  const TrainingCard card = load_training_card(directory_.path());
  EXPECT_EQ(card.rules.protocol, Protocol::kAuthors);
  EXPECT_EQ(card.rules.instances, retrieval::Choice::kSimilar);
  EXPECT_FALSE(card.rules.drop_near_duplicates);
}

TEST_F(ModelDirectory, RefusesANewerFormat) {
  json changed = document();
  changed["format_version"] = 3;
  write(changed);
  expect_error(ErrorKind::kUnsupported, "format version 3; this program reads 1 to 2",
               [&] { (void)load_training_card(directory_.path()); });
}

TEST(CheckSameEncoders, NamesBothWhereTheyDiffer) {
  const TrainingCard card = made_card();
  bank::BankSchema schema;
  schema.encoders_name = card.encoders_name;
  schema.encoders_fingerprint = card.encoders_fingerprint;
  EXPECT_NO_THROW(check_same_encoders(card, schema));
  schema.encoders_fingerprint = "beef";
  for (const char* part : {"builtin+visual features (f00d)", "builtin+visual features (beef)"}) {
    expect_error(ErrorKind::kInvalidInput, part, [&] { check_same_encoders(card, schema); });
  }
  schema.encoders_fingerprint = "f00d";
  schema.encoders_name = "builtin";
  expect_error(ErrorKind::kInvalidInput, "builtin (f00d)",
               [&] { check_same_encoders(card, schema); });
}

}  // namespace
}  // namespace mmra::pipeline::testing
