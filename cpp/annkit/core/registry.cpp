// The message for a kind that has no loader.
#include "annkit/core/registry.h"

namespace annkit::detail {

void fail_unknown_kind(const Reader& reader, std::string_view kind, std::string_view known) {
    fail<FormatError>(reader.file(), " holds a part of the kind ", kind, ", which cannot be loaded here; known are ",
                      known.empty() ? "none" : known);
}

}  // namespace annkit::detail
