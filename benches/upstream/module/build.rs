//! Generates upstream's glue.

fn main() {
    relib_interface::module::generate(
        upstream_interface::EXPORTS,
        "upstream_interface::exports::Exports",
        upstream_interface::IMPORTS,
        "upstream_interface::imports::Imports",
    );
}
