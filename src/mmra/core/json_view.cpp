#include "mmra/core/json_view.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "mmra/core/error.h"

namespace mmra {
namespace {

constexpr std::size_t kMaxShownBytes = 40;

/// A scalar as it is in the file, cut where it is long.
std::string shown(const nlohmann::json& value) {
  if (value.is_structured()) return value.type_name();
  std::string text = value.dump();
  if (text.size() > kMaxShownBytes) text = text.substr(0, kMaxShownBytes) + " ...";
  return text;
}

}  // namespace

JsonView::JsonView(std::shared_ptr<const nlohmann::json> root, const nlohmann::json* value,
                   std::string origin, std::string path)
    : root_(std::move(root)), value_(value), origin_(std::move(origin)), path_(std::move(path)) {}

JsonView JsonView::parse(std::string_view text, const std::string& origin) {
  auto root = std::make_shared<const nlohmann::json>(
      nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false));
  if (!root->is_object()) {
    throw Error(ErrorKind::kCorruptData,
                origin + " is not a JSON object; download or copy it again");
  }
  const nlohmann::json* value = root.get();
  return {std::move(root), value, origin, ""};
}

JsonView JsonView::below(const nlohmann::json& value, const std::string& step) const {
  return {root_, &value, origin_, path_.empty() ? step : path_ + "." + step};
}

std::optional<JsonView> JsonView::find(const std::string& key) const {
  expect_object();
  const auto found = value_->find(key);
  if (found == value_->end() || found->is_null()) return std::nullopt;
  return below(*found, key);
}

JsonView JsonView::at(const std::string& key) const {
  auto found = find(key);
  if (!found) fail("lacks the key \"" + key + "\"");
  return *std::move(found);
}

std::vector<JsonView> JsonView::elements() const {
  if (!value_->is_array()) wrong_type("a list");
  std::vector<JsonView> elements;
  elements.reserve(value_->size());
  for (const nlohmann::json& element : *value_) {
    elements.push_back(below(element, std::to_string(elements.size())));
  }
  return elements;
}

bool JsonView::boolean() const {
  if (!value_->is_boolean()) wrong_type("true or false");
  return value_->get<bool>();
}

double JsonView::number() const {
  if (!value_->is_number()) wrong_type("a number");
  const auto number = value_->get<double>();
  if (!std::isfinite(number)) wrong_type("a finite number");
  return number;
}

std::int32_t JsonView::integer() const {
  if (!value_->is_number_integer()) wrong_type("a whole number");
  const auto wide = value_->get<std::int64_t>();
  // Numbers above 2^63 come out negative.
  const bool wrapped = value_->is_number_unsigned() && wide < 0;
  if (wrapped || wide < std::numeric_limits<std::int32_t>::min() ||
      wide > std::numeric_limits<std::int32_t>::max()) {
    wrong_type("a whole number of 32 bits");
  }
  return static_cast<std::int32_t>(wide);
}

std::string JsonView::string() const {
  if (!value_->is_string()) wrong_type("a string");
  return value_->get<std::string>();
}

void JsonView::expect_object() const {
  if (!value_->is_object()) wrong_type("an object");
}

bool JsonView::is_object() const noexcept { return value_->is_object(); }
bool JsonView::is_string() const noexcept { return value_->is_string(); }
bool JsonView::is_number() const noexcept { return value_->is_number(); }

bool JsonView::boolean_or(const std::string& key, bool otherwise) const {
  const auto found = find(key);
  return found ? found->boolean() : otherwise;
}

double JsonView::number_or(const std::string& key, double otherwise) const {
  const auto found = find(key);
  return found ? found->number() : otherwise;
}

std::int32_t JsonView::integer_or(const std::string& key, std::int32_t otherwise) const {
  const auto found = find(key);
  return found ? found->integer() : otherwise;
}

std::string JsonView::string_or(const std::string& key, std::string otherwise) const {
  const auto found = find(key);
  return found ? found->string() : std::move(otherwise);
}

std::string JsonView::place() const {
  return path_.empty() ? origin_ : origin_ + ", \"" + path_ + "\"";
}

void JsonView::fail(const std::string& what) const {
  throw Error(ErrorKind::kCorruptData, place() + ": " + what);
}

void JsonView::wrong_type(const std::string& expected) const {
  fail("has " + shown(*value_) + ", expected " + expected);
}

}  // namespace mmra
