#include "direct_call.h"

#include "annkit/core/errors.h"

namespace annkit::bindings {

Signature::Signature(std::string_view text, std::string_view document)
    : name_(text.substr(0, text.find('('))), document_(concat(text, "\n--\n\n", document)) {
    bool by_position = true;
    std::string_view rest = text.substr(name_.size() + 1, text.size() - name_.size() - 2);
    while (!rest.empty()) {
        const size_t end = std::min(rest.find(", "), rest.size());
        const std::string_view one = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 2, rest.size()));
        if (one == "*")
            by_position = false;
        else if (one.starts_with("**"))
            takes_settings_ = true;
        else if (one != "$self")
            add_parameter(one, by_position);
    }
}

void Signature::add_parameter(std::string_view text, bool by_position) {
    const size_t equals = text.find('=');
    PyObject* name = PyUnicode_InternFromString(std::string(text.substr(0, equals)).c_str());
    if (name == nullptr) throw py::error_already_set();
    check(names_.size() < kMost, name_, "() has more than ", kMost, " parameters");
    names_.push_back(name);
    positional_ += by_position;
    required_ += equals == std::string_view::npos;
}

size_t Signature::find(PyObject* keyword) const {
    for (size_t i = 0; i < names_.size(); ++i)
        if (names_[i] == keyword) return i;
    if (PyUnicode_CHECK_INTERNED(keyword)) return kMost;  // there is one object of its text
    for (size_t i = 0; i < names_.size(); ++i)
        if (PyUnicode_Compare(names_[i], keyword) == 0) return i;
    return kMost;
}

void Signature::check_given(const std::array<py::handle, kMost>& given, size_t by_position, PyObject* keyword) const {
    const auto text = [](PyObject* name) { return py::cast<std::string>(py::handle(name)); };
    if (by_position > positional_)
        fail<TypeError>(name_, "() takes ", positional_, " positional arguments, got ", by_position);
    if (keyword != nullptr && !takes_settings_)
        fail<TypeError>(name_, "() got an unexpected keyword argument \"", text(keyword), "\"");
    for (size_t i = 0; i < required_; ++i)
        if (!given[i]) fail<TypeError>(name_, "() is missing the argument \"", text(names_[i]), "\"");
}

Arguments::Arguments(const Signature& signature, PyObject* const* values, Py_ssize_t count, PyObject* keywords)
    : signature_(signature),
      names_(keywords),
      values_(values + count),
      keywords_(keywords == nullptr ? 0 : size_t(PyTuple_GET_SIZE(keywords))) {
    PyObject* other = nullptr;
    for (size_t i = 0; i < std::min(size_t(count), signature.positional()); ++i) given_[i] = values[i];
    for (size_t i = 0; i < keywords_; ++i) {
        PyObject* name = PyTuple_GET_ITEM(names_, i);
        const size_t parameter = signature.find(name);
        if (parameter == Signature::kMost) {
            other = name;
        } else {
            if (given_[parameter])
                fail<TypeError>(signature.name(), "() got the argument \"", py::cast<std::string>(py::handle(name)),
                                "\" twice");
            given_[parameter] = values_[i];
        }
    }
    signature.check_given(given_, size_t(count), other);
}

}  // namespace annkit::bindings
