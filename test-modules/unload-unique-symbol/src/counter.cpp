// The static of a template must be one in the whole process, so g++ gives it STB_GNU_UNIQUE binding.

template <class T> struct Counter {
    static T value;
};

template <class T> T Counter<T>::value = 0;

extern "C" unsigned count_in_cpp() {
    return static_cast<unsigned>(++Counter<int>::value);
}
