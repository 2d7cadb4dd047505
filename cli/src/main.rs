//! The command `proxy-filter`: plays filters in the embedded host. `cargo demo` in this repository.

mod demo;
mod play;

use lexopt::prelude::*;
use play::{Result, Script};
use proxy_filter_host::{Colour, ModuleReport};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
Runs a filter in the embedded host, as Envoy would.

  proxy-filter demo [EXAMPLE]         builds an example and plays an exchange that shows what it does (default: http_headers)
  proxy-filter run MODULE.wasm        plays one exchange
  proxy-filter inspect MODULE.wasm    lists the size, the imports and the exports
  proxy-filter stats-tags NAME LABEL...  prints Envoy's stats_tags for a metric with labels

Options of demo and run:
  --config TEXT       the plugin's configuration
  --root-id ID        the plugin's root_id
  --method METHOD     the request's method (default: GET)
  --path PATH         the request's path
  --header 'N: V'     a request header; may be repeated
  --body TEXT         the request's body
  --http2             HTTP/2 instead of HTTP/1.1
  --status CODE       the upstream's status (default: 200)
  --reply-header 'N: V'  a header of the upstream's response; may be repeated
  --reply-body TEXT   the upstream's body
  --send TEXT         what a client sends on a TCP connection, instead of a request, to an upstream that echoes; may be repeated
  --colour WHEN       always, never or auto (default: auto)
";

/// Reads the arguments and does what they say.
fn run() -> Result<()> {
    let mut parser = lexopt::Parser::from_env();
    let mut words: Vec<String> = Vec::new();
    let mut script = Script::default();
    let mut changed = false;
    let mut colour = Colour::auto();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("colour" | "color") => colour = Colour::named(&parser.value()?.string()?)?,
            Long("config") => script.configuration = parser.value()?.string()?,
            Long("root-id") => script.root_id = parser.value()?.string()?,
            Long("method") => (script.method, changed) = (parser.value()?.string()?, true),
            Long("path") => (script.path, changed) = (parser.value()?.string()?, true),
            Long("header") => {
                script.headers.push(field(&parser.value()?.string()?)?);
                changed = true;
            }
            Long("body") => (script.body, changed) = (Some(parser.value()?.string()?), true),
            Long("http2") => (script.http2, changed) = (true, true),
            Long("status") => (script.reply_status, changed) = (parser.value()?.parse()?, true),
            Long("reply-header") => {
                script.reply_headers.push(field(&parser.value()?.string()?)?);
                changed = true;
            }
            Long("reply-body") => (script.reply_body, changed) = (parser.value()?.string()?, true),
            Long("send") => {
                script.sends.push(parser.value()?.string()?);
                changed = true;
            }
            Short('h') | Long("help") => {
                print!("{USAGE}");
                return Ok(());
            }
            Value(word) => words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["demo"] => demo::run("http_headers", changed.then_some(script), colour),
        ["demo", example] => demo::run(example, changed.then_some(script), colour),
        ["run", module] => play::run(&read(module)?, &script, colour),
        ["inspect", module] => {
            print!("{}", ModuleReport::read(&read(module)?)?);
            Ok(())
        }
        ["stats-tags", name, labels @ ..] if !labels.is_empty() => {
            for tag in proxy_filter::metric::stats_tags(name, labels) {
                print!("{tag}");
            }
            Ok(())
        }
        _ => Err(format!("expected a subcommand\n\n{USAGE}").into()),
    }
}

fn read(path: &str) -> Result<Vec<u8>> {
    std::fs::read(PathBuf::from(path)).map_err(|error| format!("{path}: {error}").into())
}

fn field(text: &str) -> Result<(String, String)> {
    let (name, value) =
        text.split_once(':').ok_or_else(|| format!("a header is written 'name: value', not '{text}'"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// How the `--colour` option is read.
trait Choose: Sized {
    fn auto() -> Self;
    fn named(name: &str) -> Result<Self>;
}

impl Choose for Colour {
    fn auto() -> Self {
        let wanted =
            std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if wanted { Self::Always } else { Self::Never }
    }

    fn named(name: &str) -> Result<Self> {
        match name {
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            "auto" => Ok(Self::auto()),
            other => Err(format!("--colour is always, never or auto, not '{other}'").into()),
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxy-filter: {error}");
            ExitCode::FAILURE
        }
    }
}
