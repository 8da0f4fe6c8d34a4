//! The verifier against images that are made here byte by byte, so that they are the same on every machine.

use super::*;
use crate::image::contents::{Export, TlsTemplate};
use crate::image::error::ImageError;

const HEADERS: usize = 0x400;
const NT: usize = 0x40;
const OPTIONAL: usize = NT + 24;
const CHECKSUM: usize = OPTIONAL + 64;
const DIRECTORIES: usize = OPTIONAL + 112;
const SECTION_TABLE: usize = DIRECTORIES + 16 * 8;
const BASE: u64 = 0x1_8000_0000;

// Each section is one page, and has 0x200 bytes in the file.
const TEXT: u32 = 0x1000;
const RDATA: u32 = 0x2000;
const DATA: u32 = 0x3000;
const METADATA: u32 = 0x4000;
const RELOC: u32 = 0x5000;
const SIZE: u32 = 0x6000;

// What stands in `.rdata`.
const EXPORTS: u32 = RDATA;
const IMPORTS: u32 = RDATA + 0x80;
const LOOKUP: u32 = RDATA + 0xc0;
const TLS: u32 = RDATA + 0x100;
const CALLBACKS: u32 = RDATA + 0x140;
const FUNCTIONS: u32 = RDATA + 0x160;
const NAMES: u32 = RDATA + 0x180;
const TEMPLATE: u32 = RDATA + 0x1f0;

// And in `.data`.
const SLOTS: u32 = DATA;
const TABLE: u32 = DATA + 0x40;
const TLS_INDEX: u32 = DATA + 0x80;

/// An image under construction.
struct Image(Vec<u8>);

impl Image {
    /// A small module: one export, two imports, thread-local storage with a callback, unwind information, relocations and
    /// metadata.
    fn new() -> Self {
        let mut image = Self(vec![0; HEADERS + 5 * 0x200]);
        image.0[..2].copy_from_slice(b"MZ");
        image.put32_at(0x3c, NT as u32);
        image.0[NT..NT + 4].copy_from_slice(b"PE\0\0");
        image.put16_at(NT + 4, 0x8664);
        image.put16_at(NT + 6, 5);
        image.put16_at(NT + 20, 112 + 16 * 8);
        // An executable image, for large addresses, a library.
        image.put16_at(NT + 22, 0x2022);
        image.put16_at(OPTIONAL, 0x20b);
        image.put32_at(OPTIONAL + 16, TEXT);
        image.put64_at(OPTIONAL + 24, BASE);
        image.put32_at(OPTIONAL + 32, 0x1000);
        image.put32_at(OPTIONAL + 36, 0x200);
        image.put16_at(OPTIONAL + 48, 6);
        image.put32_at(OPTIONAL + 56, SIZE);
        image.put32_at(OPTIONAL + 60, HEADERS as u32);
        image.put16_at(OPTIONAL + 68, 3);
        image.put16_at(OPTIONAL + 70, 0x160);
        image.put32_at(OPTIONAL + 108, 16);
        image.directory(0, EXPORTS, 0x80);
        image.directory(1, IMPORTS, 40);
        image.directory(3, FUNCTIONS, 12);
        image.directory(5, RELOC, 12);
        image.directory(9, TLS, 40);
        let sections: [(&str, u32, u32); 5] = [
            (".text", TEXT, 0x6000_0020),
            (".rdata", RDATA, 0x4000_0040),
            (".data", DATA, 0xc000_0040),
            (".relib", METADATA, 0x4000_0040),
            (".reloc", RELOC, 0x4200_0040),
        ];
        for (index, (name, start, characteristics)) in sections.into_iter().enumerate() {
            let at = SECTION_TABLE + index * 40;
            image.0[at..at + name.len()].copy_from_slice(name.as_bytes());
            let size = if name == ".relib" { 5 } else { 0x200 };
            image.put32_at(at + 8, size);
            image.put32_at(at + 12, start);
            image.put32_at(at + 16, 0x200);
            image.put32_at(at + 20, Self::offset(start) as u32);
            image.put32_at(at + 36, characteristics);
        }

        image.bytes(METADATA, b"hello");
        for (at, name) in [(0, "module.dll"), (0x10, "__relib_table"), (0x20, "kernel32.dll")] {
            image.bytes(NAMES + at, name.as_bytes());
        }
        image.bytes(NAMES + 0x32, b"TlsAlloc");
        image.bytes(NAMES + 0x42, b"TlsFree");

        image.put32(EXPORTS + 12, NAMES);
        image.put32(EXPORTS + 16, 1);
        image.put32(EXPORTS + 20, 1);
        image.put32(EXPORTS + 24, 1);
        image.put32(EXPORTS + 28, EXPORTS + 0x40);
        image.put32(EXPORTS + 32, EXPORTS + 0x44);
        image.put32(EXPORTS + 36, EXPORTS + 0x48);
        image.put32(EXPORTS + 0x40, TABLE);
        image.put32(EXPORTS + 0x44, NAMES + 0x10);

        image.put32(IMPORTS, LOOKUP);
        image.put32(IMPORTS + 12, NAMES + 0x20);
        image.put32(IMPORTS + 16, SLOTS);
        for (index, name) in [NAMES + 0x30, NAMES + 0x40].into_iter().enumerate() {
            image.put64(LOOKUP + 8 * index as u32, u64::from(name));
            image.put64(SLOTS + 8 * index as u32, u64::from(name));
        }

        image.put64(TLS, BASE + u64::from(TEMPLATE));
        image.put64(TLS + 8, BASE + u64::from(TEMPLATE) + 8);
        image.put64(TLS + 16, BASE + u64::from(TLS_INDEX));
        image.put64(TLS + 24, BASE + u64::from(CALLBACKS));
        image.put32(TLS + 32, 24);
        image.put64(CALLBACKS, BASE + u64::from(TEXT) + 0x10);

        image.put32(FUNCTIONS, TEXT);
        image.put32(FUNCTIONS + 4, TEXT + 0x20);
        image.put32(FUNCTIONS + 8, RDATA + 0x1e0);

        image.put32(RELOC, RDATA);
        image.put32(RELOC + 4, 12);
        image.put16_at(Self::offset(RELOC + 8), 10 << 12 | 0x100);
        image
    }

