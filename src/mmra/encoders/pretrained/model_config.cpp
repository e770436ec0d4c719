#include "mmra/encoders/pretrained/model_config.h"

#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::encoders {
namespace {

constexpr std::size_t kShownValue = 60;  // of a wrong value, so that messages stay short

std::string shown(const nlohmann::json& value) {
  if (value.is_structured()) return value.is_array() ? "a list" : "an object";
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > kShownValue) text = text.substr(0, kShownValue) + "...";
  return text;
}

std::string shown(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

}  // namespace

ModelConfig::ModelConfig(std::shared_ptr<const nlohmann::json> object, std::string origin,
                         std::string path)
    : object_(std::move(object)), origin_(std::move(origin)), path_(std::move(path)) {}

ModelConfig ModelConfig::read(const std::filesystem::path& path) {
  return parse(read_file(path), path.string());
}

ModelConfig ModelConfig::parse(std::string_view text, const std::string& origin) {
  auto object = std::make_shared<const nlohmann::json>(
      nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false));
  if (!object->is_object()) {
    throw Error(ErrorKind::kCorruptData, origin + " is not a JSON object; download it again");
  }
  return {std::move(object), origin, ""};
}

const nlohmann::json* ModelConfig::find(const std::string& key) const {
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

bool ModelConfig::has(const std::string& key) const { return find(key) != nullptr; }

bool ModelConfig::has_text(const std::string& key) const {
  const nlohmann::json* value = find(key);
  return value != nullptr && value->is_string();
}

const nlohmann::json& ModelConfig::need(const std::string& key, const std::string& expected) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) {
    throw Error(ErrorKind::kCorruptData,
                origin_ + " has no \"" + path_ + key + "\"; expected " + expected);
  }
  return *value;
}

void ModelConfig::fail(const std::string& key, const std::string& expected,
                       const nlohmann::json& found) const {
  throw Error(ErrorKind::kCorruptData,
              origin_ + ": \"" + path_ + key + "\" is " + shown(found) + "; expected " + expected);
}

std::int64_t ModelConfig::integer(const std::string& key, std::int64_t smallest,
                                  std::int64_t largest,
                                  std::optional<std::int64_t> fallback) const {
  if (fallback && !has(key)) return *fallback;
  const std::string expected =
      "a whole number from " + std::to_string(smallest) + " to " + std::to_string(largest);
  const nlohmann::json& value = need(key, expected);
  const bool fits_signed =
      value.is_number_integer() &&
      !(value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{INT64_MAX});
  if (!fits_signed) fail(key, expected, value);
  const auto number = value.get<std::int64_t>();
  if (number < smallest || number > largest) fail(key, expected, value);
  return number;
}

double ModelConfig::number(const std::string& key, double smallest, double largest,
                           std::optional<double> fallback) const {
  if (fallback && !has(key)) return *fallback;
  const std::string expected = "a number from " + shown(smallest) + " to " + shown(largest);
  const nlohmann::json& value = need(key, expected);
  if (!value.is_number()) fail(key, expected, value);
  const auto number = value.get<double>();
  if (!(number >= smallest && number <= largest)) fail(key, expected, value);
  return number;
}

bool ModelConfig::boolean(const std::string& key, std::optional<bool> fallback) const {
  if (fallback && !has(key)) return *fallback;
  const nlohmann::json& value = need(key, "true or false");
  if (!value.is_boolean()) fail(key, "true or false", value);
  return value.get<bool>();
}

std::string ModelConfig::text(const std::string& key,
                              const std::optional<std::string>& fallback) const {
  if (fallback && !has(key)) return *fallback;
  const nlohmann::json& value = need(key, "a string");
  if (!value.is_string()) fail(key, "a string", value);
  return value.get<std::string>();
}

ModelConfig ModelConfig::section(const std::string& key) const {
  const nlohmann::json& value = need(key, "an object");
  if (!value.is_object()) fail(key, "an object", value);
  return {std::shared_ptr<const nlohmann::json>(object_, &value), origin_, path_ + key + "."};
}

}  // namespace mmra::encoders
