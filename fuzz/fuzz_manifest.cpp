// A manifest, CSV or JSON Lines, of any bytes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "mmra/bank/manifest.h"
#include "mmra/bank/text_checks.h"
#include "outcome.h"

namespace {

using mmra::bank::ManifestOptions;
using mmra::bank::ManifestRow;
using mmra::fuzz::require;

mmra::bank::ByteSource source_of(std::string_view text, std::size_t piece_bytes) {
  return [=, at = std::size_t{0}](std::span<char> buffer) mutable {
    const std::size_t size = std::min({piece_bytes, buffer.size(), text.size() - at});
    if (size > 0) std::memcpy(buffer.data(), text.data() + at, size);
    at += size;
    return size;
  };
}

void check_row(const ManifestRow& row) {
  require(row.line > 0, "a row without a line");
  require(!mmra::bank::fault_of_id(row.id), "an id that cannot be one");
  require(!mmra::bank::find_invalid_utf8(row.title), "a title that is not UTF-8");
  require(!row.popularity || *row.popularity >= 0.0, "a popularity below zero");
  require(row.video_path.empty() || row.video_path.front() == '/', "a relative path");
  for (const auto& [name, value] : row.context) {
    require(!name.empty() && !mmra::bank::find_invalid_utf8(name), "a column without a name");
  }
}

std::string read(std::string_view text, std::size_t piece_bytes, const ManifestOptions& options) {
  std::string all;
  const auto visit = [&](const ManifestRow& row) {
    check_row(row);
    all += std::to_string(row.line) + row.id + '|' + row.title + '|' + row.video_path + '|' +
           (row.popularity ? mmra::bank::to_text(*row.popularity) : "") + '|' +
           (row.posted_at ? mmra::bank::to_text(*row.posted_at) : "");
    for (const auto& [name, value] : row.context) {
      all += '|' + name + '=' + mmra::bank::to_text(value);
    }
    return true;
  };
  return mmra::fuzz::outcome_of([&] {
    mmra::bank::read_manifest(source_of(text, piece_bytes), "m", "/videos", visit, options);
    return all;
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string whole = read(text, std::size_t{1} << 16, {});
  require(read(text, size % 7 + 1, {}) == whole, "the pieces that a pipe gives matter");
  static_cast<void>(
      read(text, std::size_t{1} << 16, {{{"followers", mmra::bank::ColumnType::kNumber}}, true}));
  return 0;
}
