#include "mmra/text/added_tokens.h"

#include <algorithm>

#include "mmra/text/utf8.h"

namespace mmra::text {
namespace {

/// Not before `begin`, unless `end` is.
std::size_t space_before(std::u32string_view text, std::size_t begin, std::size_t end) {
  while (end > begin && is_white_space(text[end - 1])) --end;
  return end;
}

std::size_t space_behind(std::u32string_view text, std::size_t begin) {
  while (begin < text.size() && is_white_space(text[begin])) ++begin;
  return begin;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(const std::vector<AddedToken>& tokens, bool normalized,
                                   const WordPieceOptions& options) {
  for (const AddedToken& token : tokens) {
    if (token.normalized != normalized) continue;
    std::u32string content = decode_utf8(token.content);
    if (normalized) content = bert_normalize(content, options);
    if (content.empty()) continue;
    first_code_points_[content.front() % first_code_points_.size()] = true;
    patterns_.push_back({std::move(content), token.id, token.strips_left, token.strips_right});
  }
  std::stable_sort(patterns_.begin(), patterns_.end(), [](const Pattern& a, const Pattern& b) {
    return a.content.size() > b.content.size();
  });
}

const AddedTokenFinder::Pattern* AddedTokenFinder::longest_at(std::u32string_view rest) const {
  if (!may_start(rest.front())) return nullptr;
  const auto found = std::find_if(patterns_.begin(), patterns_.end(), [&](const Pattern& pattern) {
    return rest.substr(0, pattern.content.size()) == pattern.content;
  });
  return found == patterns_.end() ? nullptr : &*found;
}

std::vector<TextSection> AddedTokenFinder::split(std::u32string_view text) const {
  std::vector<TextSection> sections;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Pattern* pattern = longest_at(text.substr(at));
    if (pattern == nullptr) {
      ++at;
      continue;
    }
    const std::size_t begin = pattern->strips_left ? space_before(text, done, at) : at;
    // The search goes on behind the token itself: one that starts with the space that this one
    // takes is still found.
    at += pattern->content.size();
    const std::size_t end = pattern->strips_right ? space_behind(text, at) : at;
    if (begin > done) sections.push_back({text.substr(done, begin - done), std::nullopt});
    sections.push_back({text.substr(begin, end - begin), pattern->id});
    done = end;
  }
  if (done < text.size()) sections.push_back({text.substr(done), std::nullopt});
  return sections;
}

}  // namespace mmra::text
