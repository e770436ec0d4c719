#include "bank/any_bank.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "mmra/bank/milvus/address.h"
#include "mmra/bank/milvus/milvus_bank.h"

namespace mmra::testing {

std::string on_test_server(const std::string& collection) {
  const char* variable = std::getenv("MMRA_TEST_MILVUS");
  const std::string server = variable == nullptr ? "" : variable;
  if (server.empty()) return "";
  const std::size_t query = std::min(server.find('?'), server.size());
  return "milvus://" + server.substr(0, query) + "/" + collection + server.substr(query);
}

void OnAnyEngine::SetUp() {
  if (GetParam() != Engine::kMilvus) return;
  if (on_test_server("any").empty()) {
    GTEST_SKIP() << "no Milvus server: MMRA_TEST_MILVUS=HOST:PORT names one (scripts/milvus.sh)";
  }
  ::setenv("no_proxy", "127.0.0.1,localhost", 1);
  ::setenv("MMRA_BANKS", (directory_ / "banks").c_str(), 1);
  std::random_device device;
  prefix_ = "mmra_test_" + std::to_string(::getpid()) + "_" + std::to_string(device());
}

void OnAnyEngine::TearDown() {
  for (const auto& collection : collections_) {
    bank::drop_milvus_bank(bank::parse_milvus_address(collection),
                           bank::milvus_options_from_environment());
  }
}

std::filesystem::path OnAnyEngine::place(const std::string& name) {
  if (GetParam() != Engine::kMilvus) return directory_ / name;
  const std::filesystem::path address = on_test_server(prefix_ + "_" + name);
  if (std::find(collections_.begin(), collections_.end(), address) == collections_.end()) {
    collections_.push_back(address);
  }
  return address;
}

}  // namespace mmra::testing
