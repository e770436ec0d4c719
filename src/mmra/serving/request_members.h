#pragma once

#include "mmra/serving/http_message.h"
#include "mmra/serving/json_request.h"

namespace mmra::serving {

/// The members of a request, whether it came as JSON or as a form: a form's fields are texts, but
/// "context", which is JSON, "popularity", "k", which are numbers, and "title", which makes
/// "titles" where there may be several. Throws Refusal.
[[nodiscard]] RequestMembers members_of(const Request& request, bool several_titles = false);

/// The form's video; null where there is none, or an empty one (a browser sends that for a field
/// that nobody filled).
[[nodiscard]] const UploadedFile* video_of(const Request& request);

/// The value of a query parameter; empty where it is not there.
[[nodiscard]] std::string parameter(const RequestHead& head, const std::string& name);
/// Throws Refusal that names a parameter which is not among the known.
void expect_parameters(const RequestHead& head, std::initializer_list<std::string_view> known);

}  // namespace mmra::serving
