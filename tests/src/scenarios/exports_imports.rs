//! Scenarios of the feature "Imports and exports".

use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::fmt::Debug;
use std::sync::RwLock;
use std::time::Duration;

use fixture_interface::exports_imports::{
    Aligned, Counter, Everything, Figure, Host, ModuleBorrowed, ModuleCountdown, ModuleLeft, ModuleMutOwned,
    ModulePrimitives, ModuleRight, ModuleStrings, ModuleStructs, Nothing, Pair, Point, Summary, Tree, World,
};
use fixture_interface::mismatch::{
    Imports, ModuleConstants, ModuleField, ModuleLayout, ModuleMissing, ModuleSignature, ModuleSuperset,
    ModuleValues, Names, Player,
};
use relib::{LoadOptions, Module, Transfer};
use relib_harness::{Failure, Feature, OrFail, Run, Scenario};
use relib_interface::interface::{ExportBinder, ExportsHandle, Interface};

use crate::support::{load, load_error, load_file, warm_up};

/// The scenarios, in the order of the catalogue.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("calls-primitives", Feature::ExportsImports, calls_primitives),
    Scenario::new("calls-strings", Feature::ExportsImports, calls_strings),
    Scenario::new("calls-structs", Feature::ExportsImports, calls_structs),
    Scenario::new("calls-borrowed", Feature::ExportsImports, calls_borrowed),
    Scenario::new("calls-mut-owned", Feature::ExportsImports, calls_mut_owned),
    Scenario::new("calls-callback", Feature::ExportsImports, calls_callback),
    Scenario::new("call-main", Feature::ExportsImports, call_main),
    Scenario::new("call-main-wrong-type", Feature::ExportsImports, call_main_wrong_type),
    Scenario::new("import-twice", Feature::ExportsImports, import_twice),
    Scenario::new("two-interfaces", Feature::ExportsImports, two_interfaces),
    Scenario::new("interface-mismatch-signature", Feature::ExportsImports, interface_mismatch_signature),
    Scenario::new("interface-mismatch-missing", Feature::ExportsImports, interface_mismatch_missing),
    Scenario::new("interface-mismatch-field", Feature::ExportsImports, interface_mismatch_field),
    Scenario::new("interface-mismatch-values", Feature::ExportsImports, interface_mismatch_values),
    Scenario::new("interface-mismatch-lifetime", Feature::ExportsImports, interface_mismatch_lifetime),
    Scenario::new("interface-superset", Feature::ExportsImports, interface_superset),
    Scenario::new("host-is-dylib", Feature::ExportsImports, host_is_dylib),
];

/// Fails unless a call gave back what it was given.
fn check_echo<T: PartialEq + Debug>(
    run: &Run,
    what: &str,
    found: Option<T>,
    given: T,
) -> Result<(), Failure> {
    run.check_eq(what, found, Some(given))
}

fn calls_primitives(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModulePrimitives>(run, "calls-primitives")?;
    let module = load::<ModulePrimitives>(run, "calls-primitives")?;
    let exports = module.exports();
    let mut calls = 0;
    macro_rules! echo {
        ($($function:ident: $($value:expr),*;)*) => {
            $($(
                check_echo(run, stringify!($function), exports.$function($value), $value)?;
                calls += 1;
            )*)*
        };
    }
    echo! {
        echo_u8: u8::MIN, u8::MAX;
        echo_u16: u16::MIN, u16::MAX;
        echo_u32: u32::MIN, u32::MAX;
        echo_u64: u64::MIN, u64::MAX;
        echo_u128: u128::MIN, u128::MAX, u128::from(u64::MAX) + 1;
        echo_usize: usize::MIN, usize::MAX;
        echo_i8: i8::MIN, -1, i8::MAX;
        echo_i16: i16::MIN, -1, i16::MAX;
        echo_i32: i32::MIN, -1, i32::MAX;
        echo_i64: i64::MIN, -1, i64::MAX;
        echo_i128: i128::MIN, -1, i128::MAX;
        echo_isize: isize::MIN, -1, isize::MAX;
        echo_f32: f32::MIN, f32::MAX, f32::MIN_POSITIVE, f32::INFINITY, f32::NEG_INFINITY;
        echo_f64: f64::MIN, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NEG_INFINITY;
        echo_bool: false, true;
        echo_char: '\0', 'ß', char::MAX;
        echo_unit: ();
    }
    // Values that do not equal themselves, or equal others, are compared bit by bit.
    let bits = |value: Option<f64>| value.map(f64::to_bits);
    for value in [f64::NAN, -f64::NAN, -0.0] {
        run.check_eq("bits of an f64", bits(exports.echo_f64(value)), bits(Some(value)))?;
        calls += 1;
    }
    run.observe("echoes", calls);
    let joined = exports
        .join(
            255,
            -1.5,
            i128::MIN,
            true,
            u64::MAX,
            'é',
            0.25,
            i16::MIN,
            (),
            u128::MAX,
            i8::MIN,
            f64::INFINITY,
        )
        .or_fail("join panicked")?;
    run.observe("twelve parameters", joined);
    module.unload()?;
    Ok(())
}

