//! The redirects of a module: which imports of its image lead to which shims. How one is redirected is the platform's.

use std::sync::atomic::AtomicPtr;

use relib_abi::entry::Redirects;

use crate::image::ImageFile;
use crate::platform::Redirect;

/// The shims of a module, as its table shows them.
pub(crate) struct Shims<'a> {
    names: &'a [u8],
    shims: &'a [*const ()],
    originals: &'a [AtomicPtr<()>],
    /// How many of them are wanted, from the first on.
    wanted: usize,
}

impl<'a> Shims<'a> {
    /// # Safety
    /// The table must be that of a module, whose image must stay mapped for `'a`.
    pub(crate) unsafe fn new(redirects: &'a Redirects, with_c_allocations: bool) -> Self {
        // SAFETY: a module's table describes constants of its image, and has an original for each shim.
        let (names, shims, originals) = unsafe {
            let shims = redirects.shims.as_slice();
            (redirects.names.as_slice(), shims, std::slice::from_raw_parts(redirects.originals, shims.len()))
        };
        let wanted = if with_c_allocations { shims.len() } else { redirects.always.min(shims.len()) };
        Self { names, shims, originals, wanted }
    }

    /// What is to be redirected in the image of the module, whose file is `image`. It is looked up here, and not when the
    /// result is asked for its items, which is while the slots can be written.
    pub(crate) fn of<'b>(&self, image: &'b ImageFile) -> impl Iterator<Item = Redirect<'a>> + use<'a, 'b> {
        let Self { names, shims, originals, wanted } = *self;
        let found = image.import_slots.found(|| {
            let numbers = Numbers::new(names);
            move |name: &[u8]| numbers.get(name)
        });
        let wanted = found.iter().filter(move |(number, _)| *number < wanted);
        wanted.map(|(number, slot)| Redirect {
            slot: *slot,
            shim: shims[*number],
            original: &originals[*number],
        })
    }
}

/// The numbers of names in their order.
///
/// A load looks some dozens of names up in some dozens, once, and finds most of them in an empty list: the hash is a simple
/// one, and there are several lists for each name.
struct Numbers<'a> {
    all: Vec<Entry<'a>>,
    /// For each hash, the last name that has it.
    last: [Option<u16>; LISTS],
}

struct Entry<'a> {
    name: &'a [u8],
    /// The next one to look at.
    before: Option<u16>,
}

const LISTS: usize = 256;

impl<'a> Numbers<'a> {
    /// Of names that have a zero byte behind them.
    fn new(names: &'a [u8]) -> Self {
        const USUAL: usize = 64;
        let (mut all, mut last) = (Vec::with_capacity(USUAL), [None; LISTS]);
        let names = names.strip_suffix(&[0]).unwrap_or(names);
        for (number, name) in (0..).zip(names.split(|byte| *byte == 0)) {
            let before = last[list_of(name)].replace(number);
            all.push(Entry { name, before });
        }
        Self { all, last }
    }

    fn get(&self, name: &[u8]) -> Option<usize> {
        let mut next = self.last[list_of(name)].map(usize::from);
        while let Some(number) = next {
            let entry = &self.all[number];
            if entry.name == name {
                return Some(number);
            }
            next = entry.before.map(usize::from);
        }
        None
    }
}

/// A hash of the length and of three bytes that names differ in.
fn list_of(name: &[u8]) -> usize {
    let byte =
        |index: Option<usize>| usize::from(index.and_then(|index| name.get(index)).copied().unwrap_or(0));
    let last = name.len().checked_sub(1);
    (name.len() + 31 * byte(Some(0)) + 7 * byte(Some(name.len() / 2)) + 3 * byte(last)) % LISTS
}

#[cfg(test)]
mod tests {
    use std::ptr::without_provenance;
    use std::sync::atomic::AtomicPtr;

    use relib_abi::call::RawSlice;

    use super::*;

    #[test]
    fn imports_lead_to_the_shims_of_their_names() {
        let names = "open\0open64\0close\0malloc\0free\0";
        let shims = [1, 2, 3, 4, 5].map(without_provenance::<()>);
        let originals: [AtomicPtr<()>; 5] = Default::default();
        let redirects = Redirects {
            names: RawSlice::new(names.as_bytes()),
            shims: RawSlice::new(&shims),
            originals: originals.as_ptr(),
            always: 3,
        };
        let mut image = ImageFile::default();
        for (name, slot) in [("free", 0x10), ("read", 0x20), ("open64", 0x30), ("ope", 0x40), ("", 0x50)] {
            image.import_slots.push(name.as_bytes(), slot);
        }
        let found = |with_c_allocations| {
            // SAFETY: the table describes slices of this function.
            let shims = unsafe { Shims::new(&redirects, with_c_allocations) };
            let found = shims.of(&image).map(|redirect| {
                let original =
                    originals.iter().position(|original| std::ptr::eq(original, redirect.original));
                (redirect.slot, redirect.shim.addr(), original)
            });
            found.collect::<Vec<_>>()
        };
        // What was found the first time is all that there is, whatever was wanted then.
        assert_eq!(found(false), [(0x30, 2, Some(1))]);
        assert_eq!(found(true), [(0x10, 5, Some(4)), (0x30, 2, Some(1))]);
    }
}
