#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "test_files.h"

namespace mmra::testing {

enum class Engine { kDirectory, kMilvus };

/// The address of a collection of the server that tests may use:
/// MMRA_TEST_MILVUS=HOST:PORT[?management=PORT] (scripts/milvus.sh starts one). Empty: there is
/// none.
[[nodiscard]] std::string on_test_server(const std::string& collection);

/// Tests that run on every kind of bank. A place is a directory or a collection that nobody else
/// has; all of them are gone afterwards. Without a server the tests on it are skipped.
class OnAnyEngine : public ::testing::TestWithParam<Engine> {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// The same for the same name.
  [[nodiscard]] std::filesystem::path place(const std::string& name);

  TemporaryDirectory directory_;

 private:
  std::string prefix_;
  std::vector<std::filesystem::path> collections_;
};

}  // namespace mmra::testing

#define MMRA_ON_EVERY_ENGINE(fixture)                                                           \
  INSTANTIATE_TEST_SUITE_P(                                                                     \
      Engines, fixture,                                                                         \
      ::testing::Values(::mmra::testing::Engine::kDirectory, ::mmra::testing::Engine::kMilvus), \
      [](const auto& engine) {                                                                  \
        return engine.param == ::mmra::testing::Engine::kMilvus ? "Milvus" : "Directory";       \
      })