fn calls_strings(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleStrings>(run, "calls-strings")?;
    let module = load::<ModuleStrings>(run, "calls-strings")?;
    let exports = module.exports();
    let before = module.memory();
    let large = "x".repeat(10 << 20);
    let texts = ["", "plain", "naïve ☃ 𝄞", "zero \0 inside", large.as_str()];
    for text in texts {
        // Whole texts of 10 MB would not be readable as a failure.
        run.check(exports.own(text).as_deref() == Some(text), "own changed a text")?;
        run.check(exports.echo(text.to_owned()).as_deref() == Some(text), "echo changed a text")?;
    }
    let list: Vec<String> = (0..10_000).map(|number| texts[number % 4].repeat(number % 7)).collect();
    for list in [&list[..], &[]] {
        run.check(exports.echo_all(list.to_vec()).as_deref() == Some(list), "echo_all changed a list")?;
        run.check_eq(
            "length of concat",
            exports.concat(list).map(|text| text.len()),
            Some(list.concat().len()),
        )?;
    }
    let no_utf_8 = crate::platform::path_beyond_unicode();
    let path = no_utf_8.as_path();
    run.check_eq("path", exports.own_path(path).as_deref(), Some(path))?;
    // What the module made for its return values, and received as arguments, has been dropped in the module.
    run.check_eq("memory of the module after the calls", module.memory(), before)?;
    run.observe("texts", texts.len());
    run.observe("longest text", large.len());
    module.unload()?;
    Ok(())
}

fn everything() -> Everything {
    Everything {
        figures: [
            Figure::Empty,
            Figure::Circle(Point { x: 1.0, y: -1.0 }, f64::MAX),
            Figure::Polygon {
                corners: vec![Point { x: 0.0, y: 0.5 }; 100],
                label: Some("a label of the host".to_owned()),
            },
        ],
        tree: Tree::Node(vec![
            Tree::Leaf("left".to_owned()),
            Tree::Node(vec![Tree::Node(vec![]), Tree::Leaf(String::new())]),
        ]),
        pair: Pair { first: Pair { first: 7, second: "seven".to_owned() }, second: Nothing },
        aligned: vec![Aligned(1), Aligned(2), Aligned(3)],
        nothings: vec![Nothing; 1000],
        map: (0..100).map(|number| (format!("key {number}"), vec![number; 5])).collect(),
        sorted: (0..100).map(|number| (number, format!("value {number}").into_boxed_str())).collect(),
        set: "the letters of this text".chars().collect(),
        sorted_set: [None, Some(-1), Some(i8::MAX)].into(),
        ring: [(1, "one".to_owned()), (2, "two".to_owned())].into(),
        range: 3..usize::MAX,
        result: Err(["an".to_owned(), "error".to_owned()].into()),
        time: Duration::new(1, 2),
    }
}

