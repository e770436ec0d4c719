#include "mmra/bank/milvus/collections.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "mmra/bank/milvus/request_limits.h"
#include "net/fake_server.h"

namespace mmra::bank {
namespace {

using ::testing::ElementsAre;
using testing::FakeReply;
using testing::FakeRequest;
using testing::FakeServer;
using ::testing::IsEmpty;
using Json = nlohmann::json;

/// On a server that takes everything.
class Collections : public ::testing::Test {
 protected:
  Collections() : server_([](const FakeRequest& request) { return took(request); }) {
    ::setenv("no_proxy", "127.0.0.1", 1);
  }

  static FakeReply took(const FakeRequest& request) {
    FakeReply reply;
    const Json body = Json::parse(request.body);
    const std::size_t count = body.contains("data") ? body["data"].size() : 0;
    reply.body =
        Json{{"code", 200}, {"status", Json::object()}, {"data", {{"upsertCount", count}}}}.dump();
    return reply;
  }
  [[nodiscard]] MilvusCollections connect() const {
    MilvusAddress address;
    address.host = "127.0.0.1";
    address.port = server_.port();
    address.management_port = server_.port();
    address.collection = "videos";
    return {address, MilvusOptions{}};
  }
  /// "collection:rows" of each request that wrote some.
  [[nodiscard]] std::vector<std::string> upserts() const {
    std::vector<std::string> upserts;
    for (const FakeRequest& request : server_.requests()) {
      const Json body = Json::parse(request.body);
      upserts.push_back(body.at("collectionName").get<std::string>() + ":" +
                        std::to_string(body.at("data").size()));
    }
    return upserts;
  }

  FakeServer server_;
};

Json rows(std::size_t count) {
  Json made = Json::array();
  for (std::size_t i = 0; i < count; ++i) made.push_back({{"id", std::to_string(i)}});
  return made;
}

TEST_F(Collections, WriteWhatOneRequestTakes) {
  MilvusCollections collections = connect();
  collections.upsert_rows(rows(0), 3);
  EXPECT_THAT(upserts(), IsEmpty());
  collections.upsert_rows(rows(7), 3);
  EXPECT_THAT(upserts(), ElementsAre("videos:3", "videos:3", "videos:1"));
  EXPECT_EQ(Json::parse(server_.requests().back().body).at("data"), Json::array({{{"id", "6"}}}));
}

TEST_F(Collections, WriteValuesBesideTheRows) {
  MilvusCollections collections = connect();
  collections.upsert_values(rows(kPiecesPerRequest + 1));
  EXPECT_THAT(upserts(),
              ElementsAre("videos_values:" + std::to_string(kPiecesPerRequest), "videos_values:1"));
}

TEST_F(Collections, EraseByTheKeyOfEither) {
  MilvusCollections collections = connect();
  const std::vector<std::string> keys(kKeysPerRequest + 1, "k");
  collections.erase_rows(keys);
  collections.erase_values(std::vector<std::string>{"v"});
  collections.erase_values({});
  std::vector<std::pair<std::string, std::size_t>> erased;
  for (const FakeRequest& request : server_.requests()) {
    const Json body = Json::parse(request.body);
    const auto filter = body.at("expr").get<std::string>();
    erased.emplace_back(
        body.at("collection_name").get<std::string>() + " " + filter.substr(0, filter.find('[')),
        std::count(filter.begin(), filter.end(), '"') / 2);
  }
  EXPECT_THAT(erased, ElementsAre(std::pair("videos id in ", kKeysPerRequest),
                                  std::pair("videos id in ", std::size_t{1}),
                                  std::pair("videos_values key in ", std::size_t{1})));
}

}  // namespace
}  // namespace mmra::bank
