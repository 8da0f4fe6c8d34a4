//! The verifier against libraries that the linkers of this machine really make, and against damaged ones.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use object::elf::{self, Dyn64, FileHeader64, ProgramHeader64, SectionHeader64};
use object::pod::{self, Pod};
use object::{LittleEndian as LE, U64};

use crate::lock::{STARTING_PROCESSES, lock};

use super::source::Source;
use super::{ImageError, ImageFile, inspect_file};

/// A module in miniature: a constructor, thread-locals, relib's section, exports and a large `.bss`.
const SOURCE: &str = r#"
use std::cell::RefCell;
thread_local! { static LOG: RefCell<Vec<String>> = RefCell::new(vec![]); }
static mut LARGE: [u8; 1 << 20] = [0; 1 << 20];
extern "C" fn constructor() { LOG.with(|log| log.borrow_mut().push("constructed".into())); }
#[used] #[unsafe(link_section = ".init_array")] static CONSTRUCTOR: extern "C" fn() = constructor;
#[used] #[unsafe(link_section = ".relib")] static METADATA: [u8; 5] = *b"hello";
#[unsafe(no_mangle)] pub extern "C" fn __relib_probe(n: usize) -> usize {
    unsafe { (&raw mut LARGE as *mut u8).add(n).write(1) };
    LOG.with(|log| log.borrow().len())
}
#[unsafe(no_mangle)] pub static __relib_table: extern "C" fn(usize) -> usize = __relib_probe;
#[unsafe(no_mangle)] pub extern "C" fn unrelated() {}
"#;

/// A directory that is removed when the value is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("relib-image-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("create a scratch directory");
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A directory left behind in the temporary directory is no reason to fail a test.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Builds `SOURCE` as a cdylib with these arguments, or returns what the linker has against them.
fn try_build(arguments: &[&str]) -> Result<Vec<u8>, String> {
    let scratch = Scratch::new();
    let (source, library) = (scratch.join("module.rs"), scratch.join("module.so"));
    std::fs::write(&source, SOURCE).expect("write the source");
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2024", "--crate-type=cdylib", "-Cdebuginfo=0", "-o"]).arg(&library).arg(&source);
    run(rustc.args(arguments))?;
    Ok(std::fs::read(&library).expect("read the library"))
}

fn run(command: &mut Command) -> Result<(), String> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = {
        let _starting = lock(&STARTING_PROCESSES);
        command.spawn()
    };
    let output = child.and_then(Child::wait_with_output).map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Compiles C or C++ `source` into a shared library.
fn build_c(compiler: &str, source: &str, arguments: &[&str]) -> Vec<u8> {
    let scratch = Scratch::new();
    let extension = if compiler == "c++" { "cpp" } else { "c" };
    let (input, library) = (scratch.join(&format!("module.{extension}")), scratch.join("module.so"));
    std::fs::write(&input, source).expect("write the source");
    run(Command::new(compiler).args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&input).args(arguments))
        .expect("compile the C source");
    std::fs::read(&library).expect("read the library")
}

/// The library that most tests start from: release, stripped, linked with this toolchain's default linker.
fn module() -> &'static [u8] {
    static MODULE: OnceLock<Vec<u8>> = OnceLock::new();
    MODULE.get_or_init(|| try_build(&["-O", "-Cstrip=symbols"]).expect("build the module"))
}

fn check(bytes: &[u8]) -> Result<ImageFile, ImageError> {
    super::elf::inspect(&Source::new(bytes, bytes.len() as u64), "__relib_")
}

/// Checks that the library that these arguments make is accepted, if the tools for it are here.
fn accepts(arguments: &[&str]) -> Option<ImageFile> {
    let bytes = match try_build(arguments) {
        Ok(bytes) => bytes,
        Err(error) if missing_tool(&error) => {
            println!("skipped {arguments:?}: {error}");
            return None;
        }
        Err(error) => panic!("{arguments:?}: {error}"),
    };
    let image = check(&bytes).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    assert_eq!(image.metadata.as_deref(), Some(&b"hello"[..]), "{arguments:?}");
    assert!(image.export("__relib_probe").is_some_and(|probe| probe.size > 0), "{arguments:?}");
    assert!(image.export("__relib_table").is_some() && image.export("unrelated").is_none(), "{arguments:?}");
    assert!(image.import_slots.iter().any(|(name, _)| name == b"__cxa_thread_atexit_impl"), "{arguments:?}");
    for (name, vaddr) in image.import_slots.iter() {
        let name = String::from_utf8_lossy(name);
        assert!(image.span.contains(&vaddr) && vaddr % 8 == 0, "{arguments:?}: {name} at {vaddr:#x}");
    }
    assert!(image.tls.is_some_and(|tls| tls.memsz > 0), "{arguments:?}");
    Some(image)
}

