#include "mmra/bank/milvus/bank_head.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "expect_error.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

using testing::expect_error;

BankState some_state() {
  BankState state;
  state.generation = 7;
  state.commit_id = 0xFEDC'BA98'7654'3210;
  state.num_labelled = 3;
  state.num_in_split[1] = 4;
  return state;
}

TEST(BankHead, IsReadAsItIsWritten) {
  for (const bool is_writing : {false, true}) {
    for (const bool is_settled : {false, true}) {
      const BankHead head = parse_head(to_json_text(BankHead{some_state(), is_writing, is_settled}),
                                       "milvus://x:1/y");
      EXPECT_EQ(head.is_writing, is_writing);
      EXPECT_EQ(head.is_settled, is_settled);
      EXPECT_EQ(head.state.generation, 7U);
      EXPECT_EQ(head.state.commit_id, some_state().commit_id);
      EXPECT_TRUE(head.state.same_counts(some_state()));
    }
  }
}

TEST(BankHead, OfABankAtRestIsTheStateOfADirectory) {
  using Json = nlohmann::json;
  EXPECT_EQ(Json::parse(to_json_text(BankHead{some_state()})),
            Json::parse(to_json_text(some_state())));
  const BankHead head = parse_head(to_json_text(some_state()), "milvus://x:1/y");
  EXPECT_FALSE(head.is_writing);
  EXPECT_TRUE(head.is_settled);
}

TEST(BankHead, OfAnotherFormIsDamage) {
  for (const char* text : {"", "[]", "7", "{}", R"({"writing":true})"}) {
    expect_error(ErrorKind::kCorruptData, "milvus://x:1/y",
                 [&] { (void)parse_head(text, "milvus://x:1/y"); });
  }
}

TEST(BankHead, WithAMarkOfAnotherTypeIsDamage) {
  using Json = nlohmann::json;
  for (const char* key : {"writing", "settled"}) {
    for (const Json& value : {Json(1), Json("true"), Json::array({true}), Json::object()}) {
      Json json = Json::parse(to_json_text(BankHead{some_state()}));
      json[key] = value;
      SCOPED_TRACE(json.dump());
      expect_error(ErrorKind::kCorruptData, "milvus://x:1/y, \"" + std::string(key) + "\"",
                   [&] { (void)parse_head(json.dump(), "milvus://x:1/y"); });
    }
  }
}

TEST(BankHead, EachGenerationHasAnIdOfItsOwn) {
  BankState state = some_state();
  begin_generation(state);
  EXPECT_EQ(state.generation, 8U);
  EXPECT_NE(state.commit_id, some_state().commit_id);
  EXPECT_TRUE(state.same_counts(some_state()));
}

}  // namespace
}  // namespace mmra::bank
