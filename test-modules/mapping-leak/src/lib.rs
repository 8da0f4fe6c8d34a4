//! Leaves memory mapped, as a whole.

use fixture_interface::ledger::Reservations;

#[relib_module::export]
impl Reservations for ReservationsImpl {
    fn map(bytes: usize) -> usize {
        let address = fixture_system::map(bytes);
        // SAFETY: the memory is new, and as long as that.
        unsafe { address.write_bytes(1, bytes) };
        address.expose_provenance()
    }

    fn unmap(address: usize, bytes: usize) {
        // SAFETY: the host passes what `map` has returned, and nothing refers to it.
        unsafe { fixture_system::unmap(std::ptr::with_exposed_provenance_mut(address), bytes) };
    }
}
