#include "mmra/serving/answers.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "mmra/core/binary_text.h"
#include "mmra/serving/url.h"

namespace mmra::serving {
namespace {

using nlohmann::ordered_json;

constexpr int kMaxBins = 40;

ordered_json time_or_null(const std::optional<Timestamp>& time) {
  return time ? ordered_json(format_timestamp(*time)) : ordered_json(nullptr);
}

ordered_json number_or_null(const std::optional<double>& number) {
  return number ? ordered_json(*number) : ordered_json(nullptr);
}

std::string thumbnail_path(std::string_view id, std::size_t number) {
  return "/v1/videos/" + escape_segment(id) + "/thumbnails/" + std::to_string(number) + ".jpg";
}

}  // namespace

std::string to_text(const ordered_json& document) {
  return document.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json thumbnail_url(std::string_view id, bool has_video) {
  return has_video ? ordered_json(thumbnail_path(id, 0)) : ordered_json(nullptr);
}

ordered_json to_json(const ListedRecord& record) {
  return {{"id", record.id},
          {"title", record.title},
          {"popularity", number_or_null(record.popularity)},
          {"posted_at", time_or_null(record.posted_at)},
          {"split", bank::name_of(record.split)},
          {"has_video", record.has_video},
          {"thumbnail_url", thumbnail_url(record.id, record.has_video)}};
}

ordered_json to_json(const bank::Record& record, const bank::PopularityHistory& history) {
  ordered_json document = to_json(listed(record));
  document["captions"] = record.captions;
  document["context"] = ordered_json::object();
  for (const auto& [name, value] : record.context) {
    std::visit([&, &key = name](const auto& held) { document["context"][key] = held; }, value);
  }
  document["thumbnails"] = ordered_json::array();
  for (std::size_t i = 0; i < record.thumbnails.size(); ++i) {
    document["thumbnails"].push_back(thumbnail_path(record.id, i));
  }
  if (record.thumbnails.empty()) document["thumbnail_url"] = nullptr;
  document["counts"] = ordered_json::array();
  for (const bank::Observation& count : history.timed) {
    document["counts"].push_back(
        {{"popularity", count.popularity}, {"observed_at", format_timestamp(count.observed_at)}});
  }
  return document;
}

ordered_json distribution_of(std::span<const double> labels) {
  ordered_json edges = ordered_json::array();
  ordered_json counts = ordered_json::array();
  if (!labels.empty()) {
    const double low = std::floor(bank::log2_popularity(labels.front()));
    const double high = std::max(low + 1.0, std::ceil(bank::log2_popularity(labels.back())));
    double width = 0.5;
    while ((high - low) / width > kMaxBins) width *= 2.0;
    const auto num_bins = static_cast<std::size_t>(std::ceil((high - low) / width));
    std::vector<std::int64_t> bins(num_bins, 0);
    for (const double label : labels) {
      const auto bin = static_cast<std::size_t>((bank::log2_popularity(label) - low) / width);
      ++bins[std::min(bin, num_bins - 1)];
    }
    for (std::size_t i = 0; i <= num_bins; ++i) {
      edges.push_back(low + width * static_cast<double>(i));
    }
    counts = bins;
  }
  return {{"edges", std::move(edges)}, {"counts", std::move(counts)}};
}

std::string to_data_url(std::span<const std::uint8_t> jpeg) {
  return "data:image/jpeg;base64," + to_base64(jpeg);
}

}  // namespace mmra::serving
