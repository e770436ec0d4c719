#include "mmra/bank/milvus/unnamed_values.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "mmra/bank/milvus/record_values.h"
#include "mmra/bank/milvus/row_reader.h"

namespace mmra::bank {

void insert_keys(const StoredRow& row, std::set<std::string>& keys) {
  for (const ValueName& name : row.values) {
    for (std::string& key : keys_of(name, row.id)) keys.insert(std::move(key));
  }
}

std::vector<std::string> unnamed_values(const MilvusCollections& collections,
                                        std::set<std::string>& named) {
  std::vector<std::string> unnamed;
  const MilvusMoment moment = collections.now();
  std::string last;
  for (;;) {
    const std::vector<std::string> keys = collections.keys_after(last, moment);
    if (keys.empty()) return unnamed;
    for (const std::string& key : keys) {
      const bool is_of_a_record = kRecordKinds.find(key.front()) != std::string_view::npos;
      if (named.erase(key) == 0 && is_of_a_record) unnamed.push_back(key);
      last = std::max(last, key);
    }
  }
}

std::vector<std::string> without_named(const MilvusCollections& collections,
                                       std::vector<std::string> keys) {
  std::set<std::string> ids;
  for (const std::string& key : keys) ids.insert(id_of_key(key));
  std::set<std::string> named;
  for (const StoredRow& row :
       read_rows(collections, std::vector(ids.begin(), ids.end()), collections.now())) {
    insert_keys(row, named);
  }
  std::erase_if(keys, [&](const std::string& key) { return named.contains(key); });
  return keys;
}

}  // namespace mmra::bank
