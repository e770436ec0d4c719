#include "mmra/bank/failures.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::bank {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

void write_failures(const std::filesystem::path& file, std::span<const IngestFailure> failures) {
  std::string lines;
  for (const IngestFailure& failure : failures) {
    const Json object = {{"id", failure.id},
                         {"line", failure.line},
                         {"video", failure.video},
                         {"what", failure.what}};
    // A file's name need not be UTF-8.
    lines += object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  write_file_atomically(file, lines);
}

std::vector<IngestFailure> read_failures(const std::filesystem::path& file) {
  std::vector<IngestFailure> failures;
  std::string text;
  try {
    text = read_file(file);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kNotFound) return failures;
    throw;
  }
  std::istringstream stream(text);
  std::string line;
  for (int number = 1; std::getline(stream, line); ++number) {
    try {
      const Json object = Json::parse(line);
      failures.push_back({object.at("id").get<std::string>(), object.at("line").get<std::int64_t>(),
                          object.at("video").get<std::string>(),
                          object.at("what").get<std::string>()});
    } catch (const Json::exception&) {
      throw Error(ErrorKind::kCorruptData,
                  file.string() + ", line " + std::to_string(number) +
                      ": expected an object with id, line, video and what");
    }
  }
  return failures;
}

}  // namespace mmra::bank
