//! What the server and its handlers call of each other. None of it is async: calls across the boundary are plain calls.

use relib_interface::interface;

/// A handler of requests.
#[interface]
pub trait Handler {
    /// Answers a request; each is one line.
    fn handle(request: &str) -> String;
}

/// What the server offers to handlers.
#[interface(imports)]
pub trait Server {
    /// Looks something up, which may take long; blocks for that time.
    fn look_up(key: &str) -> String;
}