fn missing_tool(error: &str) -> bool {
    ["cannot find 'ld'", "invalid linker name", "unrecognized", "unknown -z", "unknown argument", "not found"]
        .iter()
        .any(|text| error.contains(text))
}

/// Arguments that select a linker; the first is this toolchain's default.
const LINKERS: [&[&str]; 5] = [
    &[],
    &["-Clinker-features=-lld"],
    &["-Clinker-features=-lld", "-Clink-arg=-fuse-ld=gold"],
    &["-Clinker-features=-lld", "-Clink-arg=-fuse-ld=lld"],
    &["-Clinker-features=-lld", "-Clink-arg=-fuse-ld=mold"],
];

#[test]
fn every_linker_is_accepted() {
    for linker in LINKERS {
        for profile in [&[][..], &["-O", "-Cstrip=symbols"]] {
            accepts(&[linker, profile].concat());
        }
    }
}

#[test]
fn every_linker_option_is_accepted() {
    const OPTIONS: [&str; 9] = [
        "-z,separate-code",
        "-z,noseparate-code",
        "-z,norelro",
        "-z,lazy",
        "-z,max-page-size=2097152",
        "--hash-style=both",
        "--hash-style=sysv",
        "-z,pack-relative-relocs",
        "-Bsymbolic",
    ];
    for linker in &LINKERS[..2] {
        for option in OPTIONS {
            accepts(&[*linker, &["-O", &format!("-Clink-arg=-Wl,{option}")]].concat());
        }
    }
}

#[test]
fn nodelete_is_found_where_it_stands() {
    let bytes = try_build(&["-O", "-Clink-arg=-Wl,-z,nodelete"]).expect("build the module");
    let site = check(&bytes).expect("inspect").flags_1.expect("flags");
    assert!(site.nodelete());
    let mut patched = bytes.clone();
    let offset = usize::try_from(site.file_offset).expect("an offset in memory");
    assert_eq!(patched[offset..offset + 8], site.value.to_le_bytes());
    patched[offset..offset + 8].copy_from_slice(&site.without_nodelete().to_le_bytes());
    let site = check(&patched).expect("inspect").flags_1.expect("flags");
    assert!(!site.nodelete());
}

#[test]
fn unique_symbols_are_found_where_they_stand() {
    let source =
        "inline int &counter() { static int value; return value; }\nint bump() { return ++counter(); }";
    let bytes = build_c("c++", source, &[]);
    let image = check(&bytes).expect("inspect");
    let [unique] = &image.unique_symbols[..] else { panic!("{:?}", image.unique_symbols) };
    assert!(unique.name.contains("counter"), "{}", unique.name);
    let st_info = bytes[usize::try_from(unique.st_info_offset).expect("an offset in memory")];
    assert_eq!(st_info >> 4, elf::STB_GNU_UNIQUE.0);
    assert_eq!(image.metadata, None);
}

#[test]
fn c_features_are_accepted() {
    let ifunc = "static int one(void) { return 1; }\nstatic void *resolve(void) { return (void *)one; }\n\
                 int pick(void) __attribute__((ifunc(\"resolve\")));\nint call(void) { return pick(); }";
    let tls = "__thread int counter __attribute__((tls_model(\"initial-exec\")));\nint bump(void) { return ++counter; }";
    for (source, arguments) in
        [(ifunc, &[][..]), (tls, &[]), (tls, &["-mtls-dialect=gnu2"]), ("int x;", &["-nostdlib"])]
    {
        check(&build_c("cc", source, arguments))
            .unwrap_or_else(|error| panic!("{source} {arguments:?}: {error}"));
    }
}

#[test]
fn what_breaks_unloading_is_refused() {
    let unsupported = |source: &str, arguments: &[&str]| {
        let error = check(&build_c("cc", source, arguments)).expect_err("the library is refused");
        assert!(matches!(error, ImageError::Unsupported { .. }), "{arguments:?}: {error}");
    };
    unsupported("int f(void) { return 1; }", &["-Wl,-z,initfirst"]);
    unsupported("int f(void) { return 1; }", &["-Wl,-z,execstack"]);
    unsupported("int f(void) { return 1; }", &["-Wl,-init,f"]);
    unsupported("int f(void) { return 1; }", &["-Wl,-F,libother.so"]);
}

