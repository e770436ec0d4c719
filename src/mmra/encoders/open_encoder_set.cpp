#include <nlohmann/json.hpp>
#include <string>

#include "mmra/core/files.h"
#include "mmra/core/memory.h"
#include "mmra/encoders/builtin/builtin_encoders.h"
#include "mmra/encoders/encoder_set.h"
#include "mmra/encoders/pretrained/pretrained_encoders.h"

namespace mmra::encoders {
namespace {

/// Of which kind the artefact in `directory` is; empty where it does not say, which the reader of
/// the builtin kind then complains about.
std::string kind_of(const std::filesystem::path& directory) {
  const auto document = nlohmann::json::parse(read_file(directory / "encoders.json"), nullptr,
                                              /*allow_exceptions=*/false);
  if (!document.is_object()) return {};
  const auto kind = document.find("kind");
  return kind != document.end() && kind->is_string() ? kind->get<std::string>() : std::string();
}

}  // namespace

void freeze_pretrained(const std::filesystem::path& set_directory,
                       const std::filesystem::path& directory) {
  write_set_artefact(survey_set(set_directory), directory);
}

std::string fingerprint_of_set(const std::filesystem::path& set_directory) {
  return survey_set(set_directory).fingerprint;
}

EncoderSet open_encoder_set(const std::filesystem::path& directory, Precision precision) {
  if (kind_of(directory) == "pretrained") {
    return_large_blocks_to_system();  // a captioner's keys and values are hundreds of megabytes
    return open_pretrained(directory, precision);
  }
  return open_builtin(directory);
}

}  // namespace mmra::encoders
