#include "mmra/text/bert_normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>

#include "mmra/text/bert_unicode_tables.h"
#include "mmra/text/utf8.h"

namespace mmra::text {
namespace {

/// No canonical decomposition has more.
constexpr int kMaxDecomposed = 8;
/// Its lower case has two code points, utf8proc's simple mapping one.
constexpr char32_t kDottedCapitalI = 0x0130;
constexpr char32_t kDotAbove = 0x0307;
/// Decomposes since Unicode 13, which the reference's tables are older than.
constexpr char32_t kDivesAkuruVowelO = 0x11938;

template <typename Entry, std::size_t kSize>
const Entry* find_range(const Entry (&table)[kSize], char32_t code_point) noexcept {
  const Entry* entry =
      std::lower_bound(std::begin(table), std::end(table), code_point,
                       [](const Entry& range, char32_t value) { return range.last < value; });
  return entry != std::end(table) && code_point >= entry->first ? entry : nullptr;
}

bool is_punctuation(char32_t code_point) noexcept {
  return find_range(bert_tables::kPunctuation, code_point) != nullptr;
}

std::u32string clean(std::u32string_view text) {
  std::u32string cleaned;
  cleaned.reserve(text.size());
  for (const char32_t c : text) {
    const bool line_space = c == U'\t' || c == U'\n' || c == U'\r';
    if (c > 0x20 && c < 0x7F) {
      cleaned += c;
    } else if (line_space) {
      cleaned += U' ';
    } else if (find_range(bert_tables::kDropped, c) == nullptr) {
      cleaned += is_white_space(c) ? U' ' : c;
    }
  }
  return cleaned;
}

std::u32string space_ideographs(std::u32string_view text) {
  std::u32string spaced;
  spaced.reserve(text.size());
  for (const char32_t c : text) {
    if (c >= bert_tables::kChinese[0].first && find_range(bert_tables::kChinese, c) != nullptr) {
      spaced += {U' ', c, U' '};
    } else {
      spaced += c;
    }
  }
  return spaced;
}

/// Canonical decomposition without nonspacing marks. Marks that stay are ordered by their combining
/// class, among those between two starters.
class AccentStripper {
 public:
  explicit AccentStripper(std::size_t size) { stripped_.reserve(size); }

  void add(char32_t c) {
    if (c < 0x80) {
      append_starter(c);
      return;
    }
    if (c == kDivesAkuruVowelO) {
      add_decomposed(c);
      return;
    }
    utf8proc_int32_t parts[kMaxDecomposed];
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts,
                                               kMaxDecomposed, UTF8PROC_DECOMPOSE, nullptr);
    for (utf8proc_ssize_t i = 0; i < count; ++i) add_decomposed(static_cast<char32_t>(parts[i]));
  }

  std::u32string finish() {
    sort_marks();
    return std::move(stripped_);
  }

 private:
  struct Mark {
    char32_t code_point = 0;
    int order = 0;
  };

  void add_decomposed(char32_t c) {
    if (find_range(bert_tables::kStrippedMarks, c) != nullptr) {
      // A mark of class 0 is a starter: what stands before it stays before it.
      const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
      if (property->combining_class == 0) sort_marks();
      return;
    }
    if (const auto* kept = find_range(bert_tables::kKeptMarks, c)) {
      marks_.push_back({c, kept->order});
      return;
    }
    append_starter(c);
  }

  void append_starter(char32_t c) {
    sort_marks();
    stripped_ += c;
  }

  void sort_marks() {
    if (marks_.empty()) return;
    std::stable_sort(marks_.begin(), marks_.end(),
                     [](const Mark& a, const Mark& b) { return a.order < b.order; });
    for (const Mark& mark : marks_) stripped_ += mark.code_point;
    marks_.clear();
  }

  std::u32string stripped_;
  std::vector<Mark> marks_;
};

std::u32string strip_accents(std::u32string_view text) {
  AccentStripper stripper(text.size());
  for (const char32_t c : text) stripper.add(c);
  return stripper.finish();
}

std::u32string lower_case(std::u32string_view text) {
  std::u32string lowered;
  lowered.reserve(text.size());
  for (const char32_t c : text) {
    if (c < 0x80) {
      lowered += c >= U'A' && c <= U'Z' ? c + (U'a' - U'A') : c;
    } else if (c == kDottedCapitalI) {
      lowered += {U'i', kDotAbove};
    } else {
      lowered += static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
    }
  }
  return lowered;
}

}  // namespace

bool is_white_space(char32_t code_point) noexcept {
  return find_range(bert_tables::kSpace, code_point) != nullptr;
}

std::u32string bert_normalize(std::u32string_view text, const WordPieceOptions& options) {
  std::u32string normalized = options.clean_text ? clean(text) : std::u32string(text);
  if (options.split_chinese) normalized = space_ideographs(normalized);
  if (options.strip_accents) normalized = strip_accents(normalized);
  if (options.lower_case) normalized = lower_case(normalized);
  return normalized;
}

std::vector<std::u32string_view> bert_words(std::u32string_view normalized) {
  std::vector<std::u32string_view> words;
  std::size_t begin = 0;
  const auto end_word = [&](std::size_t end) {
    if (end > begin) words.push_back(normalized.substr(begin, end - begin));
  };
  for (std::size_t at = 0; at < normalized.size(); ++at) {
    const char32_t c = normalized[at];
    const bool letter = (c >= U'a' && c <= U'z') || (c >= U'0' && c <= U'9');
    if (letter) continue;
    if (is_white_space(c)) {
      end_word(at);
      begin = at + 1;
    } else if (is_punctuation(c)) {
      end_word(at);
      words.push_back(normalized.substr(at, 1));
      begin = at + 1;
    }
  }
  end_word(normalized.size());
  return words;
}

}  // namespace mmra::text
