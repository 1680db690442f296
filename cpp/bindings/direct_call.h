// Methods that answer a single query: Python hands their arguments over as they lie on its stack (METH_FASTCALL), where
// pybind11 looks for an overload, converts, and makes a dictionary of further keywords.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "arrays.h"

namespace annkit::bindings {

// The parameters of a method, as help() shows them: "name($self, x, k=10, *, threads=None, **settings)". What stands
// for a parameter that is not given is the body's affair.
class Signature {
  public:
    static constexpr size_t kMost = 8;  // parameters
    Signature(std::string_view text, std::string_view document);

    const char* name() const { return name_.c_str(); }
    const char* document() const { return document_.c_str(); }  // as PyMethodDef wants it
    size_t positional() const { return positional_; }           // so many may be given by position
    size_t find(PyObject* keyword) const;                       // kMost where no parameter has the name
    // TypeError unless all are there that have to be; keyword: that no parameter has, or null.
    void check_given(const std::array<py::handle, kMost>& given, size_t by_position, PyObject* keyword) const;

  private:
    void add_parameter(std::string_view text, bool by_position);

    std::string name_, document_;
    std::vector<PyObject*> names_;  // interned: most keywords are the same object
    size_t positional_ = 0, required_ = 0;
    bool takes_settings_ = false;
};

// One call's arguments, by the numbers of their parameters; None where one is not given.
class Arguments {
  public:
    Arguments(const Signature& signature, PyObject* const* values, Py_ssize_t count, PyObject* keywords);
    py::handle operator[](size_t parameter) const { return given_[parameter] ? given_[parameter] : Py_None; }
    bool has(size_t parameter) const { return bool(given_[parameter]); }
    // Of the keywords that are no parameters: body(name, value).
    template <class Body>
    void each_setting(Body&& body) const {
        for (size_t i = 0; i < keywords_; ++i)
            if (PyObject* name = PyTuple_GET_ITEM(names_, i); signature_.find(name) == Signature::kMost)
                body(name, py::handle(values_[i]));
    }

  private:
    const Signature& signature_;
    std::array<py::handle, Signature::kMost> given_;
    PyObject* names_;
    PyObject* const* values_;  // of the keywords
    size_t keywords_;
};

// The object of a bound class that Python knows to be one.
template <class T>
T& self_from(PyObject* self) {
    const auto* instance = reinterpret_cast<py::detail::instance*>(self);
    if (!instance->simple_layout) return py::handle(self).cast<T&>();  // a Python class of several bound ones
    if (instance->simple_value_holder[0] == nullptr) check_initialized(self);
    return *static_cast<T*>(instance->simple_value_holder[0]);
}

// kBody: py::object(T&, const Arguments&).
template <class T, auto kBody>
class DirectCall {
  public:
    static void define(py::handle type, std::string_view signature, std::string_view document) {
        signature_ = new Signature(signature, document);
        method_ = {signature_->name(), reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(run)),
                   METH_FASTCALL | METH_KEYWORDS, signature_->document()};
        PyObject* made = PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(type.ptr()), &method_);
        if (made == nullptr) throw py::error_already_set();
        type.attr(signature_->name()) = py::reinterpret_steal<py::object>(made);
    }

  private:
    static PyObject* run(PyObject* self, PyObject* const* values, Py_ssize_t count, PyObject* keywords) noexcept {
        try {
            return kBody(self_from<T>(self), Arguments(*signature_, values, count, keywords)).release().ptr();
        } catch (py::error_already_set& error) {
            error.restore();
        } catch (...) {
            py::detail::try_translate_exceptions();
        }
        return nullptr;
    }

    static inline const Signature* signature_ = nullptr;  // as long as the process lives, as the type does
    static inline PyMethodDef method_{};
};

}  // namespace annkit::bindings
