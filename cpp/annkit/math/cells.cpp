#include "annkit/math/cells.h"

#include <algorithm>
#include <cmath>
#include <queue>

#include "annkit/simd/kernels.h"

namespace annkit {

void normalise_row(std::span<float> row) {
    double norm2 = 0;
    for (const float x : row) norm2 += double(x) * double(x);
    if (norm2 == 0) return;
    for (float& x : row) x = float(double(x) / std::sqrt(norm2));
}

Cells::Cells(const TrainingRows& rows, std::span<const uint32_t> assigned, size_t k)
    : rows_(rows), starts_(k + 1), order_(assigned.size()), costs_(k) {
    constexpr uint32_t kPiece = 1024;
    for (const uint32_t cell : assigned) ++starts_[cell + 1];
    for (size_t c = 0; c < k; ++c) starts_[c + 1] += starts_[c];
    std::vector<uint32_t> next(starts_.begin(), starts_.end() - 1);
    for (size_t i = 0; i < assigned.size(); ++i) order_[next[assigned[i]]++] = uint32_t(i);
    for (uint32_t c = 0; c < k; ++c)
        for (uint32_t first = starts_[c]; first < starts_[c + 1]; first += kPiece)
            pieces_.push_back({c, first, std::min(first + kPiece, starts_[c + 1])});
}

// Adds the rows' differences from a point; returns the sum of their squares.
double Cells::sum(const Piece& piece, const float* point, double* out) const {
    constexpr uint32_t kStep = 64;
    const float* pointers[kStep];
    double squares = 0;
    for (uint32_t i = piece.first; i < piece.last; i += kStep) {
        const uint32_t n = std::min(kStep, piece.last - i);
        for (uint32_t r = 0; r < n; ++r) pointers[r] = rows_.row(order_[i + r]);
        squares += simd::kernels().sum_differences(point, pointers, rows_.dim(), n, out);
    }
    return squares;
}

// Where centroids become means, they are the points that differences are taken from: with x - new = (x - old) - (new -
// old), one pass over the rows gives the means and what they cost.
void Cells::update(std::span<float> centroids, bool normalise, const Call& call) {
    const size_t dim = rows_.dim();
    const int threads = threads_for(call, double(order_.size()) * double(dim));
    std::vector<double> sums(pieces_.size() * dim), costs(pieces_.size());
    const std::vector<float> origin(dim);
    parallel_for(pieces_.size(), threads, call, [&](size_t p, int) {
        const float* old = &centroids[pieces_[p].cell * dim];
        costs[p] = sum(pieces_[p], normalise ? origin.data() : old, &sums[p * dim]);
    });
    product_ = 0;
    std::fill(costs_.begin(), costs_.end(), 0.0);
    for (size_t p = 0; p < pieces_.size();) {
        const uint32_t cell = pieces_[p].cell;
        const auto n = double(count(cell));
        double* total = &sums[p * dim];
        costs_[cell] = costs[p];
        for (++p; p < pieces_.size() && pieces_[p].cell == cell; ++p) {
            costs_[cell] += costs[p];
            for (size_t j = 0; j < dim; ++j) total[j] += sums[p * dim + j];
        }
        float* centroid = &centroids[cell * dim];
        double norm2 = 0;
        for (size_t j = 0; j < dim; ++j) norm2 += total[j] * total[j];
        for (size_t j = 0; j < dim; ++j) {
            const double old = normalise ? 0.0 : double(centroid[j]), sum = total[j] + n * old;
            if (!normalise)
                centroid[j] = float(old + total[j] / n);
            else if (norm2 > 0)
                centroid[j] = float(total[j] / std::sqrt(norm2));
            const double moved = double(centroid[j]) - old;
            costs_[cell] += moved * (n * moved - 2 * total[j]);
            product_ += sum * double(centroid[j]);
        }
        costs_[cell] = std::max(costs_[cell], 0.0);
    }
}

double Cells::cost() const {
    double total = 0;
    for (const double cost : costs_) total += cost;
    return total;
}

size_t Cells::fill_empty(std::span<float> centroids, bool normalise, Random& random) {
    struct Donor {
        double cost;
        uint32_t cell;
        bool operator<(const Donor& other) const { return cost != other.cost ? cost < other.cost : cell > other.cell; }
    };
    std::priority_queue<Donor> donors;
    size_t filled = 0;
    for (uint32_t c = 0; c < k(); ++c) {
        if (count(c) > 0) continue;
        if (donors.empty())
            for (uint32_t d = 0; d < k(); ++d)
                if (count(d) > 1 && cost(d) > 0) donors.push({cost(d), d});
        if (donors.empty()) break;
        const Donor donor = donors.top();
        donors.pop();
        donors.push({donor.cost / 2, donor.cell});
        const float* x = rows_.row(order_[starts_[donor.cell] + random.below(count(donor.cell))]);
        const std::span<float> centroid = centroids.subspan(c * rows_.dim(), rows_.dim());
        std::copy_n(x, centroid.size(), centroid.begin());
        if (normalise) normalise_row(centroid);
        ++filled;
    }
    return filled;
}

}  // namespace annkit
