//! Texts in tables, which end with a zero byte.

/// What stands in front of the first zero byte, if there is one.
pub(super) fn until_zero(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(..memchr::memchr(0, bytes)?)
}
