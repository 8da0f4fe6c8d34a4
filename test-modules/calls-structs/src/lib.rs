//! Returns structs and enums as they came.

use fixture_interface::exports_imports::{Aligned, Everything, Figure, Nothing, Pair, Point, Structs};

#[relib_module::export]
impl Structs for StructsImpl {
    fn echo_point(value: Point) -> Point {
        value
    }

    fn echo_nothing(value: Nothing) -> Nothing {
        value
    }

    fn echo_aligned(value: Aligned) -> Aligned {
        value
    }

    fn echo_figure(value: Figure) -> Figure {
        value
    }

    fn echo_everything(value: Everything) -> Everything {
        value
    }

    fn copy_everything(value: &Everything) -> Everything {
        value.clone()
    }

    fn swap(value: Pair<u32, Option<String>>) -> Pair<Option<String>, u32> {
        Pair { first: value.second, second: value.first }
    }

    fn misalignment(value: &Aligned) -> usize {
        std::ptr::from_ref(value).addr() % align_of::<Aligned>()
    }
}
