//! The one place that takes out of a text what differs between two runs: paths, addresses, process and thread
//! numbers, times, line numbers of the standard library and of dependencies.
//!
//! It must not know where a text comes from. What it recognises it recognises by form, except for the paths that it
//! is told.

use std::path::Path;

/// Replaces what varies by a name in angle brackets.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    /// Path and placeholder, longest path first.
    paths: Vec<(String, &'static str)>,
}

impl Redactor {
    /// A redactor that knows no paths yet.
    pub fn new() -> Redactor {
        Redactor::default()
    }

    /// Replaces this path, as given and as the file system resolves it.
    #[must_use]
    pub fn path(mut self, path: &Path, placeholder: &'static str) -> Redactor {
        let resolved = path.canonicalize().ok();
        for path in [Some(path), resolved.as_deref()].into_iter().flatten() {
            self.add(path.to_string_lossy().into_owned(), placeholder);
        }
        self
    }

    /// Replaces this path as a process under Wine shows it: on the drive of the root, in both ways to write that.
    #[must_use]
    pub fn wine_path(mut self, path: &Path, placeholder: &'static str) -> Redactor {
        let path = format!("Z:{}", path.to_string_lossy().replace('/', "\\"));
        self.add(format!(r"\\?\{path}"), placeholder);
        self.add(path, placeholder);
        self
    }

    fn add(&mut self, path: String, placeholder: &'static str) {
        if path.len() > 1 && !self.paths.iter().any(|(known, _)| *known == path) {
            self.paths.push((path, placeholder));
        }
        self.paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    }

    /// The text without what varies.
    pub fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (path, placeholder) in &self.paths {
            text = replace_path(&text, path, placeholder);
        }
        let text = staged_copies(&text);
        let text = random_names(&text);
        let text = library_sources(&text);
        let text = library_lines(&text);
        let text = addresses(&text);
        let text = numbered(&text);
        durations(&text)
    }
}

/// Replaces `path` where it ends at the end of a component, so that `/srv/repo` leaves `/srv/repo2` alone.
fn replace_path(text: &str, path: &str, placeholder: &str) -> String {
    rewrite(text, path, |_, rest| {
        let ends = !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-'));
        ends.then(|| Match { drop_before: 0, consumed: 0, text: placeholder.to_owned() })
    })
}

/// A staged copy lies in a directory of its own with a name of its own: `<temp>/relib-4711-x/libfoo.so`.
fn staged_copies(text: &str) -> String {
    ['/', '\\'].iter().fold(text.to_owned(), |text, separator| {
        rewrite(&text, &format!("<temp>{separator}"), |_, rest| {
            let path = &rest[..rest.find(is_path_end).unwrap_or(rest.len())];
            let directories = path.rfind(*separator)?;
            let staged = format!("<temp>{separator}<staged>");
            Some(Match { drop_before: 0, consumed: directories, text: staged })
        })
    })
}

/// Names that the `tempfile` crate makes up.
fn random_names(text: &str) -> String {
    rewrite(text, ".tmp", |_, rest| {
        let random = count(rest, |c| c.is_ascii_alphanumeric());
        (random == 6).then(|| Match { drop_before: 0, consumed: random, text: ".tmp<random>".to_owned() })
    })
}

/// Sources of the standard library and of registry crates lie at a different place on every machine.
fn library_sources(text: &str) -> String {
    let text = rewrite(text, "/rustc/", |_, rest| {
        let hash = count(rest, |c| c.is_ascii_hexdigit());
        let rest = &rest[hash..];
        (hash > 0 && rest.starts_with("/library/")).then(|| Match {
            drop_before: 0,
            consumed: hash + "/library/".len(),
            text: "<std>/".to_owned(),
        })
    });
    let text = rewrite(&text, "/lib/rustlib/src/rust/library/", |before, _| {
        Some(Match { drop_before: path_start(before), consumed: 0, text: "<std>/".to_owned() })
    });
    rewrite(&text, "/registry/src/", |before, rest| {
        let index = rest.find('/')?;
        Some(Match { drop_before: path_start(before), consumed: index + 1, text: "<registry>/".to_owned() })
    })
}

/// `<std>/core/src/option.rs:12:3` says what matters without the numbers, which change with every release.
fn library_lines(text: &str) -> String {
    let mut text = text.to_owned();
    for library in ["<std>/", "<registry>/"] {
        text = rewrite(&text, library, |_, rest| {
            let path = rest.find(".rs:").filter(|&end| !rest[..end].contains(is_path_end))? + ".rs".len();
            let mut consumed = path;
            for _ in 0..2 {
                let number = rest[consumed..].strip_prefix(':').map_or(0, |rest| count(rest, is_digit));
                if number > 0 {
                    consumed += 1 + number;
                }
            }
            Some(Match { drop_before: 0, consumed, text: format!("{library}{}:<line>", &rest[..path]) })
        });
    }
    text
}

/// Numbers of at least six hexadecimal digits are addresses; shorter ones are flags and offsets that matter.
fn addresses(text: &str) -> String {
    rewrite(text, "0x", |_, rest| {
        let digits = count(rest, |c| c.is_ascii_hexdigit());
        (digits >= 6).then(|| Match { drop_before: 0, consumed: digits, text: "0x<address>".to_owned() })
    })
}

