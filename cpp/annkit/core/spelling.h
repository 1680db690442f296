// What is said of a word that is not known.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace annkit {

// "; did you mean "..."?", or nothing where none of the words is spelled nearly so.
std::string did_you_mean(std::string_view given, std::span<const std::string_view> words);

}  // namespace annkit
