//! Output of all subcommands: styles, tables, failures and exit codes.

use anstyle::{AnsiColor, Style};
use std::fmt::{self, Display};
use std::process::ExitCode;

/// A heading.
pub(crate) const TITLE: Style = Style::new().bold();
/// Success.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// A failure.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Something that works, and could be better.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
/// A name.
pub(crate) const NAME: Style = AnsiColor::Cyan.on_default();

/// Formats a text in a style.
pub(crate) fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// The result of a subcommand: nothing, or a failure with its exit code.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

/// Prints the current step of the command to the standard error.
pub(crate) fn progress(verb: &str, what: impl Display) {
    anstream::eprintln!("{} {what}", paint(GOOD.bold(), format!("{verb:>12}")));
}

/// The failure of a subcommand.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The module, its configuration or an expectation failed a check.
    pub(crate) fn check(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// The command could not run.
    pub(crate) fn work(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into() }
    }

    /// Prints the message and returns the exit code.
    pub(crate) fn report(self) -> ExitCode {
        if !self.message.is_empty() {
            anstream::eprintln!("{} {}", paint(BAD, "error:"), self.message);
        }
        ExitCode::from(self.code)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::work(error.to_string())
    }
}

/// Formats a number of bytes with separated thousands, as in `16,917`.
pub(crate) fn grouped(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Prints a value as JSON.
pub(crate) fn json(value: &serde_json::Value) {
    println!("{value:#}");
}

/// Formats a value as YAML.
///
/// # Errors
/// Fails if the value cannot be written.
pub(crate) fn yaml(value: &serde_json::Value) -> Result<String> {
    serde_saphyr::to_string(value).map_err(|error| Failure::work(error.to_string()))
}

/// Writes a file.
///
/// # Errors
/// Fails with the path and the cause.
pub(crate) fn write(path: &std::path::Path, contents: impl AsRef<[u8]>) -> Result {
    std::fs::write(path, contents).map_err(|error| Failure::work(format!("{}: {error}", path.display())))
}

/// Writes a file that only its owner may read, unless it exists.
///
/// # Errors
/// Fails with the path and the cause.
pub(crate) fn write_private(path: &std::path::Path, contents: &str) -> Result {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| std::io::Write::write_all(&mut file, contents.as_bytes()));
    written.map_err(|error| Failure::work(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_separated() {
        assert_eq!([7_u64, 999, 1000, 16_917, 1_234_567].map(grouped), ["7", "999", "1,000", "16,917", "1,234,567"]);
    }
}
