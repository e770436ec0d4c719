#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/serving/bank_listing.h"

namespace mmra::serving {

/// A document as a response's body: UTF-8, what is not is replaced.
[[nodiscard]] std::string to_text(const nlohmann::ordered_json& document);

/// Where a record's first thumbnail is served; null for one without a video.
[[nodiscard]] nlohmann::ordered_json thumbnail_url(std::string_view id, bool has_video);

[[nodiscard]] nlohmann::ordered_json to_json(const ListedRecord& record);
/// A record with its captions, context, thumbnails' addresses and counts; no path of its video.
[[nodiscard]] nlohmann::ordered_json to_json(const bank::Record& record,
                                             const bank::PopularityHistory& history);

/// {"edges", "counts"}: how many labelled records lie in each bin of log2 popularity (zero counted
/// as one); bins of equal width, at most 40. `labels` are popularities, ascending.
[[nodiscard]] nlohmann::ordered_json distribution_of(std::span<const double> labels);

/// "data:image/jpeg;base64,…"
[[nodiscard]] std::string to_data_url(std::span<const std::uint8_t> jpeg);

}  // namespace mmra::serving
