//! The redirects of a module, looked up by the name of an import. What a redirect does is the platform's.

use relib_abi::entry::Redirect;

/// Redirects by their names.
///
/// A load looks some dozens of names up in some dozens, once: what hashes or sorts them costs more than it gains over
/// lists of the names of each length.
pub(crate) struct ByName<'a> {
    all: Vec<Entry<'a>>,
    /// For each length, with the longest ones together, the last redirect of that length.
    last: [Option<usize>; LENGTHS],
}

struct Entry<'a> {
    name: &'a [u8],
    redirect: &'a Redirect,
    /// The next one to look at.
    before: Option<usize>,
}

const LENGTHS: usize = 32;

impl<'a> ByName<'a> {
    pub(crate) fn new(redirects: impl Iterator<Item = &'a Redirect>) -> Self {
        const USUAL: usize = 64;
        let (mut all, mut last) = (Vec::with_capacity(USUAL), [None; LENGTHS]);
        for redirect in redirects {
            // SAFETY: the module's table describes its names by slices that are constants of its image.
            let name = unsafe { redirect.name.as_slice() };
            let before = last[list_of(name)].replace(all.len());
            all.push(Entry { name, redirect, before });
        }
        Self { all, last }
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<&'a Redirect> {
        let mut next = self.last[list_of(name)];
        while let Some(entry) = next.map(|index| &self.all[index]) {
            if entry.name == name {
                return Some(entry.redirect);
            }
            next = entry.before;
        }
        None
    }
}

fn list_of(name: &[u8]) -> usize {
    name.len().min(LENGTHS - 1)
}
