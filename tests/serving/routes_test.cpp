#include "mmra/serving/routes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "mmra/serving/web_assets.h"

namespace mmra::serving {
namespace {

nlohmann::json openapi() {
  for (const WebAsset& asset : web_assets()) {
    if (asset.name == "openapi.json") return nlohmann::json::parse(asset.content);
  }
  ADD_FAILURE() << "no openapi.json";
  return {};
}

TEST(Routes, AreThoseOfOpenApi) {
  const nlohmann::json paths = openapi()["paths"];
  std::size_t num_documented = 0;
  for (const auto& [path, operations] : paths.items()) {
    for (const auto& [method, operation] : operations.items()) {
      num_documented += method == "parameters" ? 0 : 1;
    }
  }
  EXPECT_EQ(num_documented, all_routes().size());
  for (const Route& route : all_routes()) {
    std::string method(route.method);
    std::transform(method.begin(), method.end(), method.begin(), ::tolower);
    ASSERT_TRUE(paths.contains(std::string(route.path))) << route.path;
    ASSERT_TRUE(paths[std::string(route.path)].contains(method)) << route.path << " " << method;
    const nlohmann::json& operation = paths[std::string(route.path)][method];
    EXPECT_EQ(operation.contains("requestBody"), route.takes_json || route.takes_form)
        << route.path;
    EXPECT_EQ(operation.contains("security"), route.access == Access::kOpen) << route.path;
    EXPECT_EQ(operation["responses"].contains("401"), route.access != Access::kOpen) << route.path;
  }
}

TEST(Routes, AreFoundBySegments) {
  EXPECT_EQ(routes_of({}).size(), 1U);
  EXPECT_EQ(routes_of({"v1", "videos"}).size(), 2U);
  EXPECT_EQ(routes_of({"v1", "videos", "a/b"}).size(), 3U);
  EXPECT_EQ(routes_of({"v1", "videos", "x", "thumbnails", "0.jpg"}).size(), 1U);
  EXPECT_TRUE(routes_of({"v1"}).empty());
  EXPECT_TRUE(routes_of({"v1", "videos", ""}).empty());
  EXPECT_TRUE(routes_of({"v1", "videos", "x", "thumbnails"}).empty());
  EXPECT_TRUE(routes_of({"v1", "predict", "x"}).empty());
}

}  // namespace
}  // namespace mmra::serving