fn calls_structs(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleStructs>(run, "calls-structs")?;
    let module = load::<ModuleStructs>(run, "calls-structs")?;
    let exports = module.exports();
    let before = module.memory();
    let point = Point { x: f64::MIN, y: f64::MAX };
    check_echo(run, "point", exports.echo_point(point), point)?;
    check_echo(run, "zero-sized", exports.echo_nothing(Nothing), Nothing)?;
    check_echo(run, "aligned", exports.echo_aligned(Aligned(9)), Aligned(9))?;
    check_echo(run, "misalignment", exports.misalignment(&Aligned(9)), 0)?;
    for figure in everything().figures {
        check_echo(run, "figure", exports.echo_figure(figure.clone()), figure)?;
    }
    check_echo(run, "everything", exports.echo_everything(everything()), everything())?;
    check_echo(run, "everything by reference", exports.copy_everything(&everything()), everything())?;
    let swapped = exports.swap(Pair { first: 5, second: Some("five".to_owned()) });
    check_echo(run, "swapped", swapped, Pair { first: Some("five".to_owned()), second: 5 })?;
    // A map from the module goes on working in the host, which hashes by its own keys.
    let returned = exports.echo_everything(everything()).or_fail("echo_everything panicked")?;
    run.check_eq("entry of the map", returned.map.get("key 42"), Some(&vec![42; 5]))?;
    run.check_eq("memory of the module after the calls", module.memory(), before)?;
    module.unload()?;
    run.check_eq("everything after the unload", returned, everything())
}

fn calls_borrowed(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleBorrowed>(run, "calls-borrowed")?;
    let module = load::<ModuleBorrowed>(run, "calls-borrowed")?;
    let exports = module.exports();
    let mut counter = Counter { steps: 40, history: [0; 4] };
    let host_address = std::ptr::from_ref(&counter).addr();
    for _ in 0..2 {
        let address = exports.step(&mut counter).or_fail("step panicked")?;
        run.check(address == host_address, "the counter was copied instead of lent")?;
    }
    run.observe("counter", format!("{counter:?}"));
    let mut numbers = [5, 3, u32::MAX, 0];
    exports.sort(&mut numbers).or_fail("sort panicked")?;
    run.check_eq("sorted", numbers, [0, 3, 5, u32::MAX])?;
    exports.sort(&mut []).or_fail("sort panicked")?;

    let text = "first second".to_owned();
    let word = exports.first_word(&text).or_fail("first_word panicked")?;
    run.check_eq("word", word, "first")?;
    run.check(word.as_ptr() == text.as_ptr(), "the word is not a part of the host's text")?;
    let long = vec![1, 2, 3];
    let longer = exports.longer(&[9], &long).or_fail("longer panicked")?;
    run.check(std::ptr::eq(longer, &long[..]), "the slice is not the host's")?;
    let motto = exports.motto().or_fail("motto panicked")?;
    run.check(
        module.address_range().contains(&motto.as_ptr().addr()),
        "the motto does not lie in the module's image",
    )?;
    run.observe("motto", motto);
    module.unload()?;
    Ok(())
}

fn calls_mut_owned(run: &mut Run) -> Result<(), Failure> {
    const COUNT: u64 = 1000;
    warm_up::<ModuleMutOwned>(run, "calls-mut-owned")?;
    let module = load::<ModuleMutOwned>(run, "calls-mut-owned")?;
    let exports = module.exports();
    let before = module.memory();
    let mut world = World { names: vec!["of the host".to_owned()], scores: HashMap::new() };
    exports.grow(&mut world, COUNT).or_fail("grow panicked")?;
    run.check_eq("memory of the module after grow", module.memory(), before)?;
    let grown = world.clone();
    run.check_eq("grow_and_panic", exports.grow_and_panic(&mut world, COUNT), None)?;
    let kept = module.memory().blocks - before.blocks;
    run.check(kept < 50, format!("the module kept {kept} blocks, more than a report of a panic needs"))?;
    run.check(world == grown, "a call that panicked changed the host's value")?;
    let panic = module.last_panic().or_fail("there is no report of the panic")?;
    run.observe("panic", panic.message);
    // One that is left as it is among those that grow.
    let mut worlds = vec![World::default(), world.clone(), World::default()];
    exports.grow_all(&mut worlds, COUNT).or_fail("grow_all panicked")?;
    exports.grow_all(&mut [], COUNT).or_fail("grow_all panicked")?;
    module.unload()?;

    // Everything is in the host's heap: it can be used, grown and dropped without the module.
    world.names.push("of the host again".to_owned());
    world.scores.entry("player 3".to_owned()).or_default().push(u64::MAX);
    run.check_eq(
        "sum of the lengths",
        worlds.iter().map(|world| world.names.len()).collect::<Vec<_>>(),
        vec![1000, 2001, 1000],
    )?;
    run.observe("names", world.names.len());
    run.observe("players", world.scores.len());
    run.observe("scores of one player", world.scores["player 3"].len());
    run.observe("last name of the module", &world.names[world.names.len() - 2]);
    Ok(())
}

