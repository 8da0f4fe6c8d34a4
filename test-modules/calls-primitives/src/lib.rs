//! Returns primitives as they came.

use std::hint::black_box;

use fixture_interface::exports_imports::Primitives;

/// Implements the interface by these functions, which return their arguments, and by what else is given.
macro_rules! implement {
    ({ $($name:ident: $ty:ty),* $(,)? } $($others:tt)*) => {
        #[relib_module::export]
        impl Primitives for PrimitivesImpl {
            $(fn $name(value: $ty) -> $ty {
                black_box(value)
            })*

            $($others)*
        }
    };
}

implement! {
    {
        echo_u8: u8, echo_u16: u16, echo_u32: u32, echo_u64: u64, echo_u128: u128, echo_usize: usize,
        echo_i8: i8, echo_i16: i16, echo_i32: i32, echo_i64: i64, echo_i128: i128, echo_isize: isize,
        echo_f32: f32, echo_f64: f64, echo_bool: bool, echo_char: char, echo_unit: (),
    }

    fn join(
        a: u8,
        b: f32,
        c: i128,
        d: bool,
        e: u64,
        f: char,
        g: f64,
        h: i16,
        i: (),
        j: u128,
        k: i8,
        l: f64,
    ) -> String {
        format!("{a} {b} {c} {d} {e} {f} {g} {h} {i:?} {j} {k} {l}")
    }
}
