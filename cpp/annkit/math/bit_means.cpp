#include "annkit/math/bit_means.h"

#include "annkit/core/random.h"
#include "annkit/math/kmeans.h"
#include "annkit/math/sample.h"

namespace annkit {

NearestCodes bit_means(const Rows& bits, size_t k, size_t rounds, const Fit& fit) {
    KMeansOptions options;
    options.k = k;
    options.rounds = rounds;
    Random random(fit.seed);
    const size_t bytes = bits.elements(), dim = 8 * bytes;
    const std::vector<size_t> chosen = sample_of(bits.n, options.sample * k, random.next());
    std::vector<int8_t> signs(chosen.size() * dim);
    Phase spread(fit.call.monitor, 0, 0.1), rest(fit.call.monitor, 0.1, 1);
    const Call call{fit.call.threads, spread.monitor()};
    constexpr size_t kRows = 256;  // of a task
    parallel_blocks(chosen.size(), kRows, threads_for(call, double(signs.size())), call, [&](size_t first, size_t n) {
        std::vector<uint8_t> code(bytes);
        for (size_t i = first; i < first + n; ++i) {
            copy_bytes(bits, chosen[i], code.data());
            for (size_t j = 0; j < dim; ++j) signs[i * dim + j] = (code[j / 8] >> j % 8 & 1) != 0 ? 1 : -1;
        }
    });
    const Rows rows{reinterpret_cast<const std::byte*>(signs.data()), chosen.size(), dim, Dtype::i8, ptrdiff_t(dim), 1};
    const std::vector<float> means =
        kmeans(rows, options, {random.next(), {fit.call.threads, rest.monitor()}}).centroids;
    std::vector<uint8_t> codes(k * bytes);
    for (size_t i = 0; i < means.size(); ++i) codes[i / 8] |= uint8_t((means[i] > 0) << i % 8);
    return {std::move(codes), bytes};
}

}  // namespace annkit
