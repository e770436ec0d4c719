#include "mmra/bank/milvus/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "expect_error.h"
#include "mmra/core/error.h"
#include "net/fake_server.h"

namespace mmra::bank {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::FakeReply;
using testing::FakeRequest;
using testing::FakeServer;
using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr const char* kWritten = R"({"code":200,"data":{"upsertCount":1,"upsertIds":["a"]}})";

FakeReply reply(int status, std::string body) {
  FakeReply made;
  made.status = status;
  made.body = std::move(body);
  return made;
}

/// Answers one after the other, the last one for ever.
class Client : public ::testing::Test {
 protected:
  Client() { ::setenv("no_proxy", "127.0.0.1", 1); }

  MilvusClient& answering(std::vector<FakeReply> replies) {
    replies_ = std::move(replies);
    server_ = std::make_unique<FakeServer>([this](const FakeRequest&) {
      FakeReply next = replies_.front();
      if (replies_.size() > 1) replies_.erase(replies_.begin());
      return next;
    });
    return connect(server_->port());
  }
  MilvusClient& connect(int port) {
    MilvusAddress address;
    address.host = "127.0.0.1";
    address.port = port;
    address.management_port = port;
    address.collection = "videos";
    options_.wait = [this](milliseconds time, const std::stop_token&) { waits_.push_back(time); };
    client_ = std::make_unique<MilvusClient>(address, options_);
    return *client_;
  }
  static Json row() { return Json::array({{{"id", "a"}}}); }

  MilvusOptions options_;
  std::vector<milliseconds> waits_;
  std::vector<FakeReply> replies_;
  std::unique_ptr<FakeServer> server_;
  std::unique_ptr<MilvusClient> client_;
};

TEST_F(Client, SendsRowsWithTheToken) {
  options_.token = "root:Milvus";
  answering({reply(200, kWritten)}).upsert("videos", row());
  const auto requests = server_->requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].path, "/v1/vector/upsert");
  EXPECT_EQ(requests[0].header("authorization"), "Bearer root:Milvus");
  EXPECT_EQ(Json::parse(requests[0].body),
            Json::parse(R"({"collectionName":"videos","data":[{"id":"a"}]})"));
}

TEST_F(Client, TriesAgainWhatFailedInPassingAndWaitsLongerEachTime) {
  FakeReply cut = reply(200, kWritten);
  cut.cut_after = 10;
  FakeReply hangs_up;
  hangs_up.hangs_up = true;
  answering({reply(503, "busy"), cut, hangs_up,
             reply(200, R"({"code":8,"message":"rate limit exceeded"})"), reply(200, ""),
             reply(200, kWritten)})
      .upsert("videos", row());
  EXPECT_THAT(waits_, ElementsAre(milliseconds(200), milliseconds(400), milliseconds(800),
                                  milliseconds(1600), milliseconds(3200)));
  const auto requests = server_->requests();
  ASSERT_EQ(requests.size(), 6U);
  for (const FakeRequest& request : requests) {
    EXPECT_EQ(request.path, "/v1/vector/upsert") << "by key: twice is once";
    EXPECT_EQ(request.body, requests[0].body);
  }
}

// Half a minute after a server was killed, its collections are not yet loaded again.
TEST_F(Client, WaitsLongForAServerThatIsLoadingItsCollections) {
  const FakeReply loading =
      reply(200, R"({"status":{"error_code":1,"reason":"collection not loaded","code":101}})");
  std::vector<FakeReply> replies(20, loading);
  replies.push_back(reply(200, R"({"status":{}})"));
  EXPECT_EQ(answering(replies).query("videos", "", {"id"}, 1, {}).num_rows(), 0U);
  EXPECT_EQ(waits_.size(), 20U);
  waits_.clear();
  expect_error(ErrorKind::kIo, "did not read videos: collection not loaded",
               [&] { (void)answering({loading}).query("videos", "", {"id"}, 1, {}); });
  milliseconds waited{0};
  for (const milliseconds each : waits_) waited += each;
  EXPECT_GE(waited, options_.max_recovery);
  EXPECT_LE(waited, options_.max_recovery + options_.max_wait);
}

