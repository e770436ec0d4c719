#include "mmra/plus/title_shape.h"

#include <utf8proc.h>

#include <algorithm>
#include <limits>
#include <string>

#include "mmra/text/utf8.h"
#include "mmra/text/word_splitter.h"

namespace mmra::plus {
namespace {

struct CodePointCounts {
  std::size_t hashes = 0, digits = 0, symbols = 0, exclamations = 0, questions = 0, commas = 0,
              capitals = 0, beyond_ascii = 0;
};

CodePointCounts count_code_points(std::u32string_view title) {
  CodePointCounts counts;
  for (const char32_t c : title) {
    const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
    counts.hashes += c == U'#';
    counts.digits += category == UTF8PROC_CATEGORY_ND;
    counts.symbols += category == UTF8PROC_CATEGORY_SO;
    counts.exclamations += c == U'!';
    counts.questions += c == U'?';
    counts.commas += c == U',';
    counts.capitals += category == UTF8PROC_CATEGORY_LU;
    counts.beyond_ascii += c > 127;
  }
  return counts;
}

struct WordLengths {
  std::size_t longest = 0;
  double mean = 0.0;
  std::size_t before_hash = 0;  ///< words that end before the first "#"
};

WordLengths measure_words(const text::SplitText& split) {
  WordLengths lengths;
  const std::size_t hash = std::u32string_view(split.code_points).find(U'#');
  std::size_t sum = 0;
  for (const text::Word& word : split.words) {
    const std::size_t length = word.end - word.begin;
    lengths.longest = std::max(lengths.longest, length);
    lengths.before_hash += hash == std::u32string_view::npos || word.end <= hash;
    sum += length;
  }
  if (!split.words.empty()) {
    lengths.mean = static_cast<double>(sum) / static_cast<double>(split.words.size());
  }
  return lengths;
}

}  // namespace

std::array<float, kShapeWidth> title_shape(std::string_view title) {
  std::array<float, kShapeWidth> shape;
  shape.fill(std::numeric_limits<float>::quiet_NaN());
  if (title.empty()) return shape;
  const std::u32string code_points = text::decode_utf8(title);
  const CodePointCounts counts = count_code_points(code_points);
  const text::SplitText split = text::split_words(title);
  const WordLengths lengths = measure_words(split);
  const std::size_t hash = code_points.find(U'#');
  const std::size_t body = hash == std::u32string::npos ? code_points.size() : hash;
  const auto number = [](auto value) { return static_cast<float>(value); };
  shape = {number(code_points.size()),
           number(split.words.size()),
           number(counts.hashes),
           number(body),
           number(lengths.before_hash),
           number(counts.digits),
           number(counts.symbols),
           number(counts.exclamations),
           number(counts.questions),
           number(counts.commas),
           number(counts.capitals) / number(code_points.size() + 1),
           number(lengths.longest),
           number(lengths.mean),
           number(counts.beyond_ascii)};
  return shape;
}

}  // namespace mmra::plus
