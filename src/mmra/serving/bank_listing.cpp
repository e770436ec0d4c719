#include "mmra/serving/bank_listing.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "mmra/serving/problem.h"

namespace mmra::serving {
namespace {

/// Case folded as Unicode has it, so that "ÉCOLE" is found by "école".
std::string fold(const std::string& text) {
  utf8proc_uint8_t* folded = nullptr;
  const auto size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &folded,
                   static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD));
  if (size < 0) return text;  // not UTF-8: compared as it is
  std::string result(reinterpret_cast<const char*>(folded), static_cast<std::size_t>(size));
  std::free(folded);
  return result;
}

/// Ascending by the value, missing ones last; nothing where both are the same to it.
template <typename Value>
std::optional<bool> compare(const std::optional<Value>& a, const std::optional<Value>& b,
                            bool descending) {
  if (a == b) return std::nullopt;
  if (!a || !b) return a.has_value();
  return descending ? *b < *a : *a < *b;
}

bool goes_before(const ListedRecord& a, const ListedRecord& b, const ListQuery& query) {
  std::optional<bool> before;
  switch (query.sort) {
    case ListQuery::Sort::kId:
      return query.descending ? b.id < a.id : a.id < b.id;
    case ListQuery::Sort::kPopularity:
      before = compare(a.popularity, b.popularity, query.descending);
      break;
    case ListQuery::Sort::kPostedAt:
      before = compare(a.posted_at, b.posted_at, query.descending);
      break;
  }
  return before.value_or(a.id < b.id);
}

}  // namespace

ListedRecord listed(const bank::Record& record) {
  return {record.id,         record.title,
          record.popularity, record.posted_at,
          record.split,      !record.video_path.empty() || !record.video_fingerprint.empty()};
}

std::shared_ptr<const BankListing::Rows> BankListing::rows(std::uint64_t generation) {
  const std::scoped_lock lock(mutex_);
  if (rows_ == nullptr || generation_ != generation) {
    auto rows = std::make_shared<Rows>();
    bank_.for_each([&](const bank::Record& record) {
      rows->push_back({listed(record), fold(record.title)});
      return true;
    });
    rows_ = std::move(rows);
    generation_ = generation;
  }
  return rows_;
}

ListPage BankListing::page(const ListQuery& query, std::uint64_t generation) {
  const auto all = rows(generation);
  const std::string part = fold(query.title_part);
  std::vector<const ListedRecord*> chosen;
  const ListedRecord* after = nullptr;
  for (const Row& row : *all) {
    const ListedRecord& record = row.record;
    if (query.after && record.id == *query.after) after = &record;
    if (query.from && !(record.posted_at && *record.posted_at >= *query.from)) continue;
    if (query.to && !(record.posted_at && *record.posted_at < *query.to)) continue;
    if (!part.empty() && row.folded_title.find(part) == std::string::npos) continue;
    chosen.push_back(&record);
  }
  ListPage page;
  page.total = chosen.size();
  if (query.after) {
    if (after == nullptr) {
      throw Refusal(bad_request("invalid_parameter", "after is no record of the bank (any more)",
                                "begin again at the first page"));
    }
    std::erase_if(chosen, [&](const ListedRecord* record) {
      return record == after || !goes_before(*after, *record, query);
    });
  }
  const auto size = static_cast<std::ptrdiff_t>(std::min(query.limit, chosen.size()));
  std::partial_sort(
      chosen.begin(), chosen.begin() + size, chosen.end(),
      [&](const ListedRecord* a, const ListedRecord* b) { return goes_before(*a, *b, query); });
  for (std::ptrdiff_t i = 0; i < size; ++i) {
    page.records.push_back(*chosen[static_cast<std::size_t>(i)]);
  }
  if (chosen.size() > query.limit) page.next = page.records.back().id;
  return page;
}

}  // namespace mmra::serving
