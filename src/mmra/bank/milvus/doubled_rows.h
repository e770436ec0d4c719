#pragma once

#include <span>
#include <string>

#include "mmra/bank/milvus/collections.h"

namespace mmra::bank {

/// Makes one row of those of `ids` that are there twice.
///
/// An upsert is two messages of Milvus' log, the new rows and the deletion of the old ones; a
/// server that is killed between them has both, under one key. Either is whole then, since values
/// of the old one are erased later; writing one again deletes both.
void heal_doubled_rows(std::span<const std::string> ids, MilvusCollections& collections);

}  // namespace mmra::bank
