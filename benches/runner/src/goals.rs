//! What relib has to reach, by comparison. Nothing is ever decided by them: the report shows them beside what came out.

/// The largest ratio that is good enough, and where it comes from.
pub fn goal(id: &str) -> Option<f64> {
    Some(match id {
        "load-in-place" | "load-in-place-first" => 1.5,
        "load-copy-500k" | "load-copy-500k-first" => 2.5,
        "unload" => 2.0,
        "call-u64" => 1.3,
        "call-text" => 2.0,
        "pairs" => 1.0,
        "shuffled" => 0.6,
        "threads" => 1.0,
        "unload-live" => 1.0 / 200.0,
        "reload" => 1.0 / 10.0,
        _ => return None,
    })
}
