#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/hub/part_settings.h"

namespace mmra::hub {

/// A model that the program knows how to use in a role.
struct CataloguePart {
  Role role = Role::kRetrieval;
  std::string repository;           ///< "owner/name"
  std::int64_t approximate_mb = 0;  ///< of what is fetched, in 10^6 bytes
  std::string licence;              ///< SPDX identifier, as its page states it
  std::string languages;
  PartSettings settings;
};

/// Models that belong together, under a name that `--encoders NAME` takes.
struct CatalogueSet {
  std::string name;
  std::string description;
  std::vector<CataloguePart> parts;
};

/// The sets that `mmra models pull NAME` knows (docs/models.md).
[[nodiscard]] std::span<const CatalogueSet> catalogue();

/// The set of that name, or null.
[[nodiscard]] const CatalogueSet* find_set(std::string_view name);

/// The first part of the catalogue with that repository (and role, where given), or null.
[[nodiscard]] const CataloguePart* find_catalogue_part(std::string_view repository,
                                                       std::optional<Role> role);

}  // namespace mmra::hub
