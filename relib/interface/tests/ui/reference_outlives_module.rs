//! What lies in the module goes with it.

#[relib_interface::interface]
pub trait Exports {
    fn name() -> &'static str;
    fn first_word<'a>(text: &'a str) -> &'a str;
}

fn keep(module: &ModuleExports) -> &'static str {
    module.name().unwrap()
}

fn outlive(module: ModuleExports, text: &'static str) {
    let word = module.first_word(text).unwrap();
    drop(module);
    println!("{word}");
}

fn outlive_argument(module: &ModuleExports) {
    let word;
    {
        let text = String::from("a text");
        word = module.first_word(&text).unwrap();
    }
    println!("{word}");
}

fn main() {}
