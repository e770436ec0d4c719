#include "mmra/hub/json_fields.h"

namespace mmra::hub {
namespace {

constexpr int kMaxDepth = 32;

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& where) {
  bool is_too_deep = false;
  const auto watch = [&](int depth, nlohmann::json::parse_event_t /*event*/,
                         nlohmann::json& /*value*/) {
    is_too_deep = is_too_deep || depth > kMaxDepth;
    return !is_too_deep;
  };
  nlohmann::json parsed =
      nlohmann::json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  if (is_too_deep) {
    throw Error(ErrorKind::kCorruptData,
                where + ": nested deeper than " + std::to_string(kMaxDepth) + " levels");
  }
  if (parsed.is_discarded()) throw Error(ErrorKind::kCorruptData, where + ": not valid JSON");
  return parsed;
}

}  // namespace mmra::hub
