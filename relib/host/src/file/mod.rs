//! What a file says, before anything of it runs.

pub(crate) mod description;
pub(crate) mod error;
pub(crate) mod inspect;
pub(crate) mod known;
