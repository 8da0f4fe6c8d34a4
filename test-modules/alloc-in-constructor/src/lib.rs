//! Allocates in a constructor, before the host has handed the heap over.

use std::sync::Mutex;

use fixture_interface::memory::Constructed;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

extern "C" fn construct() {
    let mut lines = LINES.lock().unwrap();
    for number in 0..5 {
        // Grows the vector and the string step by step, so that the arena resizes too.
        let mut line = String::new();
        for part in ["constructed", " ", "line", " "] {
            line.push_str(part);
        }
        line.push_str(&number.to_string());
        lines.push(line);
    }
}

fixture_system::constructor!(construct);

#[relib_module::export]
impl Constructed for ConstructedImpl {
    fn lines() -> Vec<String> {
        LINES.lock().unwrap().clone()
    }

    fn add(line: &str) {
        let mut lines = LINES.lock().unwrap();
        lines.iter_mut().for_each(|line| line.push('!'));
        lines.push(line.to_owned());
        lines.shrink_to_fit();
    }

    fn clear() {
        *LINES.lock().unwrap() = Vec::new();
    }
}
