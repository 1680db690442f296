// Steps of walks that guess find what steps without guesses find, however they are mixed, walk after walk.
#include <algorithm>
#include <vector>

#include "annkit/codec/raw.h"
#include "annkit/core/random.h"
#include "annkit/index/graph_walk.h"
#include "checks.h"

namespace {

using namespace annkit;

constexpr size_t kRows = 3000, kDim = 8, kDegree = 16;

std::vector<float> random_rows(size_t n, Random& random) {
    std::vector<float> x(n * kDim);
    for (float& value : x) value = float(random.below(1000)) / 1000;
    return x;
}

// Each node leads to those beside it and to others anywhere: walks come by many ways, and often turn.
Graph random_graph(Random& random) {
    Graph graph(kDegree);
    GraphLayer& layer = graph.push_layer();
    layer.reserve(kRows);
    std::vector<uint32_t> links(kDegree);
    for (uint32_t node = 0; node < kRows; ++node) {
        for (size_t i = 0; i < kDegree; ++i)
            links[i] = i < 2 ? uint32_t((node + 1 + i) % kRows) : uint32_t(random.below(kRows));
        layer.set(node, links);
    }
    layer.grow(kRows);
    return graph;
}

// Whether the i-th step guesses.
std::vector<Near> found_by(GraphWalk& walk, size_t ef, auto&& guess) {
    walk.start_near(0, 0, {ef});
    for (size_t i = 0; walk.step(guess(i)); ++i) {
    }
    std::vector<Near> found;
    for (size_t i = 0; i < walk.pool().within(); ++i) found.push_back(walk.pool()[i]);
    return found;
}

bool same(const std::vector<Near>& a, const std::vector<Near>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const Near& x, const Near& y) { return x.node == y.node && x.score == y.score; });
}

}  // namespace

int main() {
    Random random(7);
    const std::vector<float> x = random_rows(kRows, random), queries = random_rows(50, random);
    const Raw codec("f32");
    Codes codes = codec.make_codes(kDim, {});
    codes.reserve(kRows);
    codec.encode(Rows::of(x.data(), kRows, kDim), nullptr, codes, 0);
    codes.n = kRows;
    const Graph graph = random_graph(random);
    GraphWalk::Scratch plain_scratch, scratch;
    GraphWalk plain(graph, codec.walk_scorer(Metric::l2, codes, kDim), plain_scratch);
    GraphWalk walk(graph, codec.walk_scorer(Metric::l2, codes, kDim), scratch);
    for (size_t q = 0; q < 50; ++q)
        for (size_t ef : {1, 10, 100}) {
            const Rows query = Rows::of(queries.data() + q * kDim, 1, kDim);
            plain.scorer().query(query);
            walk.scorer().query(query);
            const auto expected = found_by(plain, ef, [](size_t) { return false; });
            checks::expect(expected.size() == ef, "a walk keeps ef nodes");
            checks::expect(same(found_by(walk, ef, [](size_t) { return true; }), expected), "guesses");
            checks::expect(same(found_by(walk, ef, [](size_t i) { return i % 3 == 0; }), expected),
                           "guesses at every third step");
            checks::expect(same(found_by(walk, ef, [&](size_t) { return random.below(2) == 0; }), expected),
                           "guesses at random steps");
        }
    return checks::summary("graph walk");
}
