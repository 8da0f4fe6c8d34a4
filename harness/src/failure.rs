//! Why the body of a scenario ended early.

use std::fmt;

/// Why a body ended early: a message for the snapshot.
///
/// Made from any error by `?` (the chain of its sources becomes part of the message), from text by [`Failure::new`]
/// or [`fail!`](crate::fail).
/// Like `anyhow::Error` it does not implement [`std::error::Error`] itself, which is what makes the conversion from
/// every error possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    message: String,
}

impl Failure {
    /// A failure with this message.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { message: message.into() }
    }

    /// Puts `context` and a colon before the message.
    pub fn context(self, context: impl fmt::Display) -> Failure {
        Failure { message: format!("{context}: {}", self.message) }
    }

    /// The message, with the causes after it.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure { message: chain(&error) }
    }
}

/// An error and its sources on one line each: `message`, `caused by: message`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str("\ncaused by: ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Ends the body with a [`Failure`] whose message is formatted as by `format!`.
#[macro_export]
macro_rules! fail {
    ($($arg:tt)*) => {
        return ::core::result::Result::Err($crate::Failure::new(::std::format!($($arg)*)))
    };
}

/// Turns an absent value into a [`Failure`], for calls that return `None` when the module panicked.
pub trait OrFail<T> {
    /// The value, or a failure with this message.
    ///
    /// # Errors
    /// When there is no value.
    fn or_fail(self, message: &str) -> Result<T, Failure>;
}

impl<T> OrFail<T> for Option<T> {
    fn or_fail(self, message: &str) -> Result<T, Failure> {
        self.ok_or_else(|| Failure::new(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the answer is unusable")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_failure_carries_the_chain_of_sources() {
        fn body() -> Result<(), Failure> {
            "x".parse::<u32>().map_err(Outer)?;
            Ok(())
        }
        let failure = body().unwrap_err();
        assert_eq!(failure.message(), "the answer is unusable\ncaused by: invalid digit found in string");
        assert_eq!(
            failure.context("second call").message().lines().next(),
            Some("second call: the answer is unusable")
        );
    }

    #[test]
    fn a_failure_is_made_from_text_too() {
        fn body() -> Result<(), Failure> {
            fail!("{} is not {}", 1, 2)
        }
        assert_eq!(body().unwrap_err(), Failure::new("1 is not 2"));
        assert_eq!(None::<u8>.or_fail("greet panicked").unwrap_err(), Failure::new("greet panicked"));
    }
}
