// annkit._core._image: hashes of pictures; annkit.image checks and decodes what it hands in.
#include <pybind11/stl.h>

#include <vector>

#include "annkit/image/image_hash.h"
#include "arrays.h"
#include "module.h"

namespace annkit::bindings {
namespace {

using Pixels = py::array_t<uint8_t, py::array::c_style>;

py::array_t<uint8_t> hash(const std::vector<Pixels>& images, const std::string& method, py::handle size,
                          py::handle threads, py::handle progress) {
    const std::unique_ptr<ImageHash> hash = image_hash(method, count_from(size, "size"));
    std::vector<Picture> pictures;
    pictures.reserve(images.size());
    for (const Pixels& image : images) {
        check(image.ndim() == 2 || (image.ndim() == 3 && image.shape(2) == 3), "image ", pictures.size(),
              " is not (height, width) or (height, width, 3)");
        const Picture picture{image.data(), size_t(image.shape(0)), size_t(image.shape(1)),
                              size_t(image.ndim() == 2 ? 1 : 3)};
        check(picture.height > 0 && picture.width > 0, "image ", pictures.size(), " has no pixels");
        pictures.push_back(picture);
    }
    py::array_t<uint8_t> out({py::ssize_t(pictures.size()), py::ssize_t(hash->views()), py::ssize_t(hash->bytes())});
    uint8_t* codes = out.mutable_data();
    PythonMonitor monitor(progress, pictures.size());
    const Call call{threads_from(threads), &monitor};
    run([&] { hash_pictures(*hash, pictures, codes, call); });
    return out;
}

}  // namespace

void bind_images(py::module_& m) {
    py::module_ images = m.def_submodule("_image", "Hashes of pictures, for annkit.image.");
    using py::arg;
    images.def("hash", hash, arg("images"), arg("method"), arg("size"), arg("threads"), arg("progress"));
}

}  // namespace annkit::bindings
