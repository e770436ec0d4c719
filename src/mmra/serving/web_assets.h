#pragma once

#include <span>
#include <string_view>

namespace mmra::serving {

/// A file of web/, embedded when the program was built.
struct WebAsset {
  std::string_view name;  ///< "index.html", "app.js"
  std::string_view content_type;
  std::string_view content;
};

[[nodiscard]] std::span<const WebAsset> web_assets();

}  // namespace mmra::serving
