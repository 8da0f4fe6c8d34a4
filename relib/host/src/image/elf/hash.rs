//! The hash tables by which symbols are found (gABI, "Hash Table"; for the GNU table `_dl_setup_hash` and
//! `do_lookup_x` of glibc's `elf/dl-setup_hash.c` and `elf/dl-lookup.c`, which check nothing).

use object::LittleEndian as LE;
use object::U32;
use object::elf;
use object::read::ReadRef;

use super::sections::Sections;
use super::symbols::Symbols;
use crate::image::error::{Result, check, malformed};
use crate::image::source::Source;

const PART: &str = "the symbol hash table";

type Word = U32<LE>;

/// Checks whichever hash tables the file has.
pub(super) fn check<'data, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    sections: &Sections<'data>,
    symbols: &Symbols<'_>,
) -> Result<()> {
    if let Some(section) = sections.only(elf::SHT_GNU_HASH)? {
        check_gnu(section.table(source)?, symbols.len())?;
    }
    if let Some(section) = sections.only(elf::SHT_HASH)? {
        check_sysv(section.table(source)?, symbols.len())?;
    }
    Ok(())
}

/// Checks a GNU hash table: header, Bloom filter, buckets, and one chain word for each hashed symbol.
fn check_gnu(words: &[Word], symbols: usize) -> Result<()> {
    let [buckets, first, bloom_words, shift, rest @ ..] = words else {
        return Err(too_short());
    };
    let (buckets, first, bloom_words) = (size(buckets), size(first), size(bloom_words));
    check!(buckets > 0, PART, "it has no buckets");
    check!(bloom_words.is_power_of_two(), PART, "its Bloom filter has {bloom_words} words");
    check!(shift.get(LE) < 32, PART, "its Bloom shift is {}", shift.get(LE));
    // Words of the Bloom filter are 64 bits wide.
    let tables = rest.get(bloom_words.saturating_mul(2)..).ok_or_else(too_short)?;
    let (buckets, chains) = tables.split_at_checked(buckets).ok_or_else(too_short)?;
    let mut starts = buckets.iter().map(size).filter(|&start| start != 0).peekable();
    if starts.peek().is_none() {
        // Linkers that hash no symbol may leave the chains out.
        return Ok(());
    }
    let hashed = symbols.saturating_sub(first);
    check!(chains.len() == hashed, PART, "it has {} chain words for {hashed} symbols", chains.len());
    check!(starts.all(|start| (first..symbols).contains(&start)), PART, "a bucket leads outside the symbols");
    // The lowest bit ends a chain, so every chain ends if the last one does.
    let ends = chains.last().is_some_and(|word| word.get(LE) & 1 == 1);
    check!(ends, PART, "the last chain does not end");
    Ok(())
}

/// Checks a System V hash table: buckets, and a chain link for each symbol.
fn check_sysv(words: &[Word], symbols: usize) -> Result<()> {
    let [buckets, chains, rest @ ..] = words else {
        return Err(too_short());
    };
    let (buckets, chains) = (size(buckets), size(chains));
    check!(buckets > 0, PART, "it has no buckets");
    check!(chains == symbols, PART, "it has {chains} chain words for {symbols} symbols");
    let (buckets, chains) = rest.split_at_checked(buckets).ok_or_else(too_short)?;
    check!(chains.len() == symbols, PART, "it is longer or shorter than its parts");
    // A symbol is in one chain, so a walk over all chains that takes more steps goes round in circles.
    let mut steps = 0;
    for bucket in buckets {
        let mut index = size(bucket);
        while index != 0 {
            steps += 1;
            check!(steps <= symbols, PART, "a chain does not end");
            let next = chains.get(index);
            index = size(next.ok_or_else(|| malformed(PART, "a chain leads outside the symbols"))?);
        }
    }
    Ok(())
}

fn size(word: &Word) -> usize {
    usize::try_from(word.get(LE)).unwrap_or(usize::MAX)
}

fn too_short() -> crate::image::error::ImageError {
    malformed(PART, "it ends before its parts do")
}