TEST_F(Client, GivesUpAfterSomeAttemptsAndSaysWhy) {
  expect_error(ErrorKind::kIo, "did not read videos: it answers 500 (out of luck); run the same",
               [&] {
                 (void)answering({reply(500, R"({"reason":"out of luck"})")})
                     .query("videos", "", {"id"}, 1, {});
               });
  EXPECT_EQ(server_->requests().size(), 6U);
}

TEST_F(Client, NobodyThereIsSaidSoon) {
  int port = 0;
  {
    const FakeServer server([](const FakeRequest&) { return FakeReply{}; });
    port = server.port();
  }
  expect_error(ErrorKind::kIo, "cannot reach the Milvus server at 127.0.0.1:", [&] {
    connect(port).upsert("videos", row());
  });
  EXPECT_EQ(waits_.size(), 2U);
}

TEST_F(Client, ASlowServerIsGivenUp) {
  options_.timeouts.stalled = std::chrono::seconds(1);
  options_.max_attempts = 1;
  server_ = std::make_unique<FakeServer>([](const FakeRequest&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3500));
    return FakeReply{};
  });
  expect_error(ErrorKind::kIo, "did not read videos: nothing came for 1.0 s",
               [&] { (void)connect(server_->port()).query("videos", "", {"id"}, 1, {}); });
}

TEST_F(Client, AFullServerIsNamedSo) {
  for (const int code : {3, 7, 9}) {
    const std::string body =
        R"({"code":)" + std::to_string(code) + R"(,"message":"quota exceeded"})";
    expect_error(ErrorKind::kIo, "quota exceeded; it is full",
                 [&] { answering({reply(200, body)}).upsert("videos", row()); });
    EXPECT_EQ(server_->requests().size(), 1U) << "trying again does not help";
  }
}

TEST_F(Client, AFullDiskIsNamedSo) {
  const char* full =
      R"({"code":65535,"message":"IO error: No space left on device: While appending to file"})";
  expect_error(ErrorKind::kIo, "it is full: free or add space",
               [&] { answering({reply(200, full)}).upsert("videos", row()); });
}

