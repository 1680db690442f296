// A reference to something callable, for as long as a call lasts: std::function would copy it, most often into memory
// of its own.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace annkit {

template <class Signature>
class FunctionRef;

template <class Result, class... Arguments>
class FunctionRef<Result(Arguments...)> {
  public:
    template <class F>
        requires(!std::same_as<std::remove_cvref_t<F>, FunctionRef> && std::is_invocable_r_v<Result, F&, Arguments...>)
    FunctionRef(F&& callable)
        : callable_(const_cast<void*>(static_cast<const void*>(std::addressof(callable)))),
          call_([](void* at, Arguments... arguments) -> Result {
              return (*static_cast<std::add_pointer_t<F>>(at))(std::forward<Arguments>(arguments)...);
          }) {}
    Result operator()(Arguments... arguments) const { return call_(callable_, std::forward<Arguments>(arguments)...); }

  private:
    void* callable_;
    Result (*call_)(void*, Arguments...);
};

}  // namespace annkit