/// The module of `calls-callback`, which the import calls again.
static COUNTDOWN: RwLock<Option<Module<ModuleCountdown>>> = RwLock::new(None);

#[relib::implement]
impl Host for HostImpl {
    fn continue_from(number: u32) -> String {
        let module = COUNTDOWN.read().expect("nobody panics while writing");
        let module = module.as_ref().expect("the module that calls is loaded");
        module.exports().count_from(number).expect("the export does not panic")
    }

    fn greeting() -> &'static str {
        "says the host"
    }
}

fn calls_callback(run: &mut Run) -> Result<(), Failure> {
    let cycle = |run: &Run, number: u32| -> Result<String, Failure> {
        let module = load_file(&run.fixture("calls-callback"), &LoadOptions::new(), HostImpl)?;
        *COUNTDOWN.write().expect("nobody panics while writing") = Some(module);
        let text = HostImpl::continue_from(number);
        let module = COUNTDOWN.write().expect("nobody panics while writing").take();
        module.or_fail("the module is gone")?.unload()?;
        Ok(text)
    };
    cycle(run, 1)?;
    run.baseline();
    let text = cycle(run, 5)?;
    run.observe("five levels", text);
    let deep = cycle(run, 200)?;
    run.check_eq("steps of 200 levels", deep.split(' ').take(201).count(), 201)?;
    // An import that is not there: the load says which.
    let error = load_error::<ModuleCountdown>(&run.fixture("calls-callback"), &Default::default())?;
    run.observe("without imports", error);
    Ok(())
}

fn call_main(run: &mut Run) -> Result<(), Failure> {
    fn returned<R: Transfer + relib_interface::crossing::Return>(
        run: &Run,
        fixture: &str,
    ) -> Result<R, Failure> {
        let module = load::<()>(run, fixture)?;
        let value = module.try_call_main::<R>();
        module.unload()?;
        Ok(value?)
    }

    warm_up::<()>(run, "call-main-string")?;
    returned::<()>(run, "call-main-unit")?;
    let number = returned::<u64>(run, "call-main-u64")?;
    run.observe("u64", number);
    let text = returned::<String>(run, "call-main-string")?;
    run.observe("String", text);
    let summary = returned::<Summary>(run, "call-main-struct")?;
    run.check_eq("struct", &summary, &Summary { title: "a title".to_owned(), count: u32::MAX })?;
    run.observe("struct", format!("{summary:?}"));
    let module = load::<ModuleStrings>(run, "calls-strings")?;
    run.check_eq("call_main of a module without main", module.call_main::<()>(), None)?;
    let error = module.try_call_main::<()>().expect_err("there is no main");
    run.observe("absent", error);
    run.check_eq("call after the error", module.exports().own("x").as_deref(), Some("x"))?;
    module.unload()?;
    Ok(())
}

fn call_main_wrong_type(run: &mut Run) -> Result<(), Failure> {
    /// Has the name of what the fixture's `main` returns, and other contents.
    mod other {
        #[derive(Debug, relib::Transfer)]
        pub struct Summary {
            pub title: String,
            pub count: u64,
        }
    }

    warm_up::<()>(run, "call-main-u64")?;
    let module = load::<()>(run, "call-main-u64")?;
    macro_rules! ask {
        ($module:ident: $($ty:ty),*) => {$({
            run.check($module.call_main::<$ty>().is_none(), "a value of a wrong type was returned")?;
            let error = $module.try_call_main::<$ty>().expect_err("main returns another type");
            run.observe(concat!("asked for ", stringify!($ty)), error);
        })*};
    }
    ask!(module: (), u32, i64, f64, String, Vec<(u64,)>, Option<u64>, [u64; 1], (u64, u64), Box<[u64]>);
    run.check_eq("calls of main so far", module.call_main::<u64>(), Some(1))?;
    module.unload()?;

    let module = load::<()>(run, "call-main-struct")?;
    ask!(module: other::Summary, u64);
    run.check(module.call_main::<Summary>().is_some(), "main did not return")?;
    module.unload()?;

    // The same path, but another version of the crate.
    let module = load::<()>(run, "interface-mismatch")?;
    ask!(module: (Vec<Player>, Option<u64>), (Vec<Player>, Option<u32>));
    module.unload()?;
    Ok(())
}