#[test]
fn a_file_gives_the_same_as_its_bytes() {
    let scratch = Scratch::new();
    let path = scratch.join("module.so");
    std::fs::write(&path, module()).expect("write the library");
    let file = std::fs::File::open(&path).expect("open the library");
    let from_file = inspect_file(&file, "__relib_").expect("read the file").expect("inspect the file");
    let from_bytes = check(module()).expect("inspect the bytes");
    assert_eq!(format!("{from_file:?}"), format!("{from_bytes:?}"));
}

#[test]
fn other_files_are_named() {
    let named = |bytes: &[u8]| check(bytes).expect_err("the file is refused").to_string();
    assert_eq!(named(b""), "the file is empty: it is probably about to be written; load it again later");
    assert_eq!(named(b"[package]\n"), "the file is not a dynamic library but a text file");
    assert_eq!(
        named(b"!<arch>\n"),
        "the file is not a dynamic library but a static library or Rust rlib (ar archive)"
    );
    assert_eq!(named(b"MZ\x90"), "the file is not a dynamic library but a Windows (PE) file");
    let this_test = std::fs::read(std::env::current_exe().expect("a path")).expect("read this test");
    assert!(named(&this_test).starts_with("the file is an executable, not a dynamic library"));
}

#[test]
fn other_machines_are_named() {
    let changed = |offset: usize, value: u8| {
        let mut bytes = module().to_vec();
        bytes[offset] = value;
        check(&bytes).expect_err("the file is refused")
    };
    const E_MACHINE: usize = 18;
    let (found, expected) = ("AArch64".to_owned(), "x86-64");
    assert_eq!(changed(E_MACHINE, 183), ImageError::OtherMachine { found, expected });
    assert_eq!(changed(4, 1), ImageError::OtherClass { found: "32-bit", expected: "64-bit" });
    assert_eq!(changed(5, 2), ImageError::OtherByteOrder { found: "big-endian", expected: "little-endian" });
    assert_eq!(changed(16, 1), ImageError::NotALibrary { found: "a relocatable object" });
    assert_eq!(changed(16, 4), ImageError::NotALibrary { found: "a core file" });
}

#[test]
fn truncated_files_are_refused() {
    let module = module();
    let cuts = (0..4096).chain((4096..module.len()).step_by(4096)).chain([module.len() - 1]);
    for cut in cuts {
        let error = check(&module[..cut]).expect_err("a truncated file is refused");
        let named = matches!(error, ImageError::Truncated { .. } | ImageError::Empty);
        assert!(named, "cut at {cut}: {error}");
    }
}

/// SplitMix64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 16).expect("48 bits") % limit
    }
}

/// Inspects copies of the module, each with one to four bytes of the given ranges changed. Returns how many passed.
fn mutate(regions: &[std::ops::Range<usize>], count: usize, seed: u64) -> usize {
    let mut random = Random(seed);
    let mut bytes = module().to_vec();
    let mut accepted = 0;
    for _ in 0..count {
        let changes: Vec<_> = (0..1 + random.below(4))
            .map(|_| {
                let region = &regions[random.below(regions.len())];
                let offset = region.start + random.below(region.len());
                (offset, bytes[offset])
            })
            .collect();
        for (offset, _) in &changes {
            bytes[*offset] ^= u8::try_from(1 + random.below(255)).expect("a byte");
        }
        accepted += usize::from(check(&bytes).is_ok());
        for (offset, original) in changes {
            bytes[offset] = original;
        }
    }
    accepted
}

#[test]
fn mutated_headers_never_panic() {
    let regions = [0..64, program_headers(), section(elf::SHT_DYNAMIC)];
    let accepted = mutate(&regions, 20_000, 1);
    // Physical addresses and the like have no meaning and may change; most bytes may not.
    assert!(accepted < 2_000, "{accepted} of 20,000 mutations were accepted");
}

#[test]
fn mutated_tables_never_panic() {
    let kinds = [
        elf::SHT_DYNSYM,
        elf::SHT_GNU_HASH,
        elf::SHT_GNU_VERSYM,
        elf::SHT_GNU_VERNEED,
        elf::SHT_RELA,
        elf::SHT_NOTE,
        elf::SHT_DYNAMIC,
    ];
    let mut regions: Vec<_> = kinds.into_iter().map(section).collect();
    regions.extend([section_headers(), program_headers()]);
    mutate(&regions, 20_000, 2);
}

/// Changes one field of the module and checks that the verifier objects to `part`.
fn refused(offset: usize, value: u64, part: &str) {
    let mut bytes = module().to_vec();
    bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    match check(&bytes) {
        Err(ImageError::Malformed { part: found, detail }) => assert_eq!(found, part, "{detail}"),
        other => panic!("{offset:#x}: {other:?}"),
    }
}

