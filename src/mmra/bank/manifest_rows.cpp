#include "mmra/bank/manifest_rows.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "mmra/bank/text_checks.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

using Json = nlohmann::ordered_json;

std::string hexadecimal(char byte) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  const auto value = static_cast<unsigned char>(byte);
  return {'0', 'x', kDigits[value >> 4], kDigits[value & 15]};
}

void require_utf8(const std::string& file, const RawValue& value) {
  const auto at = find_invalid_utf8(value.text);
  if (!at) return;
  fail_at(file, value,
          "byte " + std::to_string(*at + 1) + " of the field (" + hexadecimal(value.text[*at]) +
              ") is not UTF-8 text; save the file as UTF-8");
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

class CsvRows final : public RawRowReader {
 public:
  CsvRows(TextInput& input, const std::vector<std::string>& required)
      : file_(input.name()), csv_(input) {
    auto header = csv_.next();
    if (!header) {
      throw Error(ErrorKind::kInvalidInput,
                  file_ + ", line 1: the manifest is empty; expected a header with the columns " +
                      joined(required));
    }
    check_header(*header, required);
    columns_ = std::move(header->fields);
  }

  std::optional<RawRow> next() override {
    auto cells = csv_.next();
    if (!cells) return std::nullopt;
    if (cells->fields.size() != columns_.size()) {
      fail_at_line(file_, cells->line,
                   "found " + std::to_string(cells->fields.size()) + " fields, expected " +
                       std::to_string(columns_.size()) + " as in the header (" +
                       shortened(joined(columns_)) + "); a field with a comma needs quotes");
    }
    RawRow row{cells->line, {}};
    row.values.reserve(columns_.size());
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      row.values.push_back({columns_[i], std::move(cells->fields[i]), RawValue::Kind::kText,
                            cells->field_lines[i], static_cast<int>(i + 1)});
      require_utf8(file_, row.values.back());
    }
    return row;
  }

 private:
  static std::string shortened(const std::string& names) {
    return names.size() <= 100 ? names : names.substr(0, 100) + "…";
  }

  void check_header(const CsvRow& header, const std::vector<std::string>& required) const {
    const auto& names = header.fields;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const RawValue cell{in_quotes(names[i]), names[i], RawValue::Kind::kText,
                          header.field_lines[i], static_cast<int>(i + 1)};
      require_utf8(file_, cell);
      if (names[i].empty()) fail_at(file_, cell, "the header names no column here");
      const auto first = std::find(names.begin(), names.end(), names[i]);
      const auto first_position = static_cast<std::size_t>(first - names.begin());
      if (first_position != i) {
        fail_at(file_, cell,
                "the header names this column twice, at positions " +
                    std::to_string(first_position + 1) + " and " + std::to_string(i + 1));
      }
    }
    for (const std::string& column : required) {
      if (std::find(names.begin(), names.end(), column) == names.end()) {
        fail_at_line(file_, header.line,
                     "the header has no column \"" + column + "\"; expected " + joined(required) +
                         ", found " + in_quotes(joined(names)));
      }
    }
  }

  std::string file_;
  CsvReader csv_;
  std::vector<std::string> columns_;
};

/// Finds keys that are given twice, which nlohmann would let the last one win.
class DuplicateKeys {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!seen_.insert(key).second && !duplicate_) duplicate_ = key;
    }
    return true;
  }
  [[nodiscard]] const std::optional<std::string>& duplicate() const { return duplicate_; }

 private:
  std::set<std::string> seen_;
  std::optional<std::string> duplicate_;
};

/// One line of JSON Lines.
class JsonLine {
 public:
  JsonLine(const std::string& file, std::string_view text, std::int64_t line)
      : file_(file), text_(text), line_(line) {}

  [[nodiscard]] RawRow parse() const {
    if (const auto at = find_invalid_utf8(text_)) {
      fail_at_line(file_, line_,
                   "byte " + std::to_string(*at + 1) + " of the line (" + hexadecimal(text_[*at]) +
                       ") is not UTF-8 text; save the file as UTF-8");
    }
    const Json object = parse_json();
    if (!object.is_object()) {
      fail_at_line(file_, line_,
                   std::string("expected a JSON object in each line, found ") +
                       (object.is_array() ? "an array" : "another value") +
                       R"(; for example {"id": "1", "title": "…", "popularity": 3})");
    }
    RawRow row{line_, {}};
    for (const auto& [key, value] : object.items()) row.values.push_back(to_raw(key, value));
    return row;
  }