fn two_interfaces(run: &mut Run) -> Result<(), Failure> {
    warm_up::<(ModuleLeft, ModuleRight)>(run, "two-interfaces")?;
    let both = load::<(ModuleLeft, ModuleRight)>(run, "two-interfaces")?;
    let strings = load::<ModuleStrings>(run, "calls-strings")?;
    let structs = load::<ModuleStructs>(run, "calls-structs")?;
    // In turns, so that each call finds its own module.
    for _ in 0..3 {
        let (left, right) = both.exports();
        run.check_eq("left", left.left().as_deref(), Some("left"))?;
        run.check_eq("own", strings.exports().own("x").as_deref(), Some("x"))?;
        run.check_eq("right", right.right().as_deref(), Some("right"))?;
        run.check_eq("echo", structs.exports().echo_nothing(Nothing), Some(Nothing))?;
    }
    strings.unload()?;
    let (_, right) = both.exports();
    run.check_eq("right when another module is gone", right.right().as_deref(), Some("right"))?;
    both.unload()?;
    structs.unload()?;
    // One of two interfaces is enough for a host, whichever it is.
    let module = load::<ModuleRight>(run, "two-interfaces")?;
    run.check_eq("right alone", module.exports().right().as_deref(), Some("right"))?;
    module.unload()?;
    Ok(())
}

/// Checks that `interface-mismatch` is refused for the interface `E`, that asking for nothing is still fine, and
/// records the message.
fn observe_mismatch<E: relib::ExportsHandle>(run: &mut Run) -> Result<(), Failure> {
    warm_up::<()>(run, "interface-mismatch")?;
    let error = load_error::<E>(&run.fixture("interface-mismatch"), &Default::default())?;
    run.check(
        matches!(error, relib::LoadError::InterfaceMismatch { .. }),
        format!("another error: {error}"),
    )?;
    run.observe("error", error);
    load::<()>(run, "interface-mismatch")?.unload()?;
    Ok(())
}

fn interface_mismatch_signature(run: &mut Run) -> Result<(), Failure> {
    #[relib::implement]
    impl Imports for ImportsImpl {
        fn log(_line: &str) {}
    }

    observe_mismatch::<ModuleSignature>(run)?;
    let path = run.fixture("interface-mismatch-import");
    let loaded = load_file::<()>(&path, &LoadOptions::new(), ImportsImpl);
    run.observe("error for an import", loaded.err().or_fail("the import was accepted")?.message());
    Ok(())
}

fn interface_mismatch_missing(run: &mut Run) -> Result<(), Failure> {
    observe_mismatch::<ModuleMissing>(run)?;
    let error = load_error::<ModuleStrings>(&run.fixture("interface-mismatch"), &Default::default())?;
    run.observe("error for a whole interface", error);
    let error = load_error::<ModuleStrings>(&run.fixture("call-main-unit"), &Default::default())?;
    run.observe("error without any interface", error);
    let error = load_error::<()>(&run.fixture("interface-mismatch-import"), &Default::default())?;
    run.observe("error for an import", error);
    let error = load_error::<Twice>(&run.fixture("calls-strings"), &Default::default())?;
    run.observe("error for two interfaces of one name", error);
    Ok(())
}

/// Asks for two different interfaces of one name, as a host does in which two versions of a crate are linked.
struct Twice;

// SAFETY: nothing is bound.
unsafe impl ExportsHandle for Twice {
    fn interfaces() -> Vec<&'static Interface> {
        const STRINGS: &Interface = ModuleStrings::__RELIB_INTERFACE;
        const OTHER: &Interface = &Interface { name: STRINGS.name, functions: &[], payload: &[] };
        vec![STRINGS, OTHER]
    }

    fn bind(_binder: &mut dyn ExportBinder) -> Self {
        Self
    }
}

