//! Reads the payload of a record of metadata, by the form that `relib_abi::metadata` describes.
//!
//! Nothing here trusts the bytes: every length is checked, and what does not parse is reported as damaged. What the parts of
//! a payload mean, their readers know: `build`, `description` and `records`.

/// The metadata does not have the form that `relib_abi::metadata` describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged(pub(crate) &'static str);

pub(crate) type Parsed<T> = Result<T, Damaged>;

/// Reads the payloads of records.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    /// Makes sure that nothing is left.
    pub(super) fn finish(self) -> Parsed<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Damaged("a record holds more than its kind has")) }
    }

    /// Goes on behind `bytes`, if they are the ones that come next.
    pub(super) fn skip(&mut self, bytes: &[u8]) -> bool {
        let rest = self.0.strip_prefix(bytes);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(Damaged("a number is cut short"))?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(super) fn number32(&mut self) -> Parsed<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    pub(super) fn number64(&mut self) -> Parsed<u64> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    pub(super) fn text(&mut self) -> Parsed<String> {
        let len = self.number32()? as usize;
        let (text, rest) = self.0.split_at_checked(len).ok_or(Damaged("a text is longer than its record"))?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).map_err(|_| Damaged("a text is not UTF-8"))
    }

    /// Reads as many items as a number says, without trusting that there are so many.
    pub(super) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let count = self.number32()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }
}
