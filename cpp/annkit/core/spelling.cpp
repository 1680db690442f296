#include "annkit/core/spelling.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "annkit/core/errors.h"

namespace annkit {
namespace {

char lower(char letter) { return letter >= 'A' && letter <= 'Z' ? char(letter - 'A' + 'a') : letter; }

// Letters that are put in, left out or changed, or neighbours that trade places (Levenshtein, Damerau).
size_t edits(std::string_view a, std::string_view b) {
    std::vector<size_t> older, old(b.size() + 1), now(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) now[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        older = std::exchange(old, now);
        now[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const bool same = lower(a[i - 1]) == lower(b[j - 1]);
            now[j] = std::min({old[j] + 1, now[j - 1] + 1, old[j - 1] + !same});
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                now[j] = std::min(now[j], older[j - 2] + 1);
        }
    }
    return now[b.size()];
}

bool begins(std::string_view word, std::string_view with) {
    constexpr size_t kLeast = 2;
    return with.size() >= kLeast && word.size() >= with.size() && edits(word.substr(0, with.size()), with) == 0;
}

}  // namespace

std::string did_you_mean(std::string_view given, std::span<const std::string_view> words) {
    constexpr size_t kLongest = 64;
    std::string_view best;
    size_t least = given.size() > kLongest ? 0 : given.size() / 3 + 2;
    for (const std::string_view word : words) {
        const size_t size = std::max(word.size(), given.size()), most = size / (size < 6 ? 4 : 3);
        const bool part = begins(word, given) || begins(given, word);
        const size_t apart = part ? 1 : edits(given, word);
        if (apart < least && (part || apart <= most)) best = word, least = apart;
    }
    return best.empty() ? "" : concat("; did you mean \"", best, "\"?");
}

}  // namespace annkit