fn interface_mismatch_field(run: &mut Run) -> Result<(), Failure> {
    observe_mismatch::<ModuleField>(run)?;
    let error = load_error::<ModuleLayout>(&run.fixture("interface-mismatch"), &Default::default())?;
    run.observe("error for a representation", error);
    Ok(())
}

/// Two versions of the crate that declares an interface, which has not changed between them.
fn import_twice(run: &mut Run) -> Result<(), Failure> {
    #[relib::implement]
    impl import_twice_interface::Words for WordsImpl {
        fn next() -> String {
            "a word".to_owned()
        }
    }

    let path = run.fixture("import-twice");
    for baseline in [true, false] {
        let module = load_file::<()>(&path, &LoadOptions::new(), WordsImpl)?;
        let words = module.call_main::<(String, String)>();
        run.check_eq("words", words, Some(("a word".to_owned(), "a word".to_owned())))?;
        module.unload()?;
        if baseline {
            run.baseline();
        }
    }
    Ok(())
}

/// Values of an enum's variants and of constants, which are written alike on both sides.
fn interface_mismatch_values(run: &mut Run) -> Result<(), Failure> {
    observe_mismatch::<ModuleValues>(run)?;
    let error = load_error::<ModuleConstants>(&run.fixture("interface-mismatch"), &Default::default())?;
    run.observe("error for a constant", error);
    Ok(())
}

/// The module would keep a reference for ever that the host lends for the call.
fn interface_mismatch_lifetime(run: &mut Run) -> Result<(), Failure> {
    #[relib::implement]
    impl Names for NamesImpl {
        fn name(text: &str) -> &str {
            text
        }
    }

    warm_up::<()>(run, "interface-mismatch")?;
    let path = run.fixture("interface-mismatch-lifetime");
    let loaded = load_file::<()>(&path, &LoadOptions::new(), NamesImpl);
    run.observe("error", loaded.err().or_fail("the import was accepted")?.message());
    Ok(())
}

fn interface_superset(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleSuperset>(run, "interface-mismatch")?;
    let module = load::<ModuleSuperset>(run, "interface-mismatch")?;
    // They stand in another order in the module.
    run.check_eq("alpha", module.exports().alpha().as_deref(), Some("alpha"))?;
    run.check_eq("beta", module.exports().beta().as_deref(), Some("beta"))?;
    module.unload()?;
    Ok(())
}

fn host_is_dylib(run: &mut Run) -> Result<(), Failure> {
    type RunHost = unsafe extern "C" fn(
        path: *const c_char,
        context: *mut (),
        sink: unsafe extern "C" fn(*mut (), *const u8, usize),
    );

    unsafe extern "C" fn append(text: *mut (), bytes: *const u8, len: usize) {
        // SAFETY: `run_host` passes on the pointer to our string, and a text that is in place during the call.
        let (text, bytes) = unsafe { (&mut *text.cast::<String>(), std::slice::from_raw_parts(bytes, len)) };
        text.push_str(&String::from_utf8_lossy(bytes));
    }

    // SAFETY: the library is a fixture of this repository. It stays loaded: its thread-locals belong to this thread.
    let library = unsafe { libloading::Library::new(run.fixture("host-is-dylib"))? };
    // SAFETY: the fixture declares the function with this type.
    let run_host = unsafe { library.get::<RunHost>(b"run_host")? };
    let module = CString::new(run.fixture("calls-callback").as_os_str().as_encoded_bytes())?;
    let cycle = || {
        let mut text = String::new();
        // SAFETY: the sink appends to the string that it is given with it.
        unsafe { run_host(module.as_ptr(), (&raw mut text).cast(), append) };
        text
    };
    cycle();
    // This program is a host of its own beside the library.
    warm_up::<ModuleStrings>(run, "calls-strings")?;
    let strings = load::<ModuleStrings>(run, "calls-strings")?;
    let text = cycle();
    run.observe("through the library", text);
    run.check_eq("own", strings.exports().own("x").as_deref(), Some("x"))?;
    strings.unload()?;
    std::mem::forget(library);
    Ok(())
}