/// Numbers that the system hands out, recognised by the text before them.
fn numbered(text: &str) -> String {
    const NUMBERED: [(&str, &str); 12] = [
        ("ThreadId(", "<id>"),
        ("' (", "<tid>"),
        ("` (", "<tid>"),
        ("/proc/", "<pid>"),
        ("/task/", "<tid>"),
        ("socket:[", "<inode>"),
        ("pipe:[", "<inode>"),
        ("pid ", "<pid>"),
        ("process ", "<pid>"),
        ("tid ", "<tid>"),
        ("thread id ", "<tid>"),
        ("thread ", "<tid>"),
    ];
    let mut text = text.to_owned();
    for (marker, placeholder) in NUMBERED {
        text = rewrite(&text, marker, |before, rest| {
            let word = marker.starts_with(char::is_alphabetic) && before.ends_with(char::is_alphanumeric);
            let digits = count(rest, is_digit);
            (digits > 0 && !word).then(|| Match {
                drop_before: 0,
                consumed: digits,
                text: format!("{marker}{placeholder}"),
            })
        });
    }
    text
}

/// Times as [`std::time::Duration`] prints them: `1.5ms`, `20s`.
fn durations(text: &str) -> String {
    const UNITS: [&str; 5] = ["ns", "µs", "us", "ms", "s"];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_digit) {
        let (before, number) = rest.split_at(start);
        out.push_str(before);
        let whole = count(number, is_digit);
        let fraction = number[whole..]
            .strip_prefix('.')
            .map_or(0, |f| count(f, is_digit))
            .checked_add(1)
            .filter(|&n| n > 1);
        let length = whole + fraction.unwrap_or(0);
        let after = &number[length..];
        let unit = UNITS.into_iter().find(|unit| {
            after
                .strip_prefix(unit)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        });
        let inside_word = out.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'));
        match unit {
            Some(unit) if !inside_word => {
                out.push_str("<time>");
                rest = &after[unit.len()..];
            }
            _ => {
                out.push_str(&number[..length]);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// What to do with an occurrence of a marker.
struct Match {
    /// Bytes before the marker that go as well.
    drop_before: usize,
    /// Bytes after the marker that go as well.
    consumed: usize,
    /// What takes their place.
    text: String,
}

/// Rewrites the occurrences of `marker` that `f` says something about; it gets the text before and after.
fn rewrite(text: &str, marker: &str, f: impl Fn(&str, &str) -> Option<Match>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(marker) {
        out.push_str(&rest[..at]);
        let after = &rest[at + marker.len()..];
        match f(&out, after) {
            Some(found) => {
                out.truncate(out.len() - found.drop_before);
                out.push_str(&found.text);
                rest = &after[found.consumed..];
            }
            None => {
                out.push_str(marker);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn count(text: &str, is: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is(c)).unwrap_or(text.len())
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn is_path_end(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '(' | ')' | ',' | ';')
}

/// How many bytes at the end of `before` belong to the path that goes on after it.
fn path_start(before: &str) -> usize {
    before.len() - before.rfind(is_path_end).map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(text: &str) -> String {
        Redactor::new()
            .path(Path::new("/srv/repo"), "<root>")
            .path(Path::new("/tmp/x/tmp"), "<temp>")
            .apply(text)
    }

    #[test]
    fn known_paths_get_their_name() {
        assert_eq!(redact("at /srv/repo/tests/a.rs:3"), "at <root>/tests/a.rs:3");
        assert_eq!(redact("at /srv/repo2/a.rs and /srv/repo"), "at /srv/repo2/a.rs and <root>");
    }

    #[test]
    fn staged_copies_have_no_directory_of_their_own() {
        assert_eq!(
            redact("cannot open `/tmp/x/tmp/relib-4711-ab/7/libfoo.so`"),
            "cannot open `<temp>/<staged>/libfoo.so`"
        );
        assert_eq!(redact("/tmp/x/tmp/libfoo.so"), "<temp>/libfoo.so");
        assert_eq!(redact("left .tmpAbC123"), "left .tmp<random>");
    }

    #[test]
    fn addresses_go_and_flags_stay() {
        assert_eq!(redact("at 0x7f12ab34cd56, flag 0x8, 0x12345"), "at 0x<address>, flag 0x8, 0x12345");
    }

    #[test]
    fn process_and_thread_numbers_go() {
        assert_eq!(redact("thread 'main' (4711) panicked"), "thread 'main' (<tid>) panicked");
        assert_eq!(redact("thread `pool` (4711); stop it"), "thread `pool` (<tid>); stop it");
        assert_eq!(redact("on thread 4711; stop it"), "on thread <tid>; stop it");
        assert_eq!(redact("ThreadId(12) of pid 17, rapid 17"), "ThreadId(<id>) of pid <pid>, rapid 17");
        assert_eq!(redact("/proc/17/task/18/comm"), "/proc/<pid>/task/<tid>/comm");
        assert_eq!(redact("socket:[123] pipe:[4]"), "socket:[<inode>] pipe:[<inode>]");
    }

    #[test]
    fn times_go() {
        assert_eq!(redact("took 1.5ms, then 20s (3µs)"), "took <time>, then <time> (<time>)");
        assert_eq!(redact("v1.2s3, x86_64, 3 s, 12 MB, 1.5"), "v1.2s3, x86_64, 3 s, 12 MB, 1.5");
    }

    #[test]
    fn library_sources_lose_place_and_line() {
        assert_eq!(
            redact("at /rustc/0123abcd/library/core/src/option.rs:12:3"),
            "at <std>/core/src/option.rs:<line>"
        );
        assert_eq!(
            redact("(/root/.rustup/toolchains/x/lib/rustlib/src/rust/library/std/src/rt.rs:7)"),
            "(<std>/std/src/rt.rs:<line>)"
        );
        assert_eq!(
            redact("/root/.cargo/registry/src/index.crates.io-1/nix-0.1/src/a.rs:7:8 b"),
            "<registry>/nix-0.1/src/a.rs:<line> b"
        );
    }

    #[test]
    fn ordinary_text_stays() {
        let text = "fingerprints differ: `fn a(u32) -> u64` here, 2 fields there\n  ünïcödé 10 \n";
        assert_eq!(redact(text), text);
    }
}
