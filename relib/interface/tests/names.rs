//! Names that users may give to functions, parameters and types, whatever the expansions use inside.

#![allow(dead_code, reason = "what matters is that it compiles")]

use relib_interface::{Transfer, interface};

#[derive(Transfer)]
struct Thunk(u32);

#[derive(Transfer)]
struct Outcome(u32);

#[interface]
trait Exports {
    fn run(thunk: u32, outcome: Outcome, entry: &str) -> Thunk;
    fn borrow<'a>(thunk: &'a str, outcome: &'a Outcome) -> &'a str;
    fn thunk(arguments: Vec<Thunk>);
}

#[interface(imports)]
trait Imports {
    fn log(entry: &str, outcome: u32, thunk: Thunk, result: &mut Outcome);
}

/// Constants of a user's, which are called as a macro might call its own.
mod constants {
    use relib_interface::{Transfer, interface};

    pub const LEN: usize = 3;
    pub const FUNCTIONS: usize = 4;
    pub const PAYLOAD: usize = 5;
    pub const RECORD: usize = 6;
    pub const TABLE: usize = 7;
    pub const SLOTS: usize = 8;

    #[derive(Transfer)]
    pub struct Row(pub [u8; LEN]);

    #[interface]
    pub trait Exports {
        fn row(values: [u8; LEN], more: &[[u8; FUNCTIONS]]) -> [u8; PAYLOAD];
    }

    #[interface(imports)]
    pub trait Imports {
        fn row(values: [u8; RECORD], more: &[[u8; TABLE]]) -> Vec<[u8; SLOTS]>;
    }
}

#[test]
fn constants_of_a_user_are_those_that_are_meant() {
    let sizes = |interface: &relib_interface::interface::Interface| {
        let function = &interface.functions[0];
        (function.parameters[0].ty.size, function.returns.size)
    };
    assert_eq!(sizes(constants::ModuleExports::__RELIB_INTERFACE), (3, 5));
    assert_eq!(sizes(constants::ModuleImports::__RELIB_INTERFACE).0, 6);
}

#[test]
fn parameters_keep_their_names() {
    let names = |functions: &[relib_interface::__private::Function]| {
        functions
            .iter()
            .flat_map(|function| function.parameters.iter().map(|parameter| parameter.name))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(ModuleExports::__RELIB_INTERFACE.functions),
        ["thunk", "outcome", "entry", "thunk", "outcome", "arguments"]
    );
    assert_eq!(names(ModuleImports::__RELIB_INTERFACE.functions), ["entry", "outcome", "thunk", "result"]);
}

mod first {
    #[relib_interface::interface]
    pub(crate) trait Exports {
        fn run();
    }

    #[relib_interface::interface(imports)]
    pub(crate) trait Imports {
        fn log();
    }
}

mod second {
    #[relib_interface::interface]
    pub(crate) trait Exports {
        fn run();
    }

    #[relib_interface::interface(imports)]
    pub(crate) trait Imports {
        fn log();
    }
}

#[test]
fn interfaces_of_one_name_in_different_modules_are_different() {
    let names = [
        first::ModuleExports::__RELIB_INTERFACE,
        second::ModuleExports::__RELIB_INTERFACE,
        first::ModuleImports::__RELIB_INTERFACE,
        second::ModuleImports::__RELIB_INTERFACE,
        ModuleExports::__RELIB_INTERFACE,
    ]
    .map(|interface| interface.name);
    assert_eq!(
        names,
        [
            "names::first::Exports",
            "names::second::Exports",
            "names::first::Imports",
            "names::second::Imports",
            "names::Exports"
        ]
    );
}