TEST_F(Client, AWrongTokenIsNamedSo) {
  expect_error(ErrorKind::kInvalidInput, "set MMRA_MILVUS_TOKEN", [&] {
    answering({reply(200, R"({"code":1800,"message":"user hasn't authenticated"})")})
        .upsert("videos", row());
  });
  expect_error(ErrorKind::kInvalidInput, "set MMRA_MILVUS_TOKEN",
               [&] { answering({reply(401, "")}).upsert("videos", row()); });
}

TEST_F(Client, AServerOfAnotherVersionIsNamedSo) {
  expect_error(ErrorKind::kUnsupported, "a Milvus 2.3 with its RESTful API v1",
               [&] { answering({reply(404, "404 page not found")}).upsert("videos", row()); });
  EXPECT_EQ(server_->requests().size(), 1U);
}

TEST_F(Client, AnswersThatCannotBeReadAreErrors) {
  for (const char* body : {"", "no JSON", "[]", "5"}) {
    expect_error(ErrorKind::kIo, "no JSON object",
                 [&] { answering({reply(200, body)}).upsert("videos", row()); });
  }
  expect_error(ErrorKind::kIo, "wrote 0 of 1 rows", [&] {
    answering({reply(200, R"({"code":200,"data":{"upsertCount":0}})")}).upsert("videos", row());
  });
  expect_error(ErrorKind::kIo, "did not write",
               [&] { answering({reply(200, "{}")}).upsert("videos", row()); });
}

TEST_F(Client, ReadsColumns) {
  MilvusClient& client = answering({reply(200, R"({"status":{},"fields_data":[
    {"field_name":"id","Field":{"Scalars":{"Data":{"StringData":{"data":["a","b"]}}}}},
    {"field_name":"n","Field":{"Scalars":{"Data":{"LongData":{"data":[9007199254740993,-1]}}}}},
    {"field_name":"x","Field":{"Scalars":{"Data":{"DoubleData":{"data":[1.5,2]}}}}},
    {"field_name":"b","Field":{"Scalars":{"Data":{"BoolData":{"data":[true,false]}}}}},
    {"field_name":"s","Field":{"Scalars":{"Data":{"IntData":{"data":[1,2]}}}}},
    {"field_name":"v","Field":{"Vectors":{"dim":2,"Data":{"FloatVector":{"data":[1,2,3,0.1]}}}}}]})")});
  const MilvusRows rows = client.query("videos", R"(id > "")", {"id"}, 2, {77});
  EXPECT_EQ(rows.num_rows(), 2U);
  EXPECT_THAT(rows.texts("id"), ElementsAre("a", "b"));
  EXPECT_THAT(rows.whole_numbers("n"), ElementsAre(9007199254740993, -1));
  EXPECT_THAT(rows.numbers("x"), ElementsAre(1.5, 2.0));
  EXPECT_THAT(rows.whole_numbers("b"), ElementsAre(1, 0));
  EXPECT_THAT(rows.whole_numbers("s"), ElementsAre(1, 2));
  EXPECT_THAT(rows.vector("v", 1, 2), ElementsAre(3.0F, 0.1F));
  expect_error(ErrorKind::kCorruptData, "no field y", [&] { (void)rows.texts("y"); });
  expect_error(ErrorKind::kCorruptData, "another type", [&] { (void)rows.texts("n"); });
  expect_error(ErrorKind::kCorruptData, "another type", [&] { (void)rows.vector("v", 0, 3); });
  const Json asked = Json::parse(server_->requests().at(0).body);
  EXPECT_EQ(asked.at("guarantee_timestamp"), 77);
  EXPECT_EQ(asked.at("query_params").at(0).at("value"), "2");
}

TEST_F(Client, RowsOfAnotherShapeAreErrors) {
  for (const char* fields :
       {R"(5)", R"([5])", R"([{"field_name":"a"}])", R"([{"field_name":"a","Field":{}}])",
        R"([{"field_name":"a","Field":{"Scalars":{"Data":{}}}}])",
        R"([{"field_name":"a","Field":{"Scalars":{"Data":{"LongData":{"data":["x"]}}}}}])",
        R"([{"field_name":"a","Field":{"Vectors":{"dim":0,"Data":{"FloatVector":{"data":[]}}}}}])",
        R"([{"field_name":"a","Field":{"Vectors":{"dim":2,"Data":{"FloatVector":{"data":[1]}}}}}])",
        R"([{"field_name":"a","Field":{"Vectors":{"dim":2,"Data":5}}}])"}) {
    expect_error(ErrorKind::kCorruptData, "127.0.0.1 answers with", [&] {
      try {
        (void)parse_milvus_rows(Json{{"fields_data", Json::parse(fields)}}, "127.0.0.1");
      } catch (const Error& error) {
        if (std::string(error.what()).find("answers without") == std::string::npos) throw;
        throw Error(error.kind(), "127.0.0.1 answers with");  // a kind of data that is not there
      }
      ADD_FAILURE() << fields;
    });
  }
  EXPECT_EQ(parse_milvus_rows(Json::object(), "x").num_rows(), 0U);
}

TEST_F(Client, ReadsHits) {
  MilvusClient& client =
      answering({reply(200, R"({"status":{},"results":{"num_queries":2,"top_k":2,
    "scores":[0.5,0.25,1],"ids":{"IdField":{"StrId":{"data":["b","a","c"]}}},"topks":[2,1]}})"),
                 reply(200, R"({"status":{},"results":{"num_queries":2,
    "ids":{"IdField":{"StrId":{}}},"topks":[0,0]}})"),
                 reply(200, R"({"status":{},"results":{"topks":[3,0],"scores":[1],
    "ids":{"IdField":{"StrId":{"data":["a"]}}}}})")});
  const std::vector<float> vectors{1.0F, 0.0F, 0.0F, 1.0F};
  const auto hits =
      client.search("videos", "vector", vectors, 2, "split == 1", 2, Json::object(), {});
  ASSERT_EQ(hits.size(), 2U);
  ASSERT_EQ(hits[0].size(), 2U);
  EXPECT_EQ(hits[0][1].key, "a");
  EXPECT_EQ(hits[0][1].score, 0.25F);
  ASSERT_EQ(hits[1].size(), 1U);
  EXPECT_EQ(hits[1][0].key, "c");
  for (const auto& none :
       client.search("videos", "vector", vectors, 2, "", 2, Json::object(), {})) {
    EXPECT_TRUE(none.empty());
  }
  expect_error(ErrorKind::kCorruptData, "hits that cannot be read", [&] {
    (void)client.search("videos", "vector", vectors, 2, "", 3, Json::object(), {});
  });
}

