// Lloyd's algorithm for one group of product quantization, and for all of them at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "annkit/core/crew.h"
#include "annkit/core/memory.h"
#include "annkit/core/random.h"
#include "annkit/math/byte_assigner.h"

namespace annkit {

// Points of a group as nearest_in_group takes them: -2 (x - middle), interleaved; zeros behind the last.
void pack_group(const float* x, size_t stride, size_t n, size_t dim, const float* middle, float* panels);

struct GroupRows {
    const float* x;
    size_t stride;                 // floats
    std::vector<uint32_t> chosen;  // the rows of x to train on; the first part is a sample of them all

    static constexpr size_t kParts = 4;
};

class GroupTrainer {
  public:
    // Dimensions [first, first + dim) of the rows, which must outlive it. start: k centroids, or null for a random
    // sample.
    GroupTrainer(const GroupRows& rows, size_t first, size_t dim, size_t k, const float* start, uint64_t seed);

    // Room for the group's values, as open() copies them; assign and update need them. Groups that come later use it
    // again: new memory has to be cleared page by page.
    class Memory {
      public:
        void reserve(size_t bytes);
        float* floats() const { return reinterpret_cast<float*>(buffer_.get()); }

      private:
        Buffer buffer_;
        size_t bytes_ = 0;
    };
    size_t bytes() const;  // that open() takes
    void open(std::unique_ptr<Memory> memory, const Call& call);
    std::unique_ptr<Memory> close();

    // A round: all panels of the first n rows are assigned, by several threads if need be, then the centroids move.
    size_t panels() const;
    double work_per_panel() const;  // multiply-adds
    void assign(size_t first_panel, size_t last_panel);
    void assign_rows(size_t n, Crew& crew);
    bool update(size_t n, Crew& crew);  // false: nothing has changed, nor will it with these rows
    // The rows that a round takes: a part of them while centroids, from a random start, still move far. (d=128, 16
    // groups of 8 bits: a quarter of the time is saved, for 0.1 % of the error.)
    size_t rows_in(size_t round, size_t rounds) const;

    void write(float* codebook) const;

  private:
    size_t values() const;  // floats in memory_
    const float* row(size_t i) const { return rows_.x + rows_.chosen[i] * rows_.stride + first_; }
    float* point(size_t i) const { return points_ + i * padded_; }
    void center(size_t first, size_t last);
    void begin();
    void measure();
    double cost(const std::vector<uint32_t>& counts, size_t n) const;
    void sum_cells(size_t n, std::vector<double>& sums, std::vector<uint32_t>& counts, Crew& crew) const;

    const GroupRows& rows_;
    size_t first_, dim_, padded_, k_;
    const float* start_;
    Random random_;
    std::vector<float> middle_;  // from which points and centroids are taken
    std::vector<float> centroids_, norms_;
    std::vector<float> columns_;  // the centroids, dimension by dimension, where no bytes_ are there
    // Of wide groups, whose rounds are bound by multiply-adds; none where rounding would cost too much.
    std::optional<ByteAssigner> bytes_;
    ByteAssigner::Tiles tiles_;
    std::unique_ptr<Memory> memory_;
    // In memory_: points, padded to a multiple of four dimensions; the same as the kernel takes them; the nearest
    // centroids, and those of the last round, of measured_ points.
    float *points_ = nullptr, *panels_ = nullptr;
    uint32_t *nearest_ = nullptr, *before_ = nullptr;
    size_t measured_ = 0;
};

// Results do not depend on the number of threads: a group's sums are in the order of its rows.
void train_groups(std::span<GroupTrainer> groups, size_t rounds, const Call& call);

}  // namespace annkit
