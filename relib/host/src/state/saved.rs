//! State that a module hands over as bytes, from one build of it to the next: what it is, and what becomes of it.
//!
//! Which functions of a module make the bytes and take them is the module's room.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::file::InterfaceDescription;
use crate::owned::PanicInfo;

/// The state of a module as bytes, with a description of its type. It does not depend on the module any more.
#[derive(Clone)]
pub struct SavedState {
    pub(crate) form: u64,
    pub(crate) bytes: Vec<u8>,
    /// Says what the type is, as that of a function which returns it.
    pub(crate) description: Arc<InterfaceDescription>,
}

impl SavedState {
    /// The bytes, in a format that is the modules' business.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The type, in words.
    pub fn description(&self) -> String {
        self.description.returned_in_words()
    }
}

impl fmt::Debug for SavedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedState")
            .field("type", &self.description())
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// How a module came by the state of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandOver {
    /// The old module had no state to hand over.
    Nothing,
    /// The state was taken over as it was.
    Restored {
        /// The size of the state in bytes.
        bytes: usize,
    },
    /// The new module made its state of the old one, which had another shape.
    Migrated {
        /// The size of the old state in bytes.
        bytes: usize,
    },
    /// The new module takes no state; that of the old one is lost.
    Dropped,
}

/// Why a module's state was not handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateError {
    /// A function of the module panicked.
    Panicked {
        /// `save_state`, `restore_state` or `migrate_state`.
        function: &'static str,
        /// The panic.
        panic: PanicInfo,
    },
    /// A function of the module refused.
    Refused {
        /// `save_state`, `restore_state` or `migrate_state`.
        function: &'static str,
        /// Why, in the module's words.
        reason: String,
    },
    /// The state has another type than the module restores, and the module does not migrate.
    Changed {
        /// The type that was saved, in words.
        old: String,
        /// The type that the module restores, in words.
        new: String,
        /// The first difference inside the types, if their names read alike.
        difference: Option<String>,
    },
    /// The module migrates state to another type than it restores.
    MigratesToOther {
        /// The type that it migrates to, in words.
        migrated: String,
        /// The type that it restores, in words.
        restored: String,
    },
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked { function, panic } => write!(f, "the module's {function} {panic}"),
            Self::Refused { function, reason } => write!(f, "the module's {function} refuses: {reason}"),
            Self::Changed { old, new, difference } => {
                write!(f, "the old module's state is `{old}`, the new one's `{new}`")?;
                if let Some(difference) = difference {
                    write!(f, ": {difference}")?;
                }
                write!(f, "; say how to migrate it by #[relib_module::migrate_state]")
            }
            Self::MigratesToOther { migrated, restored } => write!(
                f,
                "the module's migrate_state makes `{migrated}`, but its restore_state takes `{restored}`; let both be \
                 about the same type"
            ),
        }
    }
}

impl Error for StateError {}
