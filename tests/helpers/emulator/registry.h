// Kernels by name: what each takes, and how to call it with pointers to its arguments.
#pragma once

namespace emu {

template <int... I>
struct Indices {};
template <int N, int... I>
struct Count : Count<N - 1, N - 1, I...> {};
template <int... I>
struct Count<0, I...> {
  using Type = Indices<I...>;
};

template <typename T>
struct KindOf {
  static constexpr char value = __is_class(T) || __is_union(T) ? 's' : 'i';
};
template <typename T>
struct KindOf<T*> {
  static constexpr char value = 'p';
};
template <>
struct KindOf<float> {
  static constexpr char value = 'f';
};
template <>
struct KindOf<double> {
  static constexpr char value = 'f';
};

template <typename Function, Function* kFunction>
struct Entry;

template <typename... P, void (*kFunction)(P...)>
struct Entry<void(P...), kFunction> {
  static constexpr int n_parameters = sizeof...(P);
  static constexpr Parameter parameters[sizeof...(P) + 1] = {{KindOf<P>::value, sizeof(P)}...,
                                                             {0, 0}};
  template <int... I>
  static void spread(void** arguments, Indices<I...>) {
    kFunction(*static_cast<P*>(arguments[I])...);
  }
  static void call(void** arguments) { spread(arguments, typename Count<sizeof...(P)>::Type{}); }
};

constexpr unsigned first_bound(unsigned threads = 0, unsigned = 0, unsigned = 0) { return threads; }

}  // namespace emu
