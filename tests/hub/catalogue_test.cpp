#include "mmra/hub/catalogue.h"

#include <gtest/gtest.h>

#include <set>

#include "mmra/hub/repository_listing.h"

namespace mmra::hub {
namespace {

TEST(Catalogue, HasWholeSetsWithDistinctNamesAndRoles) {
  std::set<std::string> names;
  for (const CatalogueSet& set : catalogue()) {
    EXPECT_TRUE(is_plain_name(set.name)) << set.name;
    EXPECT_TRUE(names.insert(set.name).second) << set.name << " twice";
    EXPECT_NE(set.name, "builtin");
    EXPECT_FALSE(set.description.empty());
    std::set<Role> roles;
    for (const CataloguePart& part : set.parts) {
      EXPECT_TRUE(roles.insert(part.role).second) << set.name << ": a role twice";
      EXPECT_TRUE(is_repository_name(part.repository)) << part.repository;
      EXPECT_GT(part.approximate_mb, 0) << part.repository;
      EXPECT_FALSE(part.licence.empty() || part.languages.empty()) << part.repository;
      EXPECT_NE(part.settings.prompt.find(kPromptPlace), std::string::npos) << part.repository;
    }
    EXPECT_TRUE(roles.contains(Role::kRetrieval)) << set.name << " could not search";
  }
}

TEST(Catalogue, KnowsThePapersEncoders) {
  const CatalogueSet* paper = find_set("paper");
  ASSERT_NE(paper, nullptr);
  ASSERT_EQ(paper->parts.size(), 4U);
  const CataloguePart* retrieval = find_catalogue_part("WhereIsAI/UAE-Large-V1", {});
  ASSERT_NE(retrieval, nullptr);
  EXPECT_EQ(retrieval->role, Role::kRetrieval);
  EXPECT_EQ(retrieval->settings.pooling, Pooling::kCls);
  EXPECT_EQ(retrieval->settings.prompt,
            "Represent this sentence for searching relevant passages: {text}");
  EXPECT_EQ(find_set("papers"), nullptr);
  EXPECT_EQ(find_catalogue_part("WhereIsAI/UAE-Large-V1", Role::kVisual), nullptr);
}

}  // namespace
}  // namespace mmra::hub
