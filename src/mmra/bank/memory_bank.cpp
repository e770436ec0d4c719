#include "mmra/bank/memory_bank.h"

#include "mmra/core/error.h"

namespace mmra::bank {

std::vector<Repair> MemoryBank::repair() {
  throw Error(ErrorKind::kUnsupported, "a memory bank of this kind repairs itself");
}
void MemoryBank::compact() {
  throw Error(ErrorKind::kUnsupported, "a memory bank of this kind compacts itself");
}
void MemoryBank::backup(const std::filesystem::path& directory) const {
  throw Error(ErrorKind::kUnsupported, "a memory bank of this kind cannot be copied to " +
                                           directory.string() + "; use its own tools");
}
void MemoryBank::rebuild_derived_files() {}
void MemoryBank::set_own_index(const std::string& kind, const std::stop_token& /*stop*/) {
  throw Error(ErrorKind::kUnsupported,
              "a memory bank of this kind has no index of its own that could be " + kind);
}

}  // namespace mmra::bank
