// LMDB's data file of a bank, of any bytes: the pages are looked at, or a fault is named. That
// nothing outside of the file is read is the sanitizers' to say.
#include <cstddef>
#include <cstdint>
#include <span>

#include "mmra/bank/lmdb_pages.h"
#include "outcome.h"

namespace {

namespace bank = mmra::bank;
using mmra::fuzz::require;

constexpr bank::PageCheck kChecks[] = {bank::PageCheck::kForReading, bank::PageCheck::kForChanging};
// The seed's newest commits.
constexpr std::uint64_t kLastCommit = 8;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  const auto file = std::as_bytes(std::span(data, size_bytes));
  const bool metas_are_sound = !bank::find_meta_fault(file);
  for (std::uint64_t commit = 0; commit <= kLastCommit; ++commit) {
    for (const bank::PageCheck check : kChecks) {
      const bool is_sound = !bank::find_page_fault(file, commit, check);
      require(metas_are_sound || !is_sound, "sound pages behind meta pages that are not");
    }
  }
  return 0;
}
