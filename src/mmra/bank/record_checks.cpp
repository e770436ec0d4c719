#include "mmra/bank/record_checks.h"

#include <cmath>

#include "mmra/bank/context_typer.h"
#include "mmra/bank/text_checks.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

[[noreturn]] void misfit(const std::string& id, const std::string& what) {
  throw Error(ErrorKind::kInvalidInput,
              "the record " + in_quotes(id) + " does not fit the bank: " + what);
}

bool has_infinity_or_nan(const std::vector<Float16Bits>& values) {
  constexpr Float16Bits kExponent = 0x7C00;
  for (const Float16Bits value : values) {
    if ((value & kExponent) == kExponent) return true;
  }
  return false;
}

void check_tokens(const std::string& id, const std::string& modality, const HalfTokenMatrix& tokens,
                  int schema_dim) {
  const bool absent = tokens.num_tokens == 0 && tokens.dim == 0;
  if (!absent && tokens.dim != schema_dim) {
    misfit(id, modality + " tokens of dimension " + std::to_string(tokens.dim) + ", expected " +
                   std::to_string(schema_dim));
  }
  const auto expected = static_cast<std::int64_t>(tokens.num_tokens) * tokens.dim;
  if (tokens.num_tokens < 0 || static_cast<std::int64_t>(tokens.values.size()) != expected) {
    misfit(id, std::to_string(tokens.values.size()) + " values of " + modality +
                   " tokens, expected " + std::to_string(tokens.num_tokens) + " x " +
                   std::to_string(tokens.dim));
  }
  if (has_infinity_or_nan(tokens.values)) {
    misfit(id, "a " + modality + " token holds infinity or NaN (beyond float16's 65504?)");
  }
}

}  // namespace

void check_features(const std::string& id, const Features& features, const BankSchema& schema) {
  check_tokens(id, "visual", features.visual_tokens, schema.visual_dim);
  check_tokens(id, "text", features.text_tokens, schema.text_dim);
  if (features.retrieval_vector.size() != static_cast<std::size_t>(schema.retrieval_dim)) {
    misfit(id, "a retrieval vector of dimension " +
                   std::to_string(features.retrieval_vector.size()) + ", expected " +
                   std::to_string(schema.retrieval_dim));
  }
  for (const float value : features.retrieval_vector) {
    if (!std::isfinite(value)) misfit(id, "its retrieval vector holds infinity or NaN");
  }
}

void check_record(const Record& record, const BankSchema& schema) {
  if (const auto fault = fault_of_id(record.id)) throw Error(ErrorKind::kInvalidInput, *fault);
  if (record.popularity && (!std::isfinite(*record.popularity) || *record.popularity < 0.0)) {
    misfit(record.id, "the popularity " + std::to_string(*record.popularity) +
                          ", expected a number of 0 or more");
  }
  for (const auto& [name, value] : record.context) {
    const auto column = schema.context_columns.find(name);
    if (column == schema.context_columns.end()) {
      misfit(record.id, "it has no context column " + in_quotes(name));
    }
    const auto* number = std::get_if<double>(&value);
    const ColumnType type = number != nullptr ? ColumnType::kNumber : ColumnType::kCategory;
    if (type != column->second) {
      misfit(record.id, "the context column " + in_quotes(name) + " holds a " +
                            std::string(name_of(type)) + ", expected a " +
                            std::string(name_of(column->second)));
    }
    if (number != nullptr && !std::isfinite(*number)) {
      misfit(record.id, "the context column " + in_quotes(name) + " holds infinity or NaN");
    }
  }
}

void check_schema(const BankSchema& schema) {
  if (schema.visual_dim < 0 || schema.text_dim < 0 || schema.retrieval_dim < 0 ||
      schema.num_frames < 1) {
    throw Error(ErrorKind::kInvalidInput,
                "a memory bank needs dimensions of 0 or more and at least one frame");
  }
}

void check_history(const std::string& id, const PopularityHistory& history) {
  const auto check = [&](double count) {
    if (!std::isfinite(count) || count < 0.0) {
      throw Error(ErrorKind::kInvalidInput, "a count of the record " + in_quotes(id) + " is " +
                                                std::to_string(count) +
                                                ", expected a number of 0 or more");
    }
  };
  check(history.untimed.value_or(0.0));
  for (const Observation& observation : history.timed) check(observation.popularity);
}

}  // namespace mmra::bank
