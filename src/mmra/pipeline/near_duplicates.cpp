#include "mmra/pipeline/near_duplicates.h"

#include <algorithm>
#include <map>
#include <span>

#include "mmra/retrieval/exact_search.h"
#include "mmra/text/word_splitter.h"

namespace mmra::pipeline {
namespace {

using bank::Split;
using retrieval::SplitSet;

std::vector<std::size_t> labelled(const bank::BankTable& table, Split split) {
  std::vector<std::size_t> rows;
  for (std::size_t row = 0; row < table.num_rows(); ++row) {
    if (table.split(row) == split && table.popularity(row)) rows.push_back(row);
  }
  return rows;
}

/// Which of `rows` have a row in `splits` with a retrieval vector that is nearly the same.
std::vector<bool> have_similar(const bank::BankTable& table, const std::vector<std::size_t>& rows,
                               SplitSet splits, int num_threads, const std::stop_token& stop) {
  const auto dim = static_cast<std::size_t>(table.retrieval_dim());
  std::vector<float> vectors;
  std::vector<retrieval::QueryIdentity> queries;
  for (const std::size_t row : rows) {
    const auto vector = table.retrieval_vectors().subspan(row * dim, dim);
    vectors.insert(vectors.end(), vector.begin(), vector.end());
    queries.push_back({row, std::nullopt});  // whenever posted: a copy is a copy
  }
  const retrieval::RetrievalPolicy policy{splits, /*labelled_only=*/true};
  const retrieval::RetrievalResult best =
      retrieval::search_exact(table, vectors, queries, 1, policy, num_threads, stop);
  std::vector<bool> found(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    found[i] = best.rows[i] >= 0 && best.similarities[i] > kNearDuplicateSimilarity;
  }
  return found;
}

class Finder {
 public:
  Finder(const bank::BankTable& table, const std::vector<std::u32string>& title_keys,
         int num_threads, const std::stop_token& stop)
      : table_(table), keys_(title_keys), num_threads_(num_threads), stop_(stop) {
    for (std::size_t row = 0; row < table.num_rows(); ++row) {
      if (keys_[row].empty() || !table.popularity(row)) continue;
      in_split_[keys_[row]][static_cast<std::size_t>(table.split(row))] = true;
    }
  }

  NearDuplicates find() {
    NearDuplicates found;
    found.rows.assign(table_.num_rows(), false);
    found.num_train = mark(Split::kTrain, {Split::kValid, Split::kTest}, found.rows);
    found.num_valid = mark(Split::kValid, {Split::kTest}, found.rows);
    count_test(found);
    return found;
  }

 private:
  [[nodiscard]] bool has_title_in(std::size_t row, const std::vector<Split>& splits) const {
    const auto at = in_split_.find(keys_[row]);
    return at != in_split_.end() && std::any_of(splits.begin(), splits.end(), [&](Split split) {
             return at->second[static_cast<std::size_t>(split)];
           });
  }

  [[nodiscard]] static SplitSet set_of(const std::vector<Split>& splits) {
    SplitSet set = SplitSet::only(splits.front());
    for (const Split split : splits) set = set.with(split);
    return set;
  }

  std::int64_t mark(Split split, const std::vector<Split>& later, std::vector<bool>& marked) const {
    const std::vector<std::size_t> rows = labelled(table_, split);
    const std::vector<bool> similar =
        have_similar(table_, rows, set_of(later), num_threads_, stop_);
    std::int64_t count = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!similar[i] && !has_title_in(rows[i], later)) continue;
      marked[rows[i]] = true;
      ++count;
    }
    return count;
  }

  void count_test(NearDuplicates& found) const {
    const std::vector<Split> earlier{Split::kTrain, Split::kValid};
    const std::vector<std::size_t> rows = labelled(table_, Split::kTest);
    const std::vector<bool> similar =
        have_similar(table_, rows, set_of(earlier), num_threads_, stop_);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const bool title = has_title_in(rows[i], earlier);
      found.num_same_title += title ? 1 : 0;
      found.num_similar += similar[i] ? 1 : 0;
      found.num_test_affected += title || similar[i] ? 1 : 0;
    }
  }

  const bank::BankTable& table_;
  const std::vector<std::u32string>& keys_;
  int num_threads_;
  const std::stop_token& stop_;
  std::map<std::u32string, std::array<bool, 3>> in_split_;
};

}  // namespace

std::u32string title_key(std::string_view title) {
  const text::SplitText split = text::split_words(title);
  std::u32string key;
  for (const text::Word& word : split.words) {
    if (!key.empty()) key += U' ';
    key += split.text_of(word);
  }
  return key;
}

NearDuplicates find_near_duplicates(const bank::BankTable& table,
                                    const std::vector<std::u32string>& title_keys, int num_threads,
                                    const std::stop_token& stop) {
  return Finder(table, title_keys, num_threads, stop).find();
}

}  // namespace mmra::pipeline
