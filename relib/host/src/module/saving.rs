//! A module's own functions that save its state, and take it over from another build.

use std::sync::Arc;

use relib_abi::call::FunctionEntry;
use relib_interface::crossing::Argument;
use relib_interface::interface::ExportsHandle;
use relib_interface::saved::{Answer, MigrateThunk, RestoreThunk, Saved};

use super::Module;
use crate::file::state_difference;
use crate::state::{HandOver, SavedState, StateError};

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
                difference: state_difference(&state.description, &restore.description),
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
