//! The redirects of a module, looked up by the name of an import. What a redirect does is the platform's.

use relib_abi::entry::Redirect;

/// Redirects by their names.
///
/// A load looks some dozens of names up in some dozens, once, and finds most of them in an empty list: the hash is a simple
/// one, and there are several lists for each redirect.
pub(crate) struct ByName<'a> {
    all: Vec<Entry<'a>>,
    /// For each hash, the last redirect that has it.
    last: [Option<u16>; LISTS],
}

struct Entry<'a> {
    name: &'a [u8],
    redirect: &'a Redirect,
    /// The next one to look at.
    before: Option<u16>,
}

const LISTS: usize = 256;

impl<'a> ByName<'a> {
    pub(crate) fn new(redirects: impl Iterator<Item = &'a Redirect>) -> Self {
        const USUAL: usize = 64;
        let (mut all, mut last) = (Vec::with_capacity(USUAL), [None; LISTS]);
        for (number, redirect) in (0..).zip(redirects) {
            // SAFETY: the module's table describes its names by slices that are constants of its image.
            let name = unsafe { redirect.name.as_slice() };
            let before = last[list_of(name)].replace(number);
            all.push(Entry { name, redirect, before });
        }
        Self { all, last }
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<&'a Redirect> {
        let mut next = self.last[list_of(name)];
        while let Some(entry) = next.map(|index| &self.all[usize::from(index)]) {
            if entry.name == name {
                return Some(entry.redirect);
            }
            next = entry.before;
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