    fn offset(address: u32) -> usize {
        let section = (address - TEXT) / 0x1000;
        HEADERS + section as usize * 0x200 + (address & 0xfff) as usize
    }

    fn put16_at(&mut self, offset: usize, value: u16) {
        self.0[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn put32_at(&mut self, offset: usize, value: u32) {
        self.0[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn put64_at(&mut self, offset: usize, value: u64) {
        self.0[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, address: u32, bytes: &[u8]) {
        let offset = Self::offset(address);
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn put32(&mut self, address: u32, value: u32) {
        self.put32_at(Self::offset(address), value);
    }

    fn put64(&mut self, address: u32, value: u64) {
        self.put64_at(Self::offset(address), value);
    }

    fn directory(&mut self, index: usize, address: u32, size: u32) {
        self.put32_at(DIRECTORIES + 8 * index, address);
        self.put32_at(DIRECTORIES + 8 * index + 4, size);
    }

    /// With the checksum as imagehlp computes it, word by word.
    fn summed(mut self) -> Self {
        self.put32_at(CHECKSUM, 0);
        let mut sum = 0_u32;
        for word in self.0.chunks(2) {
            sum += u32::from(word[0]) | u32::from(word.get(1).copied().unwrap_or_default()) << 8;
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let sum = sum + self.0.len() as u32;
        self.put32_at(CHECKSUM, sum);
        self
    }

    fn check(&self) -> Result<ImageFile> {
        check(&self.0)
    }

    /// The error after a change.
    fn refused(change: impl FnOnce(&mut Self)) -> ImageError {
        let mut image = Self::new();
        change(&mut image);
        image.check().expect_err("the image should be refused")
    }
}

fn check(bytes: &[u8]) -> Result<ImageFile> {
    inspect(&Source::new(bytes, bytes.len() as u64), "__relib_")
}

#[test]
fn a_module_is_accepted_and_described() {
    for image in [Image::new(), Image::new().summed()] {
        let file = image.check().expect("the image is well-formed");
        assert_eq!(file.span, 0..u64::from(SIZE));
        assert_eq!(file.metadata.expect("there is metadata"), b"hello");
        let export = Export { name: "__relib_table".into(), vaddr: u64::from(TABLE), size: 0x1c0 };
        assert_eq!(file.exports, [export]);
        let slots: Vec<_> = file.import_slots.iter().collect();
        assert_eq!(slots, [(&b"TlsAlloc"[..], u64::from(SLOTS)), (b"TlsFree", u64::from(SLOTS) + 8)]);
        let template = TlsTemplate { vaddr: u64::from(TEMPLATE), filesz: 8, memsz: 32, align: 16 };
        assert_eq!(file.tls, Some(template));
    }
}

#[test]
fn every_cut_is_refused() {
    for image in [Image::new(), Image::new().summed()] {
        for len in 0..image.0.len() {
            let error = check(&image.0[..len]).expect_err("a part of an image");
            let expected = match len {
                0 => matches!(error, ImageError::Empty),
                _ => matches!(error, ImageError::Truncated { .. }),
            };
            assert!(expected, "cut at {len:#x}: {error}");
        }
    }
}

#[test]
fn every_changed_byte_is_refused_if_there_is_a_checksum() {
    let image = Image::new().summed();
    for place in 0..image.0.len() {
        let mut changed = image.0.clone();
        changed[place] ^= 0x41;
        // In the name of the section with the metadata, the image becomes one that is no module.
        let accepted = check(&changed).is_ok_and(|image| image.metadata.is_some());
        assert!(!accepted, "the byte at {place:#x}");
    }
}

/// SplitMix64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

#[test]
fn without_a_checksum_every_change_has_a_verdict_and_what_is_accepted_is_inside_the_image() {
    const EXTREMES: [u64; 8] = [0, 1, 0xff, 0xfff, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX];
    let original = Image::new().0;
    let mut random = Random(20_261_122);
    let mut refused = 0;
    const COUNT: usize = 50_000;
    for _ in 0..COUNT {
        let mut bytes = original.clone();
        for _ in 0..=random.below(3) {
            let place = random.below(bytes.len());
            let value = if random.below(2) == 0 { random.next() } else { EXTREMES[random.below(8)] };
            let len = [1, 2, 4, 8][random.below(4)].min(bytes.len() - place);
            bytes[place..place + len].copy_from_slice(&value.to_le_bytes()[..len]);
        }
        let Ok(file) = check(&bytes) else {
            refused += 1;
            continue;
        };
        let inside = |start: u64, size: u64| start >= HEADERS as u64 && start + size <= file.span.end;
        assert!(file.import_slots.iter().all(|(_, slot)| inside(slot, 8) && slot % 8 == 0));
        assert!(file.exports.iter().all(|export| inside(export.vaddr, export.size)));
        assert!(
            file.tls.is_none_or(|template| template.filesz == 0 || inside(template.vaddr, template.filesz))
        );
    }
    assert!(refused > COUNT / 10, "only {refused} of {COUNT} changes were refused");
}

#[test]
fn other_files_are_named() {
    let named = |bytes: &[u8]| check(bytes).expect_err("the file is refused").to_string();
    assert_eq!(named(b"[package]\n"), "the file is not a dynamic library but a text file");
    assert_eq!(
        named(b"\x7fELF\x02\x01\x01\0"),
        "the file is not a dynamic library but an ELF file, which is for Unix"
    );
    let machine = |number| Image::refused(|image| image.put16_at(NT + 4, number));
    assert!(matches!(machine(0x14c), ImageError::OtherMachine { .. }));
    assert!(matches!(machine(0xaa64), ImageError::OtherMachine { .. }));
    let class = Image::refused(|image| image.put16_at(OPTIONAL, 0x10b));
    assert!(matches!(class, ImageError::OtherClass { .. }), "{class}");
    let executable = Image::refused(|image| image.put16_at(NT + 22, 0x22));
    assert!(matches!(executable, ImageError::NotALibrary { .. }), "{executable}");
}

#[test]
fn what_cannot_be_undone_or_checked_is_unsupported() {
    let unsupported = |change: fn(&mut Image)| {
        let error = Image::refused(change);
        assert!(matches!(error, ImageError::Unsupported { .. }), "{error}");
    };
    unsupported(|image| image.put16_at(NT + 22, 0x2023));
    unsupported(|image| image.directory(5, 0, 0));
    unsupported(|image| image.directory(11, RDATA, 32));
    unsupported(|image| image.directory(13, RDATA, 32));
    unsupported(|image| image.directory(14, RDATA, 72));
    unsupported(|image| image.put32_at(SECTION_TABLE + 2 * 40 + 36, 0xd000_0040));
}

#[test]
fn damage_is_named_by_its_place() {
    let damaged = |what: &str, change: fn(&mut Image)| {
        let error = Image::refused(change);
        assert!(matches!(error, ImageError::Malformed { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error} does not name {what}");
    };
    damaged("the PE header", |image| image.put32_at(OPTIONAL + 16, DATA));
    damaged("the PE header", |image| image.put32_at(0x3c, 0x44));
    damaged("the PE header", |image| image.put32_at(OPTIONAL + 36, 0x1000_0000));
    damaged("the PE header", |image| image.put16_at(NT + 6, 0));
    damaged("the section table", |image| image.put32_at(SECTION_TABLE + 40 + 12, RDATA + 0x1000));
    damaged("the section table", |image| image.put32_at(SECTION_TABLE + 40 + 20, HEADERS as u32));
    damaged("the section table", |image| {
        image.put32_at(SECTION_TABLE + 2 * 40 + 16, 0);
        image.put32_at(SECTION_TABLE + 2 * 40 + 20, 0x100);
    });
    damaged("the export directory", |image| image.put32(EXPORTS + 20, 1 << 24));
    damaged("the export directory", |image| image.put32(EXPORTS + 0x40, SIZE));
    damaged("the export directory", |image| image.put32(EXPORTS + 0x40, EXPORTS + 8));
    damaged("the export directory", |image| image.bytes(EXPORTS + 0x48, &[1]));
    damaged("the import directory", |image| image.put32(IMPORTS + 12, SIZE));
    damaged("the import directory", |image| image.put32(IMPORTS + 16, SLOTS + 4));
    damaged("the import directory", |image| image.put64(LOOKUP, u64::from(SIZE)));
    damaged("the base relocations", |image| image.put32(RELOC + 4, 0x400));
    damaged("the base relocations", |image| image.put32(RELOC, RDATA + 1));
    damaged("the base relocations", |image| image.put16_at(Image::offset(RELOC + 8), 3 << 12));
    damaged("the thread-local directory", |image| image.put64(CALLBACKS, BASE + u64::from(DATA)));
    damaged("the thread-local directory", |image| image.put64(TLS + 16, BASE + u64::from(RDATA)));
    damaged("the thread-local directory", |image| image.put64(TLS + 8, BASE));
    damaged("the exception directory", |image| image.put32(FUNCTIONS + 4, TEXT));
}
