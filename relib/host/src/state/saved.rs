//! State that a module hands over as bytes, from one build of it to the next.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use relib_abi::call::FunctionEntry;
use relib_interface::crossing::Argument;
use relib_interface::interface::ExportsHandle;
use relib_interface::saved::{Answer, MigrateThunk, RestoreThunk, Saved};

use crate::file::description::{self, InterfaceDescription};
use crate::module::{Module, NamedFunction};
use crate::owned::panics::PanicInfo;

/// The functions by which a module hands its state over.
#[derive(Debug, Default)]
pub(crate) struct Saving {
    pub(crate) save: Option<NamedFunction>,
    pub(crate) restore: Option<NamedFunction>,
    pub(crate) migrate: Option<NamedFunction>,
}

/// The state of a module as bytes, with a description of its type. It does not depend on the module any more.
#[derive(Clone)]
pub struct SavedState {
    form: u64,
    bytes: Vec<u8>,
    description: Arc<InterfaceDescription>,
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

const SAVE: &str = "save_state";
const RESTORE: &str = "restore_state";
const MIGRATE: &str = "migrate_state";

impl<E: ExportsHandle> Module<E> {
    /// Has the module save its state by the function that is marked `#[relib_module::save_state]`; `None` if there is
    /// none. The module can be used as before.
    ///
    /// # Errors
    /// If the function panics, or its value cannot be serialized.
    pub fn save_state(&self) -> Result<Option<SavedState>, StateError> {
        let Some(save) = &self.parts.saving.save else { return Ok(None) };
        // SAFETY: the entry has this type by its symbol and the version of the contract.
        let answer = unsafe { self.call::<Answer<Saved>>(save.entry) };
        let (form, bytes) = self.answered(SAVE, answer)?;
        Ok(Some(SavedState { form, bytes, description: Arc::clone(&save.description) }))
    }

    /// Has the module take state over by the function that is marked `#[relib_module::restore_state]`, after
    /// `#[relib_module::migrate_state]` if the state has another type.
    ///
    /// # Errors
    /// If the types differ and the module does not migrate, or if one of the functions panics or refuses.
    pub fn restore_state(&self, state: &SavedState) -> Result<HandOver, StateError> {
        let saving = &self.parts.saving;
        let Some(restore) = &saving.restore else { return Ok(HandOver::Dropped) };
        let bytes = state.bytes.len();
        if state.description.returned() == restore.description.returned() {
            self.restore(restore.entry, &state.bytes)?;
            return Ok(HandOver::Restored { bytes });
        }
        let Some(migrate) = &saving.migrate else {
            return Err(StateError::Changed {
                old: state.description(),
                new: restore.description.returned_in_words(),
                difference: description::state_difference(&state.description, &restore.description),
            });
        };
        if migrate.description.returned() != restore.description.returned() {
            return Err(StateError::MigratesToOther {
                migrated: migrate.description.returned_in_words(),
                restored: restore.description.returned_in_words(),
            });
        }
        let migrated = self.migrate(migrate.entry, state)?;
        self.restore(restore.entry, &migrated)?;
        Ok(HandOver::Migrated { bytes })
    }

    fn restore(&self, entry: FunctionEntry, mut bytes: &[u8]) -> Result<(), StateError> {
        // SAFETY: the entry has this type by its symbol and the version of the contract; the bytes stay in place.
        let answer = unsafe {
            let thunk = std::mem::transmute::<*const (), RestoreThunk>(entry.call);
            self.receive::<Answer<()>>(thunk(Argument::lend(&mut bytes)), entry)
        };
        self.answered(RESTORE, answer)
    }

    fn migrate(&self, entry: FunctionEntry, state: &SavedState) -> Result<Vec<u8>, StateError> {
        let description = state.description();
        let (mut description, mut bytes) = (description.as_str(), state.bytes.as_slice());
        // SAFETY: as in `restore`, for the text too.
        let answer = unsafe {
            let thunk = std::mem::transmute::<*const (), MigrateThunk>(entry.call);
            let outcome = thunk(state.form, Argument::lend(&mut description), Argument::lend(&mut bytes));
            self.receive::<Answer<Vec<u8>>>(outcome, entry)
        };
        self.answered(MIGRATE, answer)
    }

    fn answered<T>(&self, function: &'static str, answer: Option<Answer<T>>) -> Result<T, StateError> {
        match answer {
            Some(Ok(value)) => Ok(value),
            Some(Err(reason)) => Err(StateError::Refused { function, reason }),
            None => {
                let panic = self.last_panic().expect("a call that returns nothing has left a report");
                Err(StateError::Panicked { function, panic })
            }
        }
    }
}
