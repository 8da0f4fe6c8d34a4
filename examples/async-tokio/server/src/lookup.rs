//! What handlers look up: an import that is async on the side of the server.

use interface::Server;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// A look-up of tea has begun.
pub static TEA_BEGUN: Semaphore = Semaphore::const_new(0);

/// A look-up of tea may end.
pub static TEA_DONE: Semaphore = Semaphore::const_new(0);

#[relib::implement]
impl Server for ModuleServerImpl {
    fn look_up(key: &str) -> String {
        // The handler was called on a thread for blocking work, which may wait for async work.
        Handle::current().block_on(find(key))
    }
}

/// Finds a price; that of tea takes until somebody lets it.
async fn find(key: &str) -> String {
    if key == "tea" {
        TEA_BEGUN.add_permits(1);
        TEA_DONE.acquire().await.expect("nobody closes the semaphore").forget();
    }
    format!("{} cents", 100 + 10 * key.len())
}
