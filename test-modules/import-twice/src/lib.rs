//! Calls the same import by two crates that declare it alike.

#[relib_module::export]
fn main() -> (String, String) {
    (first::ModuleWords::next(), second::ModuleWords::next())
}
