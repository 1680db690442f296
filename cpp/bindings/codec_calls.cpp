#include "codec_calls.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <shared_mutex>

#include "annkit/core/check_rows.h"
#include "annkit/core/reader.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"
#include "arrays.h"
#include "codec_documents.h"
#include "direct_call.h"
#include "transforms.h"

namespace annkit::bindings {
namespace {

constexpr size_t kBlock = 1152;  // rows a task codes; a multiple of the codes' block

// Codes of some rows, laid out as an index lays them, and the bytes that stand for one row: its code, then its columns.
class RowBytes {
  public:
    RowBytes(const Codec& codec, size_t dim) : RowBytes(codec.make_codes(dim, {}), kBlock) {}
    // Room for so many rows at a time.
    RowBytes(Codes codes, size_t rows) : codes_(std::move(codes)) { codes_.reserve(rows); }

    static size_t size(const Codec& codec, size_t dim) { return size(codec.make_codes(dim, {})); }
    static size_t size(const Codes& codes) {
        size_t bytes = codes.code_bytes();
        for (size_t c = 1; c < codes.columns.size(); ++c) bytes += codes.columns[c].row_bytes();
        return bytes;
    }
    Codes& codes() { return codes_; }

    // The first n rows.
    void get_first(size_t n, std::byte* out) const {
        const bool as_they_lie = codes_.block == 1 && codes_.columns.size() == 1 && codes_.run(0) >= n;
        if (as_they_lie) {
            std::memcpy(out, codes_.code(0), n * codes_.code_bytes());
            return;
        }
        const size_t bytes = size(codes_);
        for (size_t i = 0; i < n; ++i) get(i, out + i * bytes);
    }
    void put(size_t row, const std::byte* from) {
        codes_.put(row, from);
        from += codes_.code_bytes();
        for (size_t c = 1; c < codes_.columns.size(); ++c) {
            Column& column = codes_.columns[c];
            std::memcpy(column.row(row), from, column.row_bytes());
            from += column.row_bytes();
        }
    }

  private:
    void get(size_t row, std::byte* out) const {
        codes_.get(row, out);
        out += codes_.code_bytes();
        for (size_t c = 1; c < codes_.columns.size(); ++c) {
            const Column& column = codes_.columns[c];
            std::memcpy(out, column.row(row), column.row_bytes());
            out += column.row_bytes();
        }
    }

    Codes codes_;
};

void check_ready(const Codec& codec) {
    if (!codec.is_fitted()) fail<NotFittedError>(codec.repr(), " has not been fitted; call fit(x) first");
}

void check_accepts(const Codec& codec, Dtype dtype) {
    check<TypeError>(codec.accepts(dtype), "the array has dtype ", name(dtype), ", ", codec.repr(), " expects ",
                     codec.expects());
}

Input rows_for(const Codec& codec, py::handle given) {
    Input input = rows_from(given, "the array");
    if (input.rows.dtype == Dtype::u8 && codec.accepts(Dtype::bits) && !codec.accepts(Dtype::u8))
        input.rows = as_bits(input.rows);
    check_accepts(codec, input.rows.dtype);
    return input;
}

py::object fit(py::object self, py::handle x, py::handle seed, py::handle threads) {
    auto& codec = self.cast<Codec&>();
    const Input input = rows_for(codec, x);
    PythonMonitor monitor;
    const Fit how{seed_from(seed), {threads_from(threads), &monitor}};
    run([&] {
        check_rows(input.rows, "the array", how.call);
        const std::unique_lock lock(lock_of(codec));
        codec.fit(input.rows, how);
    });
    return self;
}

// Codes of rows of a dimension, where it goes with the codec.
Codes checked_codes(const Codec& codec, size_t dim) {
    check_ready(codec);
    if (codec.fitted_dim() != 0 && codec.fitted_dim() != dim)
        fail("the array has dimension ", dim, ", ", codec.repr(), " has been fitted to ", codec.fitted_dim());
    return codec.make_codes(dim, {});
}

// Held while the interpreter's lock comes and goes; waited for only without it.
std::shared_lock<FairMutex> reading(const Codec& codec) {
    std::shared_lock lock(lock_of(codec), std::try_to_lock);
    if (!lock) run([&] { lock.lock(); });
    return lock;
}

// Rows of so many bytes each, by several threads: body(block, first row, rows).
template <class Body>
void each_block(const Codec& codec, size_t dim, size_t n, const Call& call, const Body& body) {
    if (n == 0) return;
    if (n <= kBlock) {
        RowBytes block(codec.make_codes(dim, {}), n);
        return body(block, 0, n);
    }
    const int threads = threads_for(call, double(n) * double(dim) * 100);
    std::vector<std::unique_ptr<RowBytes>> scratch(size_t(std::max(threads, 1)));
    parallel_for((n + kBlock - 1) / kBlock, threads, call, [&](size_t task, int thread) {
        auto& block = scratch[size_t(thread)];
        if (!block) block = std::make_unique<RowBytes>(codec, dim);
        body(*block, task * kBlock, std::min(kBlock, n - task * kBlock));
    });
}

// Transforms that rows pass before they are coded, few at a time: what lies between stays in the cache.
class Passage {
  public:
    explicit Passage(py::handle given) {
        if (given.is_none()) return;
        if (py::isinstance<Transform>(given)) {
            add(given);
            return;
        }
        if (!py::isinstance<py::sequence>(given))
            fail<TypeError>("through is ", py::cast<std::string>(py::repr(given)), ", expected a transform or several");
        for (py::handle one : given) add(one);
    }
    bool empty() const { return transforms_.empty(); }

