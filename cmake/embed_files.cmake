# Writes a source that holds FILES (absolute paths, separated by ;) as mmra::serving::web_assets().
#   cmake -DOUTPUT=web_assets.cpp -DFILES=... -P embed_files.cmake
set(types "html=text/html\\; charset=utf-8" "css=text/css\\; charset=utf-8"
          "js=text/javascript\\; charset=utf-8" "svg=image/svg+xml" "png=image/png"
          "ico=image/x-icon" "json=application/json" "webmanifest=application/manifest+json"
          "woff2=font/woff2" "txt=text/plain\\; charset=utf-8")
set(arrays "")
set(table "")
set(number 0)
foreach(file IN LISTS FILES)
  get_filename_component(name "${file}" NAME)
  get_filename_component(extension "${file}" LAST_EXT)
  string(SUBSTRING "${extension}" 1 -1 extension)
  set(type "")
  foreach(entry IN LISTS types)
    string(REPLACE "\\;" ";" entry "${entry}")
    if(entry MATCHES "^${extension}=(.*)$")
      set(type "${CMAKE_MATCH_1}")
    endif()
  endforeach()
  if(type STREQUAL "")
    message(FATAL_ERROR "${file}: no media type is known for .${extension}")
  endif()
  file(READ "${file}" bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(APPEND arrays "constexpr unsigned char kFile${number}[] = {\n${bytes}0};\n")
  string(APPEND table "    {\"${name}\", \"${type}\", bytes_of(kFile${number}, sizeof kFile${number})},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${OUTPUT}.new" "// Made by cmake/embed_files.cmake.
#include \"mmra/serving/web_assets.h\"

namespace mmra::serving {
namespace {

${arrays}
std::string_view bytes_of(const unsigned char* bytes, unsigned long size) {
  return {reinterpret_cast<const char*>(bytes), size - 1};  // without the zero at the end
}

}  // namespace

std::span<const WebAsset> web_assets() {
  static const WebAsset kAssets[] = {
${table}  };
  return kAssets;
}

}  // namespace mmra::serving
")
file(RENAME "${OUTPUT}.new" "${OUTPUT}")
