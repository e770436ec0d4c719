// What a studio's export is made of: any bytes as a file's text, as a number, as a date, as an
// address and as a map of columns.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mmra/bank/text_checks.h"
#include "mmra/pipeline/export/count.h"
#include "mmra/pipeline/export/date.h"
#include "mmra/pipeline/export/text_file.h"
#include "mmra/pipeline/import_csv.h"
#include "outcome.h"

namespace {

using mmra::fuzz::require;
namespace pipeline = mmra::pipeline;

void check_count(std::string_view cell) {
  static_cast<void>(pipeline::is_unknown(cell));
  const auto evidence = pipeline::decimal_evidence(cell);
  for (const auto decimal : {std::optional<char>(), std::optional('.'), std::optional(',')}) {
    const pipeline::CountCell count = pipeline::parse_count(cell, decimal);
    require(count.value.has_value() == count.problem.empty(), "neither a number nor a problem");
    if (!count.value) continue;
    require(std::isfinite(*count.value) && *count.value >= 0.0, "a number that is no count");
    require(!evidence || !decimal || *evidence == *decimal, "a number against its own mark");
  }
}

void check_date(std::string_view cell) {
  const auto evidence = pipeline::order_evidence(cell);
  pipeline::DateOptions options;
  options.year = 2024;
  for (const auto order : {pipeline::DateOrder::kDayFirst, pipeline::DateOrder::kMonthFirst}) {
    options.order = order;
    const pipeline::DateCell date = pipeline::parse_date(cell, options);
    require(date.time.has_value() == date.problem.empty(), "neither a date nor a problem");
    require(!date.time || !evidence || *evidence == order, "a date against its own order");
  }
  static_cast<void>(pipeline::parse_offset(cell));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  check_count(text);
  check_date(text);
  static_cast<void>(pipeline::find_delimiter(text));
  static_cast<void>(pipeline::id_of_address(text));
  static_cast<void>(mmra::fuzz::outcome_of(
      [&] { return pipeline::parse_column_map(text).empty() ? std::string() : "columns"; }));
  for (const char* encoding : {"", "gb18030", "UTF-16"}) {
    static_cast<void>(mmra::fuzz::outcome_of([&] {
      const pipeline::TextFile file = pipeline::decode_text(text, "f", encoding);
      require(!mmra::bank::find_invalid_utf8(file.text), "text that is not UTF-8");
      return file.encoding;
    }));
  }
  return 0;
}
