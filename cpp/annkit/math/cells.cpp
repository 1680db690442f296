#include "annkit/math/cells.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <queue>

#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// A cell whose cost is less of its squares starts anew from its mean: rounding would be a part of the cost.
constexpr double kLeastOfSquares = 1e-3;

}  // namespace

void normalise_row(std::span<float> row) {
    double norm2 = 0;
    for (const float x : row) norm2 += double(x) * double(x);
    if (norm2 == 0) return;
    for (float& x : row) x = float(double(x) / std::sqrt(norm2));
}

Cells::Cells(const TrainingRows& rows, size_t k, bool normalise)
    : rows_(rows),
      normalise_(normalise),
      counts_(k),
      renewed_(k, 1),
      points_(k * rows.dim()),
      sums_(k * rows.dim()),
      squares_(k),
      costs_(k),
      products_(k) {}

// Rows of a stretch, by cells: how many came, left, and are there; then where the next ones go.
struct Cells::Stretch {
    explicit Stretch(size_t k) : came(k), left(k) {}
    std::vector<uint32_t> came, left, members, changed;
};

// A cell of which more changes than stays starts anew. Each thread sorts a stretch of the rows; those of a cell stay in
// their order.
Cells::Changes Cells::compare(std::span<const uint32_t> before, std::span<const uint32_t> assigned, const Call& call) {
    constexpr double kOfRow = 200;  // takes as long as so many multiply-adds
    const size_t n = assigned.size();
    const int threads = threads_for(call, kOfRow * double(n));
    const Stretch empty(k());
    std::vector<Stretch> stretches(static_cast<size_t>(threads), empty);
    const auto each = [&](const auto& body) {
        parallel_blocks(stretches.size(), 1, threads, call, [&](size_t s, size_t) {
            body(stretches[s], s * n / stretches.size(), (s + 1) * n / stretches.size());
        });
    };
    each([&](Stretch& s, size_t first, size_t last) {
        s.changed.resize(last - first);
        size_t found = 0;
        for (size_t i = first; i < last; ++i) {
            s.changed[found] = uint32_t(i);  // no branch: nobody could foretell it
            found += assigned[i] != before[i];
        }
        s.changed.resize(found);
        for (const uint32_t i : s.changed) {
            ++s.came[assigned[i]];
            if (before[i] != kNowhere) ++s.left[before[i]];
        }
    });
    Changes out;  // not one list in braces: GCC 12 destroys the inner list's vectors twice where a later one throws
    out.starts.resize(k() + 1);
    out.leaving.resize(k());
    for (size_t c = 0; c < k(); ++c) {
        uint32_t came = 0, left = 0;
        for (const Stretch& s : stretches) came += s.came[c], left += s.left[c];
        counts_[c] += came - left;
        if (uint64_t(came) + left >= counts_[c]) renewed_[c] = 1;
        out.leaving[c] = out.starts[c] + (renewed_[c] ? counts_[c] : came);
        out.starts[c + 1] = out.leaving[c] + (renewed_[c] ? 0 : left);
    }
    const bool some_renewed = std::find(renewed_.begin(), renewed_.end(), 1) != renewed_.end();
    if (some_renewed)
        each([&](Stretch& s, size_t first, size_t last) {
            s.members.resize(k());
            for (size_t i = first; i < last; ++i) ++s.members[assigned[i]];
        });
    for (size_t c = 0; c < k(); ++c) {
        uint32_t coming = out.starts[c], leaving = out.leaving[c];
        for (Stretch& s : stretches) {
            const uint32_t come = renewed_[c] ? s.members[c] : s.came[c], leave = s.left[c];
            s.came[c] = coming, s.left[c] = leaving;
            coming += come, leaving += leave;
        }
    }
    out.rows.resize(out.starts[k()]);
    each([&](Stretch& s, size_t first, size_t last) {
        const auto put = [&](uint32_t i) {
            const uint32_t now = assigned[i], was = before[i];
            if (now != was || renewed_[now]) out.rows[s.came[now]++] = i;
            if (now != was && was != kNowhere && !renewed_[was]) out.rows[s.left[was]++] = i;
        };
        if (some_renewed)
            for (size_t i = first; i < last; ++i) put(uint32_t(i));
        else
            for (const uint32_t i : s.changed) put(i);
    });
    return out;
}

void Cells::renew(size_t cell, const float* centroid) {
    const size_t dim = rows_.dim();
    std::fill_n(&sums_[cell * dim], dim, 0.0);
    squares_[cell] = 0;
    if (!normalise_) std::copy_n(centroid, dim, &points_[cell * dim]);
}

// Adds the rows' differences from the cell's point; returns the sum of their squares.
double Cells::sum(size_t cell, std::span<const uint32_t> rows, double* out) const {
    constexpr size_t kStep = 64;
    const float* pointers[kStep];
    double squares = 0;
    for (size_t i = 0; i < rows.size(); i += kStep) {
        const size_t n = std::min(kStep, rows.size() - i);
        for (size_t r = 0; r < n; ++r) pointers[r] = rows_.row(rows[i + r]);
        squares += simd::kernels().sum_differences(&points_[cell * rows_.dim()], pointers, rows_.dim(), n, out);
    }
    return squares;
}

// Of a piece; returns by how much it changes the sum of squares.
double Cells::apply(const Changes& changes, const Piece& piece, double* out) const {
    const std::span<const uint32_t> rows(changes.rows);
    const size_t leaving = std::clamp(changes.leaving[piece.cell], piece.first, piece.last);
    const double came = sum(piece.cell, rows.subspan(piece.first, leaving - piece.first), out);
    if (leaving == piece.last) return came;
    std::vector<double> gone(rows_.dim());
    const double left = sum(piece.cell, rows.subspan(leaving, piece.last - leaving), gone.data());
    for (size_t j = 0; j < gone.size(); ++j) out[j] -= gone[j];
    return came - left;
}

