#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/model/mmra_config.h"
#include "mmra/model/strict_reader.h"

namespace mmra::model {

// What the config.json of every kind of model shares.

/// Throws Error{kInvalidInput}: "the baseline's width is 0, it must be from 1 to 65536".
template <typename Value>
void check_range(const std::string& field, Value value, Value low, Value high) {
  if (value >= low && value <= high) return;  // false for NaN
  throw Error(ErrorKind::kInvalidInput, field + " is " + std::to_string(value) +
                                            ", it must be from " + std::to_string(low) + " to " +
                                            std::to_string(high));
}

/// The key "format_version". Throws Error{kUnsupported} with both where it is another.
void expect_format_version(StrictReader& reader, int expected);

/// The key "variant". Throws Error{kCorruptData}.
[[nodiscard]] Variant read_variant(StrictReader& reader);

/// The key "precision" of products in training, "f32" or "bf16"; float32 where a file has none,
/// which are those of before there was a choice. Throws Error{kCorruptData}.
[[nodiscard]] Precision read_precision(StrictReader& reader);
/// Throws Error{kInternal} where it is not decided.
void check_precision(Precision precision);

/// What `from_json` (text, origin) makes of a file, and `validate_config` allows: what is not is
/// Error{kCorruptData} naming the file.
template <typename FromJson>
[[nodiscard]] auto load_checked(const std::filesystem::path& file, const FromJson& from_json) {
  auto config = from_json(std::string_view(read_file(file)), file.string());
  try {
    validate_config(config);
  } catch (const Error& error) {
    throw Error(ErrorKind::kCorruptData, file.string() + ": " + error.what());
  }
  return config;
}

}  // namespace mmra::model