 private:
  Json parse_json() const {
    DuplicateKeys keys;
    Json object;
    try {
      // A nested value is refused anyway; refusing it here bounds the depth.
      object = Json::parse(text_, [&](int depth, Json::parse_event_t event, Json& parsed) {
        if (depth > 0 && is_start(event)) {
          fail_at_line(file_, line_,
                       "a list or an object inside another; expected one object a line, of texts, "
                       "numbers, true, false and null");
        }
        return keys(depth, event, parsed);
      });
    } catch (const Json::parse_error& error) {
      fail_at_line(file_, line_,
                   "byte " + std::to_string(error.byte) +
                       ": not valid JSON; expected one object in each line");
    } catch (const Json::exception&) {
      fail_at_line(file_, line_, "not valid JSON: a number is out of range");
    }
    if (keys.duplicate()) {
      fail_at_line(file_, line_, "the key " + in_quotes(*keys.duplicate()) + " is given twice");
    }
    return object;
  }

  static bool is_start(Json::parse_event_t event) {
    return event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
  }

  RawValue to_raw(const std::string& key, const Json& value) const {
    RawValue raw{key, "", RawValue::Kind::kString, line_, 0};
    if (key.empty()) fail_at(file_, raw, "a key is empty; expected a column's name");
    if (find_invalid_utf8(key)) {
      // The line is UTF-8, but JSON can write U+0000; a column could then not be exported.
      fail_at(file_, raw, "a key holds a zero byte, which is not UTF-8 text");
    }
    if (value.is_string()) {
      raw.text = value.get<std::string>();
      // JSON can write U+0000, which is no text; so is half of a surrogate pair, which is refused.
      require_utf8(file_, raw);
    } else if (value.is_number()) {
      raw.kind = RawValue::Kind::kNumber;
      raw.text = value.dump();
    } else if (value.is_boolean()) {
      raw.kind = RawValue::Kind::kOther;
      raw.text = value.dump();
    } else if (!value.is_null()) {
      fail_at(file_, raw, "a list or an object; expected a text, a number, true, false or null");
    }
    return raw;
  }

  const std::string& file_;
  std::string_view text_;
  std::int64_t line_;
};

class JsonRows final : public RawRowReader {
 public:
  explicit JsonRows(TextInput& input) : file_(input.name()), input_(input) {}

  std::optional<RawRow> next() override {
    while (read_line()) {
      if (text_.find_first_not_of(" \t\r\n") != std::string::npos) {
        return JsonLine(file_, text_, line_).parse();
      }
    }
    return std::nullopt;
  }

 private:
  /// The next line into text_; false at the end.
  bool read_line() {
    text_.clear();
    ++line_;
    for (;;) {
      const std::string_view bytes = input_.peek();
      if (bytes.empty()) return !text_.empty();
      const std::size_t line_end = bytes.find('\n');
      const bool complete = line_end != std::string_view::npos;
      const std::size_t size = complete ? line_end + 1 : bytes.size();
      text_.append(bytes.substr(0, complete ? line_end : size));
      input_.consume(size);
      if (text_.size() > kMaxFieldBytes) {
        fail_at_line(file_, line_,
                     "more than " + std::to_string(kMaxFieldBytes >> 20) +
                         " MiB in one line; expected one JSON object a line");
      }
      if (complete) return true;
    }
  }

  std::string file_;
  TextInput& input_;
  std::string text_;
  std::int64_t line_ = 0;
};

}  // namespace

const RawValue* RawRow::find(std::string_view column) const {
  const auto found = std::find_if(values.begin(), values.end(),
                                  [&](const RawValue& value) { return value.column == column; });
  return found == values.end() ? nullptr : &*found;
}

std::unique_ptr<RawRowReader> open_raw_rows(TextInput& input,
                                            const std::vector<std::string>& required) {
  std::string_view start = input.peek_past_blanks();
  start.remove_prefix(std::min(start.find_first_not_of(" \t\r\n"), start.size()));
  if (start.starts_with('[')) {
    fail_at_line(input.name(), 1,
                 "the file is a JSON array; expected JSON Lines, one object a line, or CSV");
  }
  if (start.starts_with('{')) return std::make_unique<JsonRows>(input);
  return std::make_unique<CsvRows>(input, required);
}

RawRow read_json_line(std::string_view text, std::int64_t line, const std::string& name) {
  return JsonLine(name, text, line).parse();
}

void fail_at(const std::string& file, const RawValue& value, const std::string& what) {
  const std::string where =
      value.position > 0 ? "column " + std::to_string(value.position) + " (" + value.column + ")"
                         : "key " + in_quotes(value.column);
  fail_at_line(file, value.line, where + ": " + what);
}

void fail_at_line(const std::string& file, std::int64_t line, const std::string& what) {
  const std::string separator =
      what.starts_with("column ") || what.starts_with("key \"") || what.starts_with("byte ") ? ", "
                                                                                             : ": ";
  throw Error(ErrorKind::kInvalidInput, file + ", line " + std::to_string(line) + separator + what);
}

}  // namespace mmra::bank
