//! Linux with glibc, on x86_64.

mod library;
mod link_map;
mod pending;
mod resources;
mod threads;

pub(crate) use library::{
    EARLY_MEMORY_ADVICE, Library, LoaderLock, OPENS_LIBRARIES, adapt_copy, library_path,
};
#[cfg(feature = "reload")]
pub(crate) use resources::is_open_for_writing;
pub(crate) use resources::{
    DescriptorIdentity, FileId, FileState, TELLS_OTHER_USERS, at_process_exit, close_descriptor,
    copy_contents, descriptor_target, handlers_inside, hold_in_place, is_private_directory,
    is_used_by_others, open_at_once, open_regular_file, page_size, private_directory, signal_name, unmap,
};
pub(crate) use threads::{
    call_at_stack_bottom, current_thread_id, delete_key, forget_thread_of_allocator, is_on_stack,
    take_key_value, thread_name,
};