// With x - new = (x - point) - (new - point), one look at a row gives the means and what they cost.
void Cells::move(size_t cell, float* centroid) {
    costs_[cell] = products_[cell] = 0;
    renewed_[cell] = 0;
    if (counts_[cell] == 0) return;
    const size_t dim = rows_.dim();
    const double* total = &sums_[cell * dim];
    const float* point = &points_[cell * dim];
    const auto n = double(counts_[cell]);
    double norm2 = 0, cost = squares_[cell];
    for (size_t j = 0; j < dim && normalise_; ++j) norm2 += total[j] * total[j];
    for (size_t j = 0; j < dim; ++j) {
        const double old = double(point[j]);
        if (!normalise_)
            centroid[j] = float(old + total[j] / n);
        else if (norm2 > 0)
            centroid[j] = float(total[j] / std::sqrt(norm2));
        const double moved = double(centroid[j]) - old;
        cost += moved * (n * moved - 2 * total[j]);
        products_[cell] += (total[j] + n * old) * double(centroid[j]);
    }
    costs_[cell] = std::max(cost, 0.0);
    renewed_[cell] = !normalise_ && cost < kLeastOfSquares * squares_[cell];
}

// The first piece of a cell adds to the cell's own sums, any other to some that are added to them afterwards.
void Cells::update(std::span<const uint32_t> before, std::span<const uint32_t> assigned, std::span<float> centroids,
                   const Call& call) {
    constexpr uint32_t kPiece = 1024, kCells = 32;
    const size_t dim = rows_.dim();
    const Changes changes = compare(before, assigned, call);
    std::vector<Piece> pieces;
    std::vector<size_t> starts(k() + 1);
    size_t others = 0;
    for (uint32_t c = 0; c < k(); ++c) {
        if (renewed_[c]) renew(c, &centroids[c * dim]);
        for (uint32_t first = changes.starts[c], end = changes.starts[c + 1]; first < end; first += kPiece)
            pieces.push_back({c, first, std::min(first + kPiece, end), pieces.size() == starts[c] ? 0 : others++});
        starts[c + 1] = pieces.size();
    }
    std::vector<double> sums(others * dim), squares(pieces.size());
    const auto sums_of = [&](size_t p) {
        return starts[pieces[p].cell] == p ? &sums_[pieces[p].cell * dim] : &sums[pieces[p].other * dim];
    };
    constexpr double kOfMemory = 32;  // a number from memory, or of doubles, takes as long as so many multiply-adds
    const double work = kOfMemory * double(changes.rows.size()) * double(dim);
    parallel_apart(pieces.size(), threads_for(call, work), call,
                   [&](size_t p, int) { squares[p] = apply(changes, pieces[p], sums_of(p)); });
    parallel_blocks(k(), kCells, threads_for(call, 2 * kOfMemory * double(sums_.size() + sums.size())), call,
                    [&](size_t first, size_t n) {
                        for (size_t c = first; c < first + n; ++c) {
                            for (size_t p = starts[c]; p < starts[c + 1]; ++p) {
                                squares_[c] += squares[p];
                                for (size_t j = 0; p > starts[c] && j < dim; ++j) sums_[c * dim + j] += sums_of(p)[j];
                            }
                            move(c, &centroids[c * dim]);
                        }
                    });
}

double Cells::cost() const { return std::accumulate(costs_.begin(), costs_.end(), 0.0); }
double Cells::product() const { return std::accumulate(products_.begin(), products_.end(), 0.0); }

// The rows of each cell.
Cells::Lists Cells::list(std::span<const uint32_t> assigned) const {
    Lists out{std::vector<uint32_t>(assigned.size()), std::vector<uint32_t>(k() + 1)};
    for (size_t c = 0; c < k(); ++c) out.starts[c + 1] = out.starts[c] + counts_[c];
    std::vector<uint32_t> next(out.starts.begin(), out.starts.end() - 1);
    for (size_t i = 0; i < assigned.size(); ++i) out.rows[next[assigned[i]]++] = uint32_t(i);
    return out;
}

size_t Cells::fill_empty(std::span<const uint32_t> assigned, std::span<float> centroids, Random& random) {
    struct Donor {
        double cost;
        uint32_t cell;
        bool operator<(const Donor& other) const { return cost != other.cost ? cost < other.cost : cell > other.cell; }
    };
    std::priority_queue<Donor> donors;
    Lists lists;
    size_t filled = 0;
    for (uint32_t c = 0; c < k(); ++c) {
        if (count(c) > 0) continue;
        if (donors.empty())
            for (uint32_t d = 0; d < k(); ++d)
                if (count(d) > 1 && cost(d) > 0) donors.push({cost(d), d});
        if (donors.empty()) break;
        if (lists.rows.empty()) lists = list(assigned);
        const Donor donor = donors.top();
        donors.pop();
        donors.push({donor.cost / 2, donor.cell});
        const float* x = rows_.row(lists.rows[lists.starts[donor.cell] + random.below(count(donor.cell))]);
        const std::span<float> centroid = centroids.subspan(c * rows_.dim(), rows_.dim());
        std::copy_n(x, centroid.size(), centroid.begin());
        if (normalise_) normalise_row(centroid);
        ++filled;
    }
    return filled;
}

}  // namespace annkit
