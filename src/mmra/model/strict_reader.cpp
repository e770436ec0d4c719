#include "mmra/model/strict_reader.h"

#include <utility>

#include "mmra/core/error.h"

namespace mmra::model {

using Json = nlohmann::ordered_json;

StrictReader::StrictReader(const Json& object, std::string origin, std::string advice)
    : object_(object), origin_(std::move(origin)), advice_(std::move(advice)) {
  if (!object.is_object()) fail("is not a JSON object");
}

void StrictReader::read(const std::string& key, bool& out) {
  const Json& value = take(key);
  if (!value.is_boolean()) wrong_type(key, "true or false", value);
  out = value.get<bool>();
}

void StrictReader::read(const std::string& key, int& out) { out = integer(key, take(key)); }

void StrictReader::read(const std::string& key, std::int64_t& out) {
  out = whole_number(key, take(key));
}

void StrictReader::read(const std::string& key, std::uint64_t& out) {
  const Json& value = take(key);
  if (!value.is_number_unsigned()) wrong_type(key, "a whole number", value);
  out = value.get<std::uint64_t>();
}

void StrictReader::read(const std::string& key, double& out) {
  const Json& value = take(key);
  if (!value.is_number()) wrong_type(key, "a number", value);
  out = value.get<double>();
}

void StrictReader::read(const std::string& key, std::string& out) {
  const Json& value = take(key);
  if (!value.is_string()) wrong_type(key, "a string", value);
  out = value.get<std::string>();
}

void StrictReader::read(const std::string& key, std::vector<int>& out) {
  const Json& value = take(key);
  if (!value.is_array()) wrong_type(key, "a list of whole numbers", value);
  out.clear();
  for (const Json& element : value) out.push_back(integer(key, element));
}

void StrictReader::read(const std::string& key, std::vector<double>& out) {
  const Json& value = take(key);
  if (!value.is_array()) wrong_type(key, "a list of numbers", value);
  out.clear();
  for (const Json& element : value) {
    if (!element.is_number()) wrong_type(key, "a list of numbers", element);
    out.push_back(element.get<double>());
  }
}

void StrictReader::read_number_or_null(const std::string& key, double if_null, double& out) {
  const Json& value = take(key);
  if (!value.is_null() && !value.is_number()) wrong_type(key, "a number or null", value);
  out = value.is_null() ? if_null : value.get<double>();
}

StrictReader StrictReader::below(const std::string& key) {
  return {take(key), origin_ + ", under \"" + key + "\",", advice_};
}

bool StrictReader::has(const std::string& key) const { return object_.contains(key); }

const Json& StrictReader::take(const std::string& key) {
  const auto found = object_.find(key);
  if (found == object_.end()) fail("has no key \"" + key + "\"");
  taken_.insert(key);
  return *found;
}

void StrictReader::expect_nothing_else() const {
  for (const auto& [key, value] : object_.items()) {
    if (taken_.count(key) == 0) fail("has the unknown key \"" + key + "\"");
  }
}

void StrictReader::fail(const std::string& what) const {
  throw Error(ErrorKind::kCorruptData, origin_ + " " + what + "; " + advice_);
}

std::int64_t StrictReader::whole_number(const std::string& key, const Json& value) const {
  if (!value.is_number_integer()) wrong_type(key, "a whole number", value);
  const auto wide = value.get<std::int64_t>();
  // Numbers above 2^63 come out negative.
  if (value.is_number_unsigned() && wide < 0) out_of_range(key);
  return wide;
}

int StrictReader::integer(const std::string& key, const Json& value) const {
  const std::int64_t wide = whole_number(key, value);
  if (wide != static_cast<int>(wide)) out_of_range(key);
  return static_cast<int>(wide);
}

void StrictReader::out_of_range(const std::string& key) const {
  fail("has a number out of range under \"" + key + "\"");
}

void StrictReader::wrong_type(const std::string& key, const std::string& expected,
                              const Json& value) const {
  fail("has " + std::string(value.type_name()) + " under \"" + key + "\", expected " + expected);
}

}  // namespace mmra::model
