#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mmra/bank/text_checks.h"
#include "mmra/serving/json_request.h"
#include "mmra/serving/tokens.h"
#include "mmra/serving/url.h"
#include "outcome.h"

namespace {

using mmra::fuzz::outcome_of;
using mmra::fuzz::require;

void read_body(std::string_view text) {
  mmra::bank::BankSchema schema;
  schema.context_columns = {{"n", mmra::bank::ColumnType::kNumber},
                            {"c", mmra::bank::ColumnType::kCategory}};
  static_cast<void>(outcome_of([&] {
    mmra::serving::RequestMembers members(mmra::serving::parse_body(text));
    const auto title = members.text("title", mmra::serving::kMaxTitleBytes);
    require(!title || title->size() <= mmra::serving::kMaxTitleBytes, "a title beyond its limit");
    require(!title || !mmra::bank::find_invalid_utf8(*title), "a title that is not UTF-8");
    static_cast<void>(members.time("as_of"));
    static_cast<void>(members.number("popularity"));
    static_cast<void>(members.texts("titles", 20, 100));
    static_cast<void>(members.context("context", schema));
    members.expect_empty();
    return std::string();
  }));
}

void read_target(std::string_view text) {
  const auto target = mmra::serving::parse_target(text);
  if (!target) return;
  for (const std::string& segment : target->segments) {
    require(!mmra::bank::find_invalid_utf8(segment), "a segment that is not UTF-8");
    const auto again = mmra::serving::parse_target("/" + mmra::serving::escape_segment(segment));
    require(segment.empty() || (again && again->segments.at(0) == segment),
            "a segment does not come back");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_body(text);
  read_target(text);
  static_cast<void>(outcome_of([&] {
    return mmra::serving::TokenList::parse(text, "tokens").empty() ? std::string("none")
                                                                   : std::string("some");
  }));
  return 0;
}
