#include "mmra/bank/milvus/address.h"

#include <gtest/gtest.h>

#include "expect_error.h"

namespace mmra::bank {
namespace {

using testing::expect_error;

TEST(MilvusAddress, NamesHostPortAndCollection) {
  const MilvusAddress address = parse_milvus_address("milvus://db.example:19530/videos_1");
  EXPECT_EQ(address.host, "db.example");
  EXPECT_EQ(address.port, 19530);
  EXPECT_EQ(address.collection, "videos_1");
  EXPECT_FALSE(address.uses_tls);
  EXPECT_EQ(address.data_url(), "http://db.example:19530");
  EXPECT_EQ(address.management_url(), "http://db.example:9091");
  EXPECT_EQ(address.text(), "milvus://db.example:19530/videos_1");
}

TEST(MilvusAddress, MayNameTlsAndAnotherManagementPort) {
  const MilvusAddress address = parse_milvus_address("milvus+tls://[::1]:443/_v?management=444");
  EXPECT_EQ(address.host, "[::1]");
  EXPECT_EQ(address.data_url(), "https://[::1]:443");
  EXPECT_EQ(address.management_url(), "https://[::1]:444");
  EXPECT_EQ(address.text(), "milvus+tls://[::1]:443/_v?management=444");
}

TEST(MilvusAddress, ADirectoryIsNone) {
  EXPECT_TRUE(is_milvus_address("milvus://x:1/y"));
  EXPECT_TRUE(is_milvus_address("milvus+tls://x:1/y"));
  EXPECT_FALSE(is_milvus_address("milvus"));
  EXPECT_FALSE(is_milvus_address("./milvus://x:1/y"));
  EXPECT_FALSE(is_milvus_address(""));
}

TEST(MilvusAddress, RefusesWhatIsNotOfItsForm) {
  const auto refused = [](const char* given, const char* why) {
    expect_error(ErrorKind::kInvalidInput, why, [&] { (void)parse_milvus_address(given); });
  };
  for (const char* given :
       {"milvus://", "milvus://host/videos", "milvus://host:/videos", "milvus://:1/videos",
        "milvus://host:0/videos", "milvus://host:65536/videos", "milvus://host:12x/videos",
        "milvus://a b:1/videos", "milvus://a::1:1/videos"}) {
    refused(given, "a host and a port are needed");
  }
  for (const char* given : {"milvus://host:1", "milvus://host:1/", "milvus://host:1/1videos",
                            "milvus://host:1/a/b", "milvus://host:1/a-b", "milvus://host:1/\"x"}) {
    refused(given, "a collection's name is letters");
  }
  refused("milvus://host:1/v?x=1", "only management=PORT");
  refused("milvus://host:1/v?management=", "only management=PORT");
  refused("milvus://root:secret@host:1/v", "MMRA_MILVUS_TOKEN");
  refused(("milvus://host:1/" + std::string(201, 'a')).c_str(), "at most 200");
}

}  // namespace
}  // namespace mmra::bank
