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
