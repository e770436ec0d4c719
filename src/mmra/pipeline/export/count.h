#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mmra::pipeline {

// Numbers as studios and spreadsheets write them: "12345", "12,345", "1 234", "1'234", "1.2K",
// "3.4M", "3万", "1.5亿", "1.234,5", "1,2 mil".

/// A cell that says that the number is not known: empty, "-", "–", "—", "--", "n/a", "null",
/// "none".
[[nodiscard]] bool is_unknown(std::string_view cell);

/// '.' or ',' where the cell can only be read with that decimal mark ("1.2K", "1.234.567" (',')),
/// nothing where it says nothing about it, or is no number.
[[nodiscard]] std::optional<char> decimal_evidence(std::string_view cell);

struct CountCell {
  std::optional<double> value;
  std::string problem;  ///< what is wrong, where there is no value
};

/// A number of 0 or more. `decimal` is the mark of the column, where it is known. Without it one
/// comma before three digits groups them ("12,345" is 12345), but one point before three digits is
/// a problem: "1.234" is 1234 in half of the world.
[[nodiscard]] CountCell parse_count(std::string_view cell, std::optional<char> decimal);

}  // namespace mmra::pipeline
