#include "mmra/serving/json_request.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "mmra/bank/text_checks.h"
#include "mmra/serving/problem.h"

namespace mmra::serving {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& code, const std::string& detail,
                         const std::string& hint) {
  throw Refusal(bad_request(code, detail, hint));
}

[[noreturn]] void wrong_type(const std::string& name, const std::string& expected,
                             const json& value) {
  refuse("invalid_member", "\"" + name + "\" must be " + expected + ", not " + value.type_name(),
         "GET /openapi.json says what each member is");
}

void check_text(const std::string& name, const std::string& text, std::size_t max_bytes) {
  if (text.size() > max_bytes) {
    throw Refusal({413, "too_large",
                   "\"" + name + "\" has " + std::to_string(text.size()) + " bytes, at most " +
                       std::to_string(max_bytes) + " are taken",
                   "send fewer words"});
  }
  if (bank::find_invalid_utf8(text)) {
    refuse("invalid_member", "\"" + name + "\" holds a zero byte or is not UTF-8",
           "send text alone");
  }
}

}  // namespace

json parse_body(std::string_view text) {
  const auto watch_depth = [](int depth, json::parse_event_t event, json& /*parsed*/) {
    const bool opens =
        event == json::parse_event_t::object_start || event == json::parse_event_t::array_start;
    if (opens && depth >= kMaxJsonDepth) {
      refuse("invalid_json",
             "the body is nested deeper than " + std::to_string(kMaxJsonDepth) + " levels",
             "no request needs that");
    }
    return true;
  };
  json body;
  try {
    body = json::parse(text, watch_depth);
  } catch (const json::exception&) {
    refuse("invalid_json", "the body is not JSON",
           "send one JSON object in UTF-8, and Content-Type: application/json");
  }
  if (!body.is_object()) {
    refuse("invalid_json",
           std::string("the body is a JSON ") + body.type_name() + ", an object is needed",
           "send {\"name\": value, …}");
  }
  return body;
}

RequestMembers::RequestMembers(json object) : object_(std::move(object)) {}

bool RequestMembers::has(const char* name) const {
  const auto found = object_.find(name);
  return found != object_.end() && !found->is_null();
}

json RequestMembers::take(const char* name) {
  const auto found = object_.find(name);
  if (found == object_.end()) return nullptr;
  json value = std::move(*found);
  object_.erase(found);
  return value;
}

std::optional<std::string> RequestMembers::text(const char* name, std::size_t max_bytes) {
  const json value = take(name);
  if (value.is_null()) return std::nullopt;
  if (!value.is_string()) wrong_type(name, "a text", value);
  auto text = value.get<std::string>();
  check_text(name, text, max_bytes);
  return text;
}

std::optional<double> RequestMembers::number(const char* name) {
  const json value = take(name);
  if (value.is_null()) return std::nullopt;
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    wrong_type(name, "a number", value);
  }
  return value.get<double>();
}

std::optional<Timestamp> RequestMembers::time(const char* name) {
  const json value = take(name);
  if (value.is_null()) return std::nullopt;
  if (value.is_number()) return to_time(name, value.dump());
  if (!value.is_string()) wrong_type(name, "a time", value);
  return to_time(name, value.get<std::string>());
}

std::optional<std::vector<std::string>> RequestMembers::texts(const char* name,
                                                              std::size_t max_items,
                                                              std::size_t max_bytes) {
  const json value = take(name);
  if (value.is_null()) return std::nullopt;
  if (!value.is_array()) wrong_type(name, "a list of texts", value);
  if (value.size() > max_items) {
    throw Refusal({413, "too_large",
                   std::string("\"") + name + "\" has " + std::to_string(value.size()) +
                       " items, at most " + std::to_string(max_items) + " are taken",
                   "send them in several requests"});
  }
  std::vector<std::string> texts;
  for (const json& item : value) {
    if (!item.is_string()) wrong_type(name, "a list of texts", item);
    check_text(name, texts.emplace_back(item.get<std::string>()), max_bytes);
  }
  return texts;
}

bank::Context RequestMembers::context(const char* name, const bank::BankSchema& schema) {
  const json value = take(name);
  if (value.is_null()) return {};
  if (!value.is_object()) wrong_type(name, "an object of columns", value);
  if (value.size() > kMaxContextColumns) {
    refuse("invalid_member", std::string("\"") + name + "\" has too many columns",
           "GET /v1/model lists the bank's columns");
  }
  bank::Context context;
  for (const auto& [column, cell] : value.items()) {
    if (cell.is_null()) continue;
    const std::string place = std::string(name) + "." + column.substr(0, 100);
    const auto known = schema.context_columns.find(column);
    if (known == schema.context_columns.end()) {
      refuse("unknown_member", "the bank has no column " + bank::in_quotes(column),
             "GET /v1/model lists the bank's columns");
    }
    if (known->second == bank::ColumnType::kNumber) {
      if (!cell.is_number()) wrong_type(place, "a number, as the bank's column is", cell);
      context.emplace(column, cell.get<double>());
    } else {
      if (!cell.is_string()) wrong_type(place, "a text, as the bank's column is", cell);
      check_text(place, cell.get<std::string>(), kMaxContextValueBytes);
      context.emplace(column, cell.get<std::string>());
    }
  }
  return context;
}

void RequestMembers::expect_empty() const {
  if (object_.empty()) return;
  refuse("unknown_member",
         "there is no member " + bank::in_quotes(object_.items().begin().key()) + " here",
         "GET /openapi.json lists those that there are");
}

Timestamp to_time(const std::string& name, const std::string& text) {
  if (const auto time = parse_timestamp(text)) return *time;
  refuse("invalid_member", "\"" + name + "\" is no time: " + bank::in_quotes(text),
         "write it like 2024-07-14T09:30:00Z or as seconds since 1970");
}

int to_integer(const std::string& name, const std::string& text, int minimum, int maximum) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < minimum ||
      value > maximum) {
    refuse("invalid_parameter",
           name + " must be a whole number from " + std::to_string(minimum) + " to " +
               std::to_string(maximum) + ", not " + bank::in_quotes(text),
           "GET /openapi.json lists the parameters");
  }
  return value;
}

}  // namespace mmra::serving