    size_t dim_out(size_t dim) const {
        for (const auto& one : transforms_) {
            if (!one->is_fitted()) fail<NotFittedError>(one->repr(), " is not fitted: call fit first");
            check(one->dim_in() == 0 || one->dim_in() == dim, one->repr(), " got rows of dimension ", dim,
                  ", expected ", one->dim_in());
            dim = one->dim_out(dim);
        }
        return dim;
    }
    // body(rows, first): rows as they come out, and the number of the first.
    template <class Body>
    void pass(const Rows& rows, const Body& body) const {
        constexpr size_t kStep = 144;
        if (empty()) return body(rows, 0);
        std::vector<float> now, next;
        for (size_t first = 0; first < rows.n; first += kStep) {
            Rows current = rows.slice(first, std::min(kStep, rows.n - first));
            for (const auto& one : transforms_) {
                const size_t dim = one->dim_out(current.dim);
                next.resize(current.n * dim);
                one->apply(current, next.data());
                now.swap(next);
                current = Rows::of(now.data(), current.n, dim, current.first);
            }
            body(current, first);
        }
    }

  private:
    void add(py::handle one) {
        if (!py::isinstance<Transform>(one))
            fail<TypeError>("through holds ", py::cast<std::string>(py::repr(one)), ", expected transforms");
        transforms_.push_back(copy_of(one.cast<const Transform&>()));
    }
    std::vector<std::unique_ptr<Transform>> transforms_;
};

constexpr char kEncodeSignature[] = "encode($self, x, *, through=None, threads=None)";

py::object encode(const Codec& codec, const Arguments& given) {
    const Passage passage(given[1]);
    const Input input = passage.empty() ? rows_for(codec, given[0]) : rows_from(given[0], "the array");
    if (!passage.empty()) check_accepts(codec, Dtype::f32);
    PythonMonitor monitor;
    const Call call{threads_from(given[2]), &monitor};
    const size_t dim = passage.dim_out(input.rows.dim);
    const std::shared_lock lock = reading(codec);
    const size_t bytes = RowBytes::size(checked_codes(codec, dim));
    auto out = new_array<uint8_t>(input.rows.n, bytes);
    auto* to = reinterpret_cast<std::byte*>(out.mutable_data());
    run([&] {
        each_block(codec, dim, input.rows.n, call, [&](RowBytes& block, size_t first, size_t n) {
            passage.pass(input.rows.slice(first, n),
                         [&](const Rows& rows, size_t at) { codec.encode(rows, nullptr, block.codes(), at); });
            block.get_first(n, to + first * bytes);
        });
    });
    return out;
}

// Of a codec that takes any dimension: the one whose rows take so many bytes.
size_t dim_by_bytes(const Codec& codec, size_t bytes) {
    const size_t unit = RowBytes::size(codec, 8) == 1 ? 8 : 1;  // of bits, whole bytes
    size_t low = 1, high = bytes;                               // a value, or eight bits, take a byte at least
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (RowBytes::size(codec, middle * unit) < bytes)
            low = middle + 1;
        else
            high = middle;
    }
    return low * unit;
}

size_t dim_of(const Codec& codec, size_t bytes) {
    check_ready(codec);
    const size_t dim = codec.fitted_dim() > 0 ? codec.fitted_dim() : dim_by_bytes(codec, bytes);
    const size_t wanted = RowBytes::size(codec, dim);
    check(bytes == wanted, "the codes have ", bytes, " bytes a row, ", codec.repr(), " expects ", wanted);
    return dim;
}

template <class T>
py::array decode_as(const Codec& codec, const Rows& rows, size_t dim, const Call& call) {
    const size_t values = codec.decoded() == Dtype::bits ? dim / 8 : dim;
    auto out = new_array<T>(rows.n, values);
    T* to = out.mutable_data();
    run([&] {
        const std::shared_lock lock(lock_of(codec));
        check(dim_of(codec, rows.dim) == dim, codec.repr(), " has been fitted again meanwhile");
        each_block(codec, dim, rows.n, call, [&](RowBytes& block, size_t first, size_t n) {
            std::vector<uint8_t> bytes(rows.dim);
            for (size_t i = 0; i < n; ++i) {
                copy_bytes(rows, first + i, bytes.data());
                block.put(i, reinterpret_cast<const std::byte*>(bytes.data()));
            }
            codec.decode_rows(block.codes(), 0, n, dim, to + first * values);
        });
    });
    return out;
}

py::array decode(const Codec& codec, py::handle codes, py::handle threads) {
    const Input input = rows_from(codes, "the array of codes", "uint8");
    check<TypeError>(input.rows.dtype == Dtype::u8, "the array of codes has dtype ", name(input.rows.dtype),
                     ", expected uint8");
    PythonMonitor monitor;
    const Call call{threads_from(threads), &monitor};
    const size_t dim = run([&] {
        const std::shared_lock lock(lock_of(codec));
        return dim_of(codec, input.rows.dim);
    });
    switch (codec.decoded()) {
        case Dtype::u8:
        case Dtype::bits:
            return decode_as<uint8_t>(codec, input.rows, dim, call);
        case Dtype::i8:
            return decode_as<int8_t>(codec, input.rows, dim, call);
        default:
            return decode_as<float>(codec, input.rows, dim, call);
    }
}

template <class F>
auto shared(const Codec& codec, F&& read) {
    return run([&] {
        const std::shared_lock lock(lock_of(codec));
        return read();
    });
}

py::bytes to_bytes(const Codec& codec) {
    const auto bytes = shared(codec, [&] {
        Writer out(codec.kind());
        codec.save(out);
        return out.to_bytes();
    });
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::unique_ptr<Codec> from_bytes(const py::buffer& given) {
    const py::buffer_info info = given.request();
    check<TypeError>(info.ndim == 1 && info.itemsize == 1 && (info.size <= 1 || info.strides[0] == 1),
                     "expected a buffer of bytes side by side");
    return run([&] {
        const auto* data = static_cast<const std::byte*>(info.ptr);
        return Registry<Codec>::load_file(Reader::from_bytes({data, size_t(info.size)}));
    });
}

}  // namespace

// Codecs are copied by value, so their locks lie apart; two codecs seldom share one.
FairMutex& lock_of(const Codec& codec) {
    static std::array<FairMutex, 64> locks;
    return locks[reinterpret_cast<uintptr_t>(&codec) / 64 % locks.size()];
}

void bind_codec_calls(py::class_<Codec>& base) {
    using py::arg;
    DirectCall<const Codec, encode>::define(base, kEncodeSignature, documents::kEncode);
    base.def("fit", fit, arg("x"), py::kw_only(), arg("seed") = 0, arg("threads") = py::none(), documents::kCodecFit)
        .def("decode", decode, arg("codes"), py::kw_only(), arg("threads") = py::none(), documents::kDecode)
        .def("to_bytes", to_bytes, documents::kCodecToBytes)
        .def_static("from_bytes", from_bytes, arg("data"), documents::kCodecFromBytes)
        .def_property_readonly(
            "is_fitted", [](const Codec& codec) { return shared(codec, [&] { return codec.is_fitted(); }); },
            "bool: whether it can encode; true of codecs that learn nothing.")
        .def_property_readonly(
            "dim", [](const Codec& codec) { return shared(codec, [&] { return codec.fitted_dim(); }); },
            "int: the dimension it has been fitted to, 0 before a fit and of codecs that take any.")
        .def_property_readonly(
            "code_size",
            [](const Codec& codec) {
                return shared(codec,
                              [&] { return codec.fitted_dim() == 0 ? 0 : RowBytes::size(codec, codec.fitted_dim()); });
            },
            "int: the bytes that encode gives a row, 0 where ``dim`` is 0.")
        .def("__reduce__", [](py::object self) {
            return py::make_tuple(py::module_::import("annkit._pickle").attr("codec_from_bytes"),
                                  py::make_tuple(self.attr("to_bytes")()));
        });
}

}  // namespace annkit::bindings
