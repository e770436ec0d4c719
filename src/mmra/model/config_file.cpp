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

Precision read_precision(StrictReader& reader) {
  if (!reader.has("precision")) return Precision::kFloat32;
  std::string name;
  reader.read("precision", name);
  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16}) {
    if (name == mmra::name_of(precision)) return precision;
  }
  reader.fail("has the precision \"" + name + "\", expected \"f32\" or \"bf16\"");
}

void check_precision(Precision precision) {
  if (precision != Precision::kAuto) return;
  throw Error(ErrorKind::kInternal, "a network was given no precision for its training");
}

}  // namespace mmra::model
