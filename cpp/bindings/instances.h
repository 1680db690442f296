// Objects that Python made but did not initialise: by __new__() alone, or used by the __init__() of a subclass before
// super().__init__(). pybind11 would give them memory in which nothing was constructed; here they are a TypeError.
#pragma once

#include <pybind11/pybind11.h>

#include <concepts>

#include "annkit/core/errors.h"
#include "annkit/core/part.h"

namespace annkit::bindings {

// The classes that Python has.
template <class T>
inline constexpr bool kIsBound = std::derived_from<T, Part>;

inline void check_initialized(pybind11::handle object) {
    using namespace pybind11::detail;
    // Instances of bound classes alone have a type among those of pybind11.
    if (!PyObject_TypeCheck(object.ptr(), reinterpret_cast<PyTypeObject*>(get_internals().instance_base))) return;
    for (const value_and_holder& part : values_and_holders(reinterpret_cast<instance*>(object.ptr())))
        if (part.value_ptr() == nullptr) fail<TypeError>("__init__() of the object has not been called");
}

}  // namespace annkit::bindings

template <class T>
class pybind11::detail::type_caster<T, std::enable_if_t<annkit::bindings::kIsBound<T>>> : public type_caster_base<T> {
  public:
    bool load(handle from, bool convert) {
        if (from) annkit::bindings::check_initialized(from);
        return type_caster_base<T>::load(from, convert);
    }
};
