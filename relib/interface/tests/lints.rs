//! Attributes about lints, which mean for users what they mean elsewhere, and nothing in an expansion.

#![deny(warnings, clippy::all, unfulfilled_lint_expectations)]
#![allow(dead_code, reason = "what matters is that it compiles")]

use relib_interface::interface;

/// Functions with attributes that concern their callers.
#[interface]
trait LintsExports {
    /// A function that was replaced.
    #[deprecated = "call `new_sum`"]
    fn sum(left: u32, right: u32) -> u32;
    /// More parameters than clippy likes.
    #[expect(clippy::too_many_arguments, reason = "a C function has them all")]
    fn draw(a: u32, b: u32, c: u32, d: u32, e: u32, f: u32, g: u32, h: u32);
    /// A lifetime that is named for readers, and needed in the handle.
    #[expect(clippy::needless_lifetimes, reason = "it says what is returned")]
    fn line<'text>(text: &'text str) -> &'text str;
}

/// The same for the other direction.
#[interface(imports)]
trait LintsImports {
    /// A function that was replaced.
    #[deprecated(since = "1.0.0", note = "call `print`")]
    fn log(line: &str);
    /// More parameters than clippy likes.
    #[expect(clippy::too_many_arguments, reason = "a C function has them all")]
    fn draw(a: u32, b: u32, c: u32, d: u32, e: u32, f: u32, g: u32, h: u32);
}

/// A module that goes on with a function that callers should not use any more.
struct Implementation;

impl LintsExports for Implementation {
    fn sum(left: u32, right: u32) -> u32 {
        left + right
    }

    fn draw(_: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32) {}

    fn line(text: &str) -> &str {
        text
    }
}

#[test]
fn a_deprecated_function_is_described_like_any_other() {
    let functions = ModuleLintsExports::__RELIB_INTERFACE.functions;
    assert_eq!(functions.iter().map(|function| function.name).collect::<Vec<_>>(), ["sum", "draw", "line"]);
}