#[test]
fn a_constructor_outside_code_is_refused() {
    let (init_array, relocations) = (section_header(elf::SHT_INIT_ARRAY), section(elf::SHT_RELA));
    let entries: &[[U64<LE>; 3]] = pod_slice(&module()[relocations.clone()]);
    let address = init_array.sh_addr.get(LE);
    let index = entries.iter().position(|entry| entry[0].get(LE) == address).expect("a relocation");
    let addend = relocations.start + index * 24 + 16;
    refused(addend, address, "the relocations");
    refused(addend - 16, address + 8, "the relocations");
    refused(addend - 16, address + 4, "the relocations");
}

#[test]
fn a_relocation_that_lost_its_kind_or_its_place_is_refused() {
    const PART: &str = "the relocations";
    let [dynamic, plt] = &relocations()[..] else { panic!("there are two sections of relocations") };
    let entries: &[[U64<LE>; 3]] = pod_slice(&module()[dynamic.clone()]);
    let is_relative = |entry: &[U64<LE>; 3]| entry[1].get(LE) == u64::from(elf::R_X86_64_RELATIVE.0);
    // Neighbours, so that one that is moved by half a word overlaps the other.
    let is_pair =
        |pair: &[[U64<LE>; 3]]| pair.iter().all(is_relative) && pair[0][0].get(LE) + 8 == pair[1][0].get(LE);
    let mut pairs = entries.windows(2).enumerate().filter(|(_, pair)| is_pair(pair)).map(|(index, _)| index);
    // Behind the first ones, which are those of the array of constructors.
    let index = pairs.nth(20).expect("there are many pointers side by side");
    let (place, kind) = (dynamic.start + index * 24, dynamic.start + index * 24 + 8);
    refused(place, entries[index][0].get(LE) + 4, PART);
    refused(place, entries[index][0].get(LE) + 8, PART);
    refused(kind, 0, PART);
    refused(kind, 1 << 32 | u64::from(elf::R_X86_64_RELATIVE.0), PART);

    let slots: &[[U64<LE>; 3]] = pod_slice(&module()[plt.clone()]);
    let last = plt.start + (slots.len() - 1) * 24;
    let info = slots[slots.len() - 1][1].get(LE);
    for other in [elf::R_X86_64_NONE, elf::R_X86_64_RELATIVE, elf::R_X86_64_64, elf::R_X86_64_GLOB_DAT] {
        refused(last + 8, info >> 32 << 32 | u64::from(other.0), PART);
    }
    refused(last, slots[0][0].get(LE), PART);
    refused(last, slots[slots.len() - 1][0].get(LE) + 4, PART);
}

/// File offsets of the sections of relocations: of all but the procedure linkage table, and of that.
fn relocations() -> Vec<std::ops::Range<usize>> {
    let headers: &[SectionHeader64<LE>] = pod_slice(&module()[section_headers()]);
    let sections = headers.iter().filter(|header| header.sh_type.get(LE) == elf::SHT_RELA);
    let range = |header: &SectionHeader64<LE>| {
        let start = usize::try_from(header.sh_offset.get(LE)).expect("an offset");
        start..start + usize::try_from(header.sh_size.get(LE)).expect("a size")
    };
    sections.map(range).collect()
}

#[test]
fn a_module_without_a_table_for_unwinding_is_refused() {
    for linker in &LINKERS[..2] {
        let arguments = [*linker, &["-O", "-Clink-arg=-Wl,--no-eh-frame-hdr"]].concat();
        let bytes = try_build(&arguments).expect("build the module");
        let error = check(&bytes).expect_err("it could not unwind");
        assert!(error.to_string().contains("unwinding without .eh_frame_hdr"), "{error}");
    }
}

#[test]
fn a_damaged_table_for_unwinding_is_refused() {
    const PART: &str = "the unwinder's table";
    let header = named_section(".eh_frame_hdr");
    let word = |offset: usize| {
        let bytes = module()[header.start + offset..].first_chunk().expect("eight bytes");
        u64::from_le_bytes(*bytes)
    };
    // Version and encodings, then the address of the frames.
    refused(header.start, word(0) ^ 8 << 32, PART);
    // The number of entries, before the first one's function.
    refused(header.start + 8, word(8) | 0xffff_ffff, PART);
    // An entry out of order, and one that leads elsewhere.
    let entry = 12 + 8 * 10;
    refused(header.start + entry, word(entry) ^ 1 << 20, PART);
    refused(header.start + entry, word(entry) ^ 1 << 62, PART);
}

