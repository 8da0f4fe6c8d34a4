//! What outcomes are filed under: features are the rows of the support table, platforms its columns, and each outcome is of
//! a profile.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A row of the support table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// Calls from the host into the module and back.
    ExportsImports,
    /// Memory of the module is reclaimed.
    Memory,
    /// A panic stays inside the call.
    Panics,
    /// Destructors of thread-locals run.
    ThreadLocals,
    /// Threads of the module that still run are found before the unload.
    Threads,
    /// The image is really gone.
    Unload,
    /// What must not be loaded is refused.
    Load,
    /// A new build takes the place of the old one.
    Reload,
    /// Backtraces name the module's functions and leave nothing behind.
    Backtraces,
    /// Descriptors, mappings, keys, handlers that the module left.
    Ledger,
    /// Scenarios that test the harness; never in the matrix and never in the table.
    SelfTest,
}

impl Feature {
    /// The features of the support table, in its order.
    pub const ALL: [Feature; 10] = [
        Feature::ExportsImports,
        Feature::Memory,
        Feature::Panics,
        Feature::ThreadLocals,
        Feature::Threads,
        Feature::Unload,
        Feature::Load,
        Feature::Reload,
        Feature::Backtraces,
        Feature::Ledger,
    ];

    /// The stable name, as in `--filter` and in JSON.
    pub const fn id(self) -> &'static str {
        match self {
            Feature::ExportsImports => "exports-imports",
            Feature::Memory => "memory",
            Feature::Panics => "panics",
            Feature::ThreadLocals => "thread-locals",
            Feature::Threads => "threads",
            Feature::Unload => "unload",
            Feature::Load => "load",
            Feature::Reload => "reload",
            Feature::Backtraces => "backtraces",
            Feature::Ledger => "ledger",
            Feature::SelfTest => "self-test",
        }
    }

    /// The text of the row.
    pub const fn title(self) -> &'static str {
        match self {
            Feature::ExportsImports => "Imports and exports",
            Feature::Memory => "Memory deallocation",
            Feature::Panics => "Panic handling",
            Feature::ThreadLocals => "Thread-locals",
            Feature::Threads => "Background threads check",
            Feature::Unload => "Final unload check",
            Feature::Load => "Load checks",
            Feature::Reload => "Reload",
            Feature::Backtraces => "Backtraces",
            Feature::Ledger => "Leaked resources",
            Feature::SelfTest => "Self-tests of the harness",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// The cargo profile that fixtures and runner are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// `cargo build`
    Debug,
    /// `cargo build --release`
    Release,
}

impl Profile {
    /// Both profiles: what a scenario runs in unless it says otherwise.
    pub const ALL: &'static [Profile] = &[Profile::Debug, Profile::Release];

    /// The profile that this code was compiled in.
    pub const fn current() -> Profile {
        if cfg!(debug_assertions) { Profile::Debug } else { Profile::Release }
    }

    /// The name of the profile, which is also the name of its snapshot folder.
    pub const fn id(self) -> &'static str {
        match self {
            Profile::Debug => "debug",
            Profile::Release => "release",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// A column of the support table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Platform {
    /// `x86_64-unknown-linux-gnu`
    #[serde(rename = "linux-x86_64")]
    LinuxX86_64,
    /// `x86_64-pc-windows-gnu`
    #[serde(rename = "windows-x86_64")]
    WindowsX86_64,
}

impl Platform {
    /// Every platform of the table, in its order.
    pub const ALL: &'static [Platform] = &[Platform::LinuxX86_64, Platform::WindowsX86_64];

    /// The name of the snapshot folder.
    pub const fn id(self) -> &'static str {
        match self {
            Platform::LinuxX86_64 => "linux-x86_64",
            Platform::WindowsX86_64 => "windows-x86_64",
        }
    }

    /// The title of the column.
    pub const fn title(self) -> &'static str {
        match self {
            Platform::LinuxX86_64 => "Linux x86_64",
            Platform::WindowsX86_64 => "Windows x86_64",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serialised_names_are_the_ids() {
        for feature in Feature::ALL {
            assert_eq!(serde_json::to_value(feature).unwrap(), feature.id());
        }
        for platform in Platform::ALL {
            assert_eq!(serde_json::to_value(platform).unwrap(), platform.id());
        }
    }
}
