#include "mmra/serving/json_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "mmra/serving/problem.h"

namespace mmra::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename Action>
void expect_refusal(int status, const std::string& code, const std::string& part, Action&& action) {
  try {
    action();
    ADD_FAILURE() << "taken; expected " << code;
  } catch (const Refusal& refusal) {
    EXPECT_EQ(refusal.problem().status, status) << refusal.what();
    EXPECT_EQ(refusal.problem().code, code) << refusal.what();
    EXPECT_THAT(refusal.what(), HasSubstr(part));
  }
}

RequestMembers members(const std::string& text) { return RequestMembers(parse_body(text)); }

TEST(JsonBody, IsOneObjectWithinItsDepth) {
  EXPECT_EQ(parse_body("{\"a\": 1}")["a"], 1);
  for (const char* text : {"", "{", "{\"a\":1}x", "\xFF", "{\"a\":\"\xC3\"}", "{'a':1}", "nan"}) {
    expect_refusal(400, "invalid_json", "not JSON", [&] { (void)parse_body(text); });
  }
  for (const char* text : {"[]", "1", "null", "\"a\""}) {
    expect_refusal(400, "invalid_json", "an object is needed", [&] { (void)parse_body(text); });
  }
  const auto nested = [](int depth) {
    std::string text;
    for (int i = 0; i < depth; ++i) text += "{\"a\":";
    return text + "1" + std::string(static_cast<std::size_t>(depth), '}');
  };
  EXPECT_NO_THROW((void)parse_body(nested(kMaxJsonDepth)));
  expect_refusal(400, "invalid_json", "deeper",
                 [&] { (void)parse_body(nested(kMaxJsonDepth + 1)); });
  expect_refusal(400, "invalid_json", "deeper",
                 [] { (void)parse_body("{\"a\":" + std::string(200000, '[')); });
}

TEST(RequestMembers, GivesEachOnceAndNamesWhatIsLeft) {
  RequestMembers all = members(R"({"t":"x","n":2.5,"w":"2024-01-01T00:00:00Z","s":1700000000,
                                   "l":["a","b"],"z":null,"other":1})");
  EXPECT_EQ(all.text("t", 10), "x");
  EXPECT_FALSE(all.text("t", 10)) << "taken already";
  EXPECT_EQ(all.number("n"), 2.5);
  EXPECT_EQ(all.time("w")->ms, 1704067200000);
  EXPECT_EQ(all.time("s")->ms, 1700000000000);
  EXPECT_THAT(*all.texts("l", 2, 1), ElementsAre("a", "b"));
  EXPECT_FALSE(all.text("z", 10)) << "null is not there";
  EXPECT_FALSE(all.number("nowhere"));
  expect_refusal(400, "unknown_member", "other", [&] { all.expect_empty(); });
  (void)all.take("other");
  EXPECT_NO_THROW(all.expect_empty());
}

TEST(RequestMembers, RefusesWhatIsOfAnotherKind) {
  const auto with = [](const std::string& value) { return members("{\"a\":" + value + "}"); };
  expect_refusal(400, "invalid_member", "a text", [&] { (void)with("1").text("a", 9); });
  expect_refusal(413, "too_large", "at most 3", [&] { (void)with("\"abcd\"").text("a", 3); });
  expect_refusal(400, "invalid_member", "zero byte",
                 [&] { (void)with("\"\\u0000\"").text("a", 9); });
  expect_refusal(400, "invalid_member", "a number", [&] { (void)with("\"1\"").number("a"); });
  expect_refusal(400, "invalid_member", "no time", [&] { (void)with("\"soon\"").time("a"); });
  expect_refusal(400, "invalid_member", "a time", [&] { (void)with("[]").time("a"); });
  expect_refusal(400, "invalid_member", "a list", [&] { (void)with("\"x\"").texts("a", 9, 9); });
  expect_refusal(400, "invalid_member", "a list", [&] { (void)with("[1]").texts("a", 9, 9); });
  expect_refusal(413, "too_large", "at most 1",
                 [&] { (void)with("[\"x\",\"y\"]").texts("a", 1, 9); });
}

TEST(RequestMembers, ContextIsTypedAsTheBankIs) {
  bank::BankSchema schema;
  schema.context_columns = {{"n", bank::ColumnType::kNumber}, {"c", bank::ColumnType::kCategory}};
  const bank::Context context =
      members(R"({"context":{"n":3,"c":"x"}})").context("context", schema);
  EXPECT_EQ(std::get<double>(context.at("n")), 3.0);
  EXPECT_EQ(std::get<std::string>(context.at("c")), "x");
  EXPECT_TRUE(members(R"({"context":{"n":null}})").context("context", schema).empty());
  const auto refused = [&](const std::string& text, const std::string& code) {
    expect_refusal(400, code, "",
                   [&] { (void)members("{\"context\":" + text + "}").context("context", schema); });
  };
  refused("{\"n\":\"3\"}", "invalid_member");
  refused("{\"c\":3}", "invalid_member");
  refused("{\"d\":3}", "unknown_member");
  refused("[]", "invalid_member");
}

TEST(Integer, IsWholeAndWithinItsRange) {
  EXPECT_EQ(to_integer("k", "100", 1, 100), 100);
  for (const char* text : {"", "0", "101", "1.5", "1e1", " 1", "1 ", "99999999999", "0x1", "+1"}) {
    expect_refusal(400, "invalid_parameter", "k must be",
                   [&] { (void)to_integer("k", text, 1, 100); });
  }
}

}  // namespace
}  // namespace mmra::serving
