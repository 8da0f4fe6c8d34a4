//! How arguments cross, through interfaces as the macro makes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use relib_interface::__private::Type;
use relib_interface::Transfer;
use relib_interface::interface::{BoundExports, PanicObserver};
use relib_interface::panics::ReceivedReport;

/// An alias whose lifetime is that of the reference behind it.
type Text<'a> = &'a str;

#[relib_interface::interface]
trait Honest {
    fn first<'a>(text: Text<'a>, rest: Text<'_>) -> Text<'a>;
}

#[test]
fn an_alias_with_an_honest_lifetime_is_a_reference() {
    struct Implementation;
    impl Honest for Implementation {
        fn first<'a>(text: Text<'a>, _rest: Text<'_>) -> Text<'a> {
            text
        }
    }
    assert_eq!(Implementation::first("a", "b"), "a");
    assert_eq!(ModuleHonest::__RELIB_INTERFACE.functions[0].parameters.len(), 2);
}

struct Ignored;

impl PanicObserver for Ignored {
    fn panicked(&self, _report: ReceivedReport) {}
}

/// The number of copies that may still be made.
static COPIES: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug, PartialEq)]
struct Fussy(u32);

// SAFETY: a number; that it is said to own memory makes the crossing copy it.
unsafe impl Transfer for Fussy {
    const TYPE: &'static Type = &Type::opaque::<Self>("Fussy", &[]);
    const OWNS_MEMORY: bool = true;
    const REACHES_IMAGE: bool = false;

    fn deep_copy(&self) -> Self {
        let left = COPIES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.expect("there are copies left");
        Self(self.0)
    }

    fn visit_memory(&self, _visit: &mut dyn FnMut(*const u8)) {}
}

#[relib_interface::interface]
trait Changing {
    fn change(name: &mut String, fussy: &mut Fussy, names: &mut [String]) -> String;
}

#[test]
fn a_copy_back_that_panics_changes_nothing() {
    struct Implementation;
    impl Changing for Implementation {
        fn change(name: &mut String, fussy: &mut Fussy, names: &mut [String]) -> String {
            name.push_str(" changed");
            fussy.0 += 1;
            names.iter_mut().for_each(|name| name.clear());
            "returned".to_owned()
        }
    }
    // SAFETY: the functions are those of the interface that the handle is made for, in this image.
    let bound = unsafe { BoundExports::new(Implementation::__RELIB_FUNCTIONS.into(), Arc::new(Ignored)) };
    let handle = ModuleChanging(bound);
    let call = |copies| {
        COPIES.store(copies, Ordering::Relaxed);
        let (mut name, mut fussy, mut names) = ("name".to_owned(), Fussy(1), ["a".to_owned()]);
        let returned = handle.change(&mut name, &mut fussy, &mut names);
        (returned, name, fussy, names)
    };
    let unchanged = (None, "name".to_owned(), Fussy(1), ["a".to_owned()]);
    assert_eq!(call(0), unchanged, "the copy on the way in panicked");
    assert_eq!(call(1), unchanged, "the copy on the way back panicked");
    let changed = (Some("returned".to_owned()), "name changed".to_owned(), Fussy(2), [String::new()]);
    assert_eq!(call(2), changed);
}

#[relib_interface::interface]
trait Panicking {
    fn change(number: &mut u64, numbers: &mut [u8; 2], name: &mut String);
}

#[test]
fn a_panic_leaves_what_can_own_memory_and_not_what_cannot() {
    struct Implementation;
    impl Panicking for Implementation {
        fn change(number: &mut u64, numbers: &mut [u8; 2], name: &mut String) {
            *number += 1;
            numbers[0] += 1;
            name.push_str(" changed");
            panic!("in the middle");
        }
    }
    // SAFETY: the functions are those of the interface that the handle is made for, in this image.
    let bound = unsafe { BoundExports::new(Implementation::__RELIB_FUNCTIONS.into(), Arc::new(Ignored)) };
    let (mut number, mut numbers, mut name) = (1, [1, 1], "name".to_owned());
    assert_eq!(ModulePanicking(bound).change(&mut number, &mut numbers, &mut name), None);
    assert_eq!((number, numbers, name.as_str()), (2, [2, 1], "name"));
}