/// File offsets of a section by its name.
fn named_section(name: &str) -> std::ops::Range<usize> {
    let headers: &[SectionHeader64<LE>] = pod_slice(&module()[section_headers()]);
    let offset = |header: &SectionHeader64<LE>| usize::try_from(header.sh_offset.get(LE)).expect("an offset");
    let names = offset(&headers[usize::from(header().e_shstrndx.get(LE).0)]);
    let has_name = |header: &&SectionHeader64<LE>| {
        module()[names + header.sh_name.get(LE) as usize..].starts_with(format!("{name}\0").as_bytes())
    };
    let found = headers.iter().find(has_name).expect("the section is there");
    offset(found)..offset(found) + usize::try_from(found.sh_size.get(LE)).expect("a size")
}

#[test]
fn a_module_with_the_dynamic_std_is_refused() {
    let bytes = try_build(&["-Cprefer-dynamic"]).expect("build the module");
    let error = check(&bytes).expect_err("its std is another's too").to_string();
    assert!(error.contains("std as a library of its own (libstd-"), "{error}");
    assert!(error.contains("without -C prefer-dynamic"), "{error}");
    let error = super::error::check_std(["libengine.so", "libstd-0123.so", "libc.so.6"].into_iter());
    let error = error.expect_err("its std is the dependency's").to_string();
    assert!(error.contains("by its dependency libengine.so"), "{error}");
    let error = super::error::check_std(["KERNEL32.dll", "std-0123.dll"].into_iter());
    assert!(error.expect_err("its std is another's too").to_string().contains("(std-0123.dll)"));
    assert_eq!(super::error::check_std(["libstdc++.so.6", "libc.so.6"].into_iter()), Ok(()));
}

#[test]
fn a_dynamic_entry_unlike_its_section_is_refused() {
    let start = section(elf::SHT_DYNAMIC).start;
    let entries: &[Dyn64<LE>] = pod_slice(&module()[section(elf::SHT_DYNAMIC)]);
    let mut seen = 0;
    for (index, entry) in entries.iter().enumerate() {
        let tag = entry.d_tag.get(LE);
        if [elf::DT_NULL, elf::DT_NEEDED, elf::DT_FLAGS, elf::DT_FLAGS_1].contains(&tag) {
            continue;
        }
        let part = if tag == elf::DT_RELACOUNT { "the relocations" } else { "the dynamic section" };
        let unsupported = [elf::DT_INIT, elf::DT_FINI].contains(&tag);
        if !unsupported {
            refused(start + index * 16 + 8, entry.d_val.get(LE) ^ 8, part);
            seen += 1;
        }
    }
    assert!(seen > 15, "only {seen} entries");
}

fn pod_slice<T: Pod>(bytes: &[u8]) -> &[T] {
    pod::slice_from_all_bytes(bytes).expect("whole entries")
}

fn header() -> &'static FileHeader64<LE> {
    pod::from_bytes(module()).expect("a header").0
}

fn program_headers() -> std::ops::Range<usize> {
    let start = usize::try_from(header().e_phoff.get(LE)).expect("an offset");
    start..start + usize::from(header().e_phnum.get(LE)) * size_of::<ProgramHeader64<LE>>()
}

fn section_headers() -> std::ops::Range<usize> {
    let start = usize::try_from(header().e_shoff.get(LE)).expect("an offset");
    start..start + usize::from(header().e_shnum.get(LE)) * size_of::<SectionHeader64<LE>>()
}

fn section_header(kind: elf::SectionType) -> &'static SectionHeader64<LE> {
    let headers: &[SectionHeader64<LE>] = pod_slice(&module()[section_headers()]);
    headers.iter().find(|header| header.sh_type.get(LE) == kind).expect("the section is there")
}

/// File offsets of the first section of a type.
fn section(kind: elf::SectionType) -> std::ops::Range<usize> {
    let header = section_header(kind);
    let start = usize::try_from(header.sh_offset.get(LE)).expect("an offset");
    start..start + usize::try_from(header.sh_size.get(LE)).expect("a size")
}

#[test]
fn installed_c_libraries_are_accepted() {
    let libraries = ["libm.so.6", "libz.so.1", "libstdc++.so.6", "libgcc_s.so.1"];
    let folders = ["/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let present =
        |name: &&str| folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists());
    for path in libraries.iter().filter_map(present) {
        let bytes = std::fs::read(&path).expect("read the library");
        check(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
