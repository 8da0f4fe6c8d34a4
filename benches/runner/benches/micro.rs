//! The calls and the allocations by themselves, for work on them: `cargo bench -p bench_runner` in `benches`, after
//! `cargo build --release`.

use std::path::{Path, PathBuf};

use bench_interface::ModuleExports;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

fn built(name: &str) -> PathBuf {
    let name = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let runner = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo bench runs this");
    Path::new(&runner).join("../target/release").join(name)
}

fn module() -> relib::Module<ModuleExports> {
    // SAFETY: the module is ours.
    unsafe { relib::LoadOptions::new().separate_instance(true).load(built("bench_module"), ()) }
        .expect("load the module that `cargo build --release` has built")
}

fn unload(module: relib::Module<ModuleExports>) {
    module.unload().expect("unload the module");
}

#[divan::bench]
fn call(bencher: Bencher) {
    let module = module();
    bencher.bench_local(|| module.exports().add(black_box(1), black_box(2)));
    unload(module);
}

#[divan::bench]
fn call_by_libloading(bencher: Bencher) {
    // SAFETY: the library is ours, and the type is that of its function.
    let library = unsafe { libloading::Library::new(built("bench_plain")) }.expect("open the library");
    // SAFETY: as above.
    let add =
        unsafe { library.get::<extern "C" fn(u64, u64) -> u64>("bench_add") }.expect("find the function");
    bencher.bench_local(|| add(black_box(1), black_box(2)));
}

#[divan::bench]
fn call_with_text(bencher: Bencher) {
    let module = module();
    bencher.bench_local(|| module.exports().text(black_box("hello, world")));
    unload(module);
}

#[divan::bench]
fn text_in_one_binary(bencher: Bencher) {
    bencher.bench_local(|| workload::text(black_box("hello, world")));
}

#[divan::bench]
fn thousand_pairs_in_the_module(bencher: Bencher) {
    let module = module();
    bencher.bench_local(|| module.exports().pairs(1000));
    unload(module);
}

#[divan::bench]
fn thousand_pairs_in_the_host(bencher: Bencher) {
    bencher.bench_local(|| workload::pairs(1000));
}
