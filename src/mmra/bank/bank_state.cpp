#include "mmra/bank/bank_state.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "mmra/bank/context_typer.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormatVersion = kFormatVersionWithHistories;

[[noreturn]] void damaged(const std::string& what, const std::string& bank) {
  throw Error(ErrorKind::kCorruptData,
              "the memory bank " + bank + " is damaged: its " + what + " cannot be read");
}

/// A whole number of at least `minimum`. nlohmann alone would turn one that does not fit, or a
/// fraction, into another.
template <typename Integer>
Integer whole_number(const Json& value, Integer minimum, const std::string& what,
                     const std::string& bank) {
  const bool fits =
      value.is_number_unsigned()
          ? std::in_range<Integer>(value.get<std::uint64_t>())
          : value.is_number_integer() && std::in_range<Integer>(value.get<std::int64_t>());
  if (!fits) damaged(what, bank);
  const auto number = value.get<Integer>();
  if (number < minimum) damaged(what, bank);
  return number;
}

}  // namespace

void BankState::count(const Record& record, int sign) {
  num_labelled += record.popularity ? sign : 0;
  num_with_video += record.video_path.empty() ? 0 : sign;
  num_with_time += record.posted_at ? sign : 0;
  num_in_split[static_cast<int>(record.split)] += sign;
}

void BankState::count_tokens(std::int64_t visual_tokens, std::int64_t text_tokens, int sign) {
  num_visual_tokens += sign * visual_tokens;
  num_text_tokens += sign * text_tokens;
}

void BankState::tell(BankInfo& info) const {
  info.generation = generation;
  info.num_labelled = num_labelled;
  info.num_with_video = num_with_video;
  info.num_with_time = num_with_time;
  std::copy(std::begin(num_in_split), std::end(num_in_split), std::begin(info.num_in_split));
  info.num_visual_tokens = num_visual_tokens;
  info.num_text_tokens = num_text_tokens;
}

bool BankState::same_counts(const BankState& other) const {
  return num_labelled == other.num_labelled && num_with_video == other.num_with_video &&
         num_with_time == other.num_with_time &&
         std::equal(std::begin(num_in_split), std::end(num_in_split), other.num_in_split) &&
         num_visual_tokens == other.num_visual_tokens && num_text_tokens == other.num_text_tokens;
}

std::string to_json_text(const BankState& state) {
  return Json{{"generation", state.generation},           {"commit_id", state.commit_id},
              {"labelled", state.num_labelled},           {"with_video", state.num_with_video},
              {"with_time", state.num_with_time},         {"splits", state.num_in_split},
              {"visual_tokens", state.num_visual_tokens}, {"text_tokens", state.num_text_tokens}}
      .dump();
}

BankState parse_state(const std::string& text, const std::string& bank) {
  try {
    const Json json = Json::parse(text);
    BankState state;
    const auto count = [&](const Json& value) {
      return whole_number(value, std::numeric_limits<std::int64_t>::min(), "state", bank);
    };
    state.generation = whole_number(json.at("generation"), std::uint64_t{0}, "state", bank);
    state.commit_id = whole_number(json.at("commit_id"), std::uint64_t{0}, "state", bank);
    state.num_labelled = count(json.at("labelled"));
    state.num_with_video = count(json.at("with_video"));
    state.num_with_time = count(json.at("with_time"));
    for (std::size_t i = 0; i < 3; ++i) state.num_in_split[i] = count(json.at("splits").at(i));
    state.num_visual_tokens = count(json.at("visual_tokens"));
    state.num_text_tokens = count(json.at("text_tokens"));
    return state;
  } catch (const Json::exception&) {
    damaged("state", bank);
  }
}

std::string to_json_text(const BankSchema& schema, int indent) {
  Json columns = Json::object();
  for (const auto& [name, type] : schema.context_columns) columns[name] = name_of(type);
  return Json{{"format_version", schema.format_version},
              {"popularity_unit", schema.popularity_unit},
              {"popularity_horizon", schema.popularity_horizon},
              {"encoders_name", schema.encoders_name},
              {"encoders_fingerprint", schema.encoders_fingerprint},
              {"num_frames", schema.num_frames},
              {"visual_dim", schema.visual_dim},
              {"text_dim", schema.text_dim},
              {"retrieval_dim", schema.retrieval_dim},
              {"context_columns", columns}}
      .dump(indent, ' ', false, Json::error_handler_t::replace);
}

BankSchema parse_schema(const std::string& text, const std::string& bank) {
  try {
    const Json json = Json::parse(text);
    BankSchema schema;
    const auto number = [&](const char* key, int minimum) {
      return whole_number(json.at(key), minimum, "schema", bank);
    };
    schema.format_version = number("format_version", 1);
    if (schema.format_version > kFormatVersion) {
      throw Error(ErrorKind::kUnsupported,
                  "the memory bank " + bank + " has format version " +
                      std::to_string(schema.format_version) + ", this program reads up to " +
                      std::to_string(kFormatVersion) + "; take a newer program");
    }
    json.at("popularity_unit").get_to(schema.popularity_unit);
    json.at("popularity_horizon").get_to(schema.popularity_horizon);
    json.at("encoders_name").get_to(schema.encoders_name);
    json.at("encoders_fingerprint").get_to(schema.encoders_fingerprint);
    schema.num_frames = number("num_frames", 1);
    schema.visual_dim = number("visual_dim", 0);
    schema.text_dim = number("text_dim", 0);
    schema.retrieval_dim = number("retrieval_dim", 0);
    for (const auto& [name, type] : json.at("context_columns").items()) {
      if (type != "number" && type != "category") damaged("schema", bank);
      schema.context_columns[name] = type == "number" ? ColumnType::kNumber : ColumnType::kCategory;
    }
    return schema;
  } catch (const Json::exception&) {
    damaged("schema", bank);
  }
}

}  // namespace mmra::bank
