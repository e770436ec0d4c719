#include "mmra/bank/bank_files.h"
#include "mmra/bank/directory_bank.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/bank/milvus/address.h"
#include "mmra/bank/milvus/client.h"
#include "mmra/bank/milvus/local_copy.h"
#include "mmra/bank/milvus/milvus_bank.h"

namespace mmra::bank {

// What memory_bank.h has for a bank's name, which says whether it is in a directory or on a server.

namespace fs = std::filesystem;

std::unique_ptr<MemoryBank> open_bank(const fs::path& directory, OpenMode mode) {
  if (!is_milvus_address(directory)) return open_directory_bank(directory, mode);
  return open_milvus_bank(parse_milvus_address(directory), mode, milvus_options_from_environment());
}

std::unique_ptr<MemoryBank> create_bank(const fs::path& directory, const BankSchema& schema) {
  if (!is_milvus_address(directory)) return create_directory_bank(directory, schema);
  return create_milvus_bank(parse_milvus_address(directory), schema,
                            milvus_options_from_environment());
}

bool bank_exists(const fs::path& directory) {
  if (!is_milvus_address(directory)) return directory_bank_exists(directory);
  return milvus_bank_exists(parse_milvus_address(directory), milvus_options_from_environment());
}

void require_free_directory(const fs::path& directory) {
  if (!is_milvus_address(directory)) require_no_other_files(directory);
}

std::string full_name_of(const fs::path& bank_directory) {
  if (is_milvus_address(bank_directory)) return parse_milvus_address(bank_directory).text();
  return fs::absolute(bank_directory).lexically_normal().string();
}

fs::path files_directory(const fs::path& bank_directory) {
  if (!is_milvus_address(bank_directory)) return bank_directory;
  return local_directory(parse_milvus_address(bank_directory));
}

fs::path encoders_directory(const fs::path& bank_directory) {
  return encoders_below(files_directory(bank_directory));
}

fs::path failures_file(const fs::path& bank_directory) {
  return files_directory(bank_directory) / "failures.jsonl";
}

}  // namespace mmra::bank
