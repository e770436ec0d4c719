#include "mmra/model/config_file.h"

namespace mmra::model {

void expect_format_version(StrictReader& reader, int expected) {
  int version = 0;
  reader.read("format_version", version);
  if (version == expected) return;
  throw Error(ErrorKind::kUnsupported, reader.origin() + " has the format version " +
                                           std::to_string(version) + ", this program reads " +
                                           std::to_string(expected));
}

Variant read_variant(StrictReader& reader) {
  std::string name;
  reader.read("variant", name);
  for (const Variant variant : {Variant::kPaper, Variant::kReleased}) {
    if (name == name_of(variant)) return variant;
  }
  reader.fail("has the variant \"" + name + "\", expected \"paper\" or \"released\"");
}

}  // namespace mmra::model
