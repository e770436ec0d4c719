#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "mmra/bank/text_checks.h"
#include "mmra/core/files.h"
#include "mmra/serving/body_reader.h"
#include "outcome.h"

namespace {

using mmra::serving::BodyPlan;
using mmra::serving::BodyReader;
using mmra::serving::Request;

constexpr std::uint64_t kMaxBytes = 4096;
constexpr std::size_t kMaxFieldBytes = 64;
constexpr std::size_t kMaxFields = 4;

std::string read(const std::string& content_type, std::string_view body, std::size_t piece_bytes) {
  const BodyPlan plan{BodyPlan::Kind::kForm, kMaxBytes, kMaxFieldBytes, kMaxFields, nullptr};
  return mmra::fuzz::outcome_of([&] {
    BodyReader reader(plan, content_type, std::filesystem::temp_directory_path());
    for (std::size_t at = 0; at < body.size(); at += piece_bytes) {
      reader.append(body.substr(at, piece_bytes));
    }
    Request request;
    reader.finish(request);
    mmra::fuzz::require(request.form.has_value(), "a form without a form");
    mmra::fuzz::require(request.form->fields.size() <= kMaxFields, "more fields than may be");
    std::string all;
    for (const auto& [name, value] : request.form->fields) {
      mmra::fuzz::require(value.size() <= kMaxFieldBytes, "a field longer than it may be");
      mmra::fuzz::require(!mmra::bank::find_invalid_utf8(value), "a field that is not UTF-8");
      all += name + "=" + value + "\n";
    }
    if (request.form->video) all += mmra::read_file(request.form->video->path());
    return all;
  });
}

}  // namespace

// The first line is the Content-Type, the rest the body.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(input.find('\n'), input.size());
  const std::string type(input.substr(0, end));
  const std::string_view body = input.substr(std::min(end + 1, input.size()));
  const std::string whole = read(type, body, 1 << 16);
  const std::string pieces = read(type, body, size % 7 + 1);
  // Which of two faults is noticed first may differ; what was read may not.
  const auto is_form = [](const std::string& outcome) { return outcome.find('=') != outcome.npos; };
  mmra::fuzz::require(!is_form(whole) || !is_form(pieces) || whole == pieces,
                      "the pieces of a body matter");
  return 0;
}
