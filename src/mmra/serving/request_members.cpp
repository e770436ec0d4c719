#include "mmra/serving/request_members.h"

#include <algorithm>
#include <utility>

#include "mmra/bank/context_typer.h"
#include "mmra/bank/text_checks.h"
#include "mmra/serving/problem.h"

namespace mmra::serving {
namespace {

using nlohmann::json;

json value_of_field(const std::string& name, const std::string& text) {
  if (name == "context") return text.empty() ? json(nullptr) : parse_body(text);
  if (name != "popularity" && name != "k") return text;
  if (text.empty()) return nullptr;
  const auto number = bank::parse_number(text);
  if (!number) {
    throw Refusal(bad_request("invalid_member",
                              "\"" + name + "\" must be a number, not " + bank::in_quotes(text),
                              "write it as JSON does: 1200, 0.5"));
  }
  return *number;
}

json object_of(const Form& form, bool several_titles) {
  json object = json::object();
  if (several_titles) object["titles"] = json::array();
  for (const auto& [name, text] : form.fields) {
    if (several_titles && name == "title") {
      object["titles"].push_back(text);
    } else if (!object.contains(name)) {
      object[name] = value_of_field(name, text);
    } else {
      throw Refusal(bad_request("invalid_form",
                                "the form has the field " + bank::in_quotes(name) + " twice",
                                "give it once"));
    }
  }
  return object;
}

}  // namespace

RequestMembers members_of(const Request& request, bool several_titles) {
  return RequestMembers(request.form ? object_of(*request.form, several_titles)
                                     : parse_body(request.body));
}

const UploadedFile* video_of(const Request& request) {
  if (!request.form || request.form->video == nullptr || request.form->video->size_bytes() == 0) {
    return nullptr;
  }
  return request.form->video.get();
}

std::string parameter(const RequestHead& head, const std::string& name) {
  const auto found = head.query.find(name);
  return found == head.query.end() ? std::string() : found->second;
}

void expect_parameters(const RequestHead& head, std::initializer_list<std::string_view> known) {
  for (const auto& [name, value] : head.query) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw Refusal(bad_request("unknown_parameter",
                                "there is no parameter " + bank::in_quotes(name) + " here",
                                "GET /openapi.json lists those that there are"));
    }
  }
}

}  // namespace mmra::serving