TEST_F(Client, ACollectionThatIsNotThereIsNone) {
  const char* missing =
      R"({"status":{"error_code":1,"reason":"collection not found","code":100},"schema":{}})";
  EXPECT_EQ(answering({reply(200, missing)}).find_collection("videos"), std::nullopt);
}

TEST_F(Client, DescribesTheIndexOfACollection) {
  const char* none = R"({"status":{"error_code":25,"reason":"index not found","code":700}})";
  EXPECT_FALSE(answering({reply(200, none)}).find_index("videos", "vector"));
  const char* graph = R"({"status":{},"index_descriptions":[{"index_name":"vector","params":[
    {"key":"metric_type","value":"IP"},{"key":"index_type","value":"HNSW"},
    {"key":"params","value":"{\"M\": 32, \"efConstruction\": 200}"}],
    "total_rows":6000,"indexed_rows":5000,"state":2}]})";
  const auto index = answering({reply(200, graph)}).find_index("videos", "vector");
  ASSERT_TRUE(index);
  EXPECT_EQ(index->type, "HNSW");
  EXPECT_EQ(index->num_links, 32);
  EXPECT_FALSE(index->is_built);
  EXPECT_EQ(index->num_rows, 6000);
  EXPECT_EQ(index->num_indexed, 5000);
  for (const char* other : {R"({"status":{}})", R"({"status":{},"index_descriptions":[]})",
                            R"({"status":{},"index_descriptions":[{"params":[5]}]})"}) {
    expect_error(ErrorKind::kCorruptData, "describes an index in another way",
                 [&] { (void)answering({reply(200, other)}).find_index("videos", "vector"); });
  }
}

TEST_F(Client, FlushesUntilEverySegmentIsWrittenOut) {
  const char* begun = R"({"status":{},"coll_segIDs":{"videos":{"data":[470800633809276250]}}})";
  answering({reply(200, begun), reply(200, R"({"status":{}})"),
             reply(200, R"({"status":{},"flushed":true})")})
      .flush({"videos"});
  EXPECT_EQ(waits_.size(), 1U);
  EXPECT_EQ(Json::parse(server_->requests().back().body),
            Json::parse(R"({"segmentIDs":[470800633809276250]})"));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(answering({reply(200, begun), reply(200, R"({"status":{}})")})
                   .flush({"videos"}, stop.get_token()),
               Interrupted);
}

TEST_F(Client, ACollectionOfAnotherShapeIsLeftAlone) {
  const char* other = R"({"status":{},"schema":{"fields":[{"name":"id","data_type":5,
    "is_primary_key":true}]}})";
  expect_error(ErrorKind::kInvalidInput, "is of another shape", [&] {
    answering({reply(200, other)})
        .create_collection("videos", {{"key", MilvusType::kVarChar, 10, true}}, "v");
  });
  EXPECT_EQ(server_->requests().size(), 1U) << "nothing was asked but what it is";
}

TEST(MilvusLiteral, EscapesQuotesAndBackslashes) {
  EXPECT_EQ(milvus_literal(R"(a"b\c)"), R"("a\"b\\c")");
  const std::string keys[] = {"a", "b"};
  EXPECT_EQ(milvus_any_of("id", keys), R"(id in ["a","b"])");
}

TEST(MilvusOptions, ComeFromTheEnvironment) {
  ::setenv("MMRA_MILVUS_TOKEN", "t", 1);
  ::setenv("MMRA_MILVUS_TIMEOUT_S", "7", 1);
  const MilvusOptions options = milvus_options_from_environment();
  EXPECT_EQ(options.token, "t");
  EXPECT_EQ(options.timeouts.stalled, std::chrono::seconds(7));
  for (const char* text : {"0", "x", "7s", "3601", "-1"}) {
    ::setenv("MMRA_MILVUS_TIMEOUT_S", text, 1);
    expect_error(ErrorKind::kInvalidInput, "MMRA_MILVUS_TIMEOUT_S needs",
                 [] { (void)milvus_options_from_environment(); });
  }
  ::unsetenv("MMRA_MILVUS_TIMEOUT_S");
  ::setenv("MMRA_MILVUS_TOKEN", "a b", 1);
  expect_error(ErrorKind::kInvalidInput, "MMRA_MILVUS_TOKEN holds",
               [] { (void)milvus_options_from_environment(); });
  ::unsetenv("MMRA_MILVUS_TOKEN");
}

}  // namespace
}  // namespace mmra::bank
