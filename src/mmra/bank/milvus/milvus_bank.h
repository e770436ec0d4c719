#pragma once

#include <memory>

#include "mmra/bank/memory_bank.h"
#include "mmra/bank/milvus/address.h"
#include "mmra/bank/milvus/client.h"

namespace mmra::bank {

/// The bank behind open_bank() where that is given milvus://HOST:PORT/COLLECTION. Beyond what
/// open_bank throws: Error{kIo} where the server is away, {kInvalidInput} where the collection is
/// of another shape.
[[nodiscard]] std::unique_ptr<MemoryBank> open_milvus_bank(const MilvusAddress& address,
                                                           OpenMode mode,
                                                           const MilvusOptions& options);

/// As create_bank(); takes the encoders from local_directory(address)/encoders to the server.
[[nodiscard]] std::unique_ptr<MemoryBank> create_milvus_bank(const MilvusAddress& address,
                                                             const BankSchema& schema,
                                                             const MilvusOptions& options);

[[nodiscard]] bool milvus_bank_exists(const MilvusAddress& address, const MilvusOptions& options);

/// Removes a bank from its server, with everything it has.
void drop_milvus_bank(const MilvusAddress& address, const MilvusOptions& options);

}  // namespace mmra::bank
