#include "mmra/bank/saved_table.h"

#include <string>

#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::bank {

std::shared_ptr<const BankTable> find_saved_table(const std::filesystem::path& file,
                                                  const CommitStamp& stamp, int retrieval_dim) {
  try {
    std::string ignored;
    auto table = map_vector_file(file, stamp, ignored);
    return table != nullptr && table->retrieval_dim() == retrieval_dim ? table : nullptr;
  } catch (const Error&) {
    return nullptr;  // no permission, or not a file at all
  }
}

std::shared_ptr<const BankTable> save_table(const std::filesystem::path& file,
                                            const CommitStamp& stamp, const TableColumns& columns,
                                            int retrieval_dim,
                                            const ForEachVector& for_each_vector) {
  try {
    make_directories(file.parent_path());
    write_vector_file(file, stamp, columns, retrieval_dim, for_each_vector);
    if (auto table = find_saved_table(file, stamp, retrieval_dim)) return table;
    // Another process replaced it.
  } catch (const Error& error) {
    // A read-only or full disk only costs making it again next time.
    if (error.kind() != ErrorKind::kIo && error.kind() != ErrorKind::kNotFound) throw;
  }
  return make_vector_table(stamp, columns, retrieval_dim, for_each_vector);
}

}  // namespace mmra::bank
