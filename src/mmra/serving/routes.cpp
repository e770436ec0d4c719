#include "mmra/serving/routes.h"

#include <algorithm>

namespace mmra::serving {
namespace {

constexpr Route kRoutes[] = {
    {Endpoint::kPage, "GET", "/", Access::kOpen},
    {Endpoint::kAsset, "GET", "/assets/{name}", Access::kOpen},
    {Endpoint::kHealth, "GET", "/healthz", Access::kOpen},
    {Endpoint::kReady, "GET", "/readyz", Access::kOpen},
    {Endpoint::kMetrics, "GET", "/metrics", Access::kRead},
    {Endpoint::kOpenApi, "GET", "/openapi.json", Access::kOpen},
    {Endpoint::kModel, "GET", "/v1/model", Access::kRead},
    {Endpoint::kPredict, "POST", "/v1/predict", Access::kRead, true, true},
    {Endpoint::kCompare, "POST", "/v1/compare", Access::kRead, true, true},
    {Endpoint::kSearch, "GET", "/v1/search", Access::kRead},
    {Endpoint::kSearchByForm, "POST", "/v1/search", Access::kRead, false, true},
    {Endpoint::kListVideos, "GET", "/v1/videos", Access::kRead},
    {Endpoint::kAddVideo, "POST", "/v1/videos", Access::kWrite, true, true},
    {Endpoint::kGetVideo, "GET", "/v1/videos/{id}", Access::kRead},
    {Endpoint::kChangeVideo, "PATCH", "/v1/videos/{id}", Access::kWrite, true},
    {Endpoint::kRemoveVideo, "DELETE", "/v1/videos/{id}", Access::kWrite},
    {Endpoint::kGetThumbnail, "GET", "/v1/videos/{id}/thumbnails/{file}", Access::kRead},
    {Endpoint::kReload, "POST", "/v1/reload", Access::kWrite},
};

/// Whether the segments are those of the pattern, where {name} stands for any but an empty one.
bool matches(std::string_view pattern, const std::vector<std::string>& segments) {
  pattern.remove_prefix(1);
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (pattern.empty()) return false;
    const std::string_view wanted = pattern.substr(0, pattern.find('/'));
    pattern.remove_prefix(std::min(wanted.size() + 1, pattern.size()));
    const bool fits = wanted.front() == '{' ? !segments[i].empty() : wanted == segments[i];
    if (!fits) return false;
  }
  return pattern.empty();
}

}  // namespace

std::span<const Route> all_routes() { return kRoutes; }

std::vector<const Route*> routes_of(const std::vector<std::string>& segments) {
  std::vector<const Route*> found;
  for (const Route& route : kRoutes) {
    if (matches(route.path, segments)) found.push_back(&route);
  }
  return found;
}

}  // namespace mmra::serving
