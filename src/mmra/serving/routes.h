#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/serving/http_message.h"

namespace mmra::serving {

enum class Endpoint {
  kPage,
  kAsset,
  kHealth,
  kReady,
  kMetrics,
  kOpenApi,
  kModel,
  kPredict,
  kSearch,
  kSearchByForm,
  kCompare,
  kListVideos,
  kAddVideo,
  kGetVideo,
  kChangeVideo,
  kRemoveVideo,
  kGetThumbnail,
  kReload,
};

/// Who may ask: everybody, those with a token, those with a token for writing. Without configured
/// tokens all may.
enum class Access { kOpen, kRead, kWrite };

struct Route {
  Endpoint endpoint;
  std::string_view method;
  std::string_view path;  ///< as in openapi.json: "/v1/videos/{id}"
  Access access = Access::kRead;
  bool takes_json = false;
  bool takes_form = false;
};

/// All that the API has.
[[nodiscard]] std::span<const Route> all_routes();

/// The routes of a path, whatever their method; empty where there is none. HEAD is GET's.
[[nodiscard]] std::vector<const Route*> routes_of(const std::vector<std::string>& segments);

}  // namespace mmra::serving
