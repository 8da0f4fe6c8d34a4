//! Hands its state over as bytes to the next build.

use std::sync::{Mutex, PoisonError};

use fixture_interface::reload::Talker;
use relib_module::Transfer;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Transfer, Serialize, Deserialize)]
struct Memory {
    words: Vec<String>,
    calls: u32,
}

static MEMORY: Mutex<Option<Memory>> = Mutex::new(None);

fn memory<R>(body: impl FnOnce(&mut Memory) -> R) -> R {
    body(MEMORY.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

#[relib_module::save_state]
fn save() -> Memory {
    memory(|memory| memory.clone())
}

#[relib_module::restore_state]
fn restore(saved: Memory) {
    memory(|memory| *memory = saved);
}

#[relib_module::export]
impl Talker for TalkerImpl {
    fn say(word: &str) -> String {
        memory(|memory| {
            memory.calls += 1;
            memory.words.push(word.to_owned());
            format!("{memory:?}")
        })
    }
}
