#include "mmra/text/term_counts.h"

#include <algorithm>

namespace mmra::text {

TermCounts count_terms(std::vector<TermHash> hashes) {
  std::sort(hashes.begin(), hashes.end());
  TermCounts counts;
  for (const TermHash hash : hashes) {
    if (counts.empty() || counts.back().hash != hash) counts.push_back({hash, 0});
    ++counts.back().count;
  }
  return counts;
}

}  // namespace mmra::text
