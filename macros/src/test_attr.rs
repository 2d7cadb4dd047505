//! `#[proxy_filter_host::test]`.

use crate::args::{self, Argument};
use crate::cursor::Cursor;
use crate::error::{Error, Faults, Result};
use crate::impl_block::{self, Function};
use crate::literal::StringLiteral;
use crate::path::Path;
use crate::quote::quote;
use proc_macro::{Ident, Span, TokenStream, TokenTree};
use std::env;

const USAGE: &str = "expected `#[proxy_filter_host::test]`, `#[proxy_filter_host::test(module = some::path)]` or \
                     `#[proxy_filter_host::test(guest = \"name\")]`, and `embedded` for a test that does not run in Envoy";
const ENVOY: &str = "#[test] #should_panic
    #[ignore = \"needs a real Envoy: ENVOY=/path/to/envoy cargo test -- --include-ignored\"]
    fn envoy() { run::envoy(&super::#SUBJECT, super::#name) }";
const EXPECTED: &str = "expected a test: `fn name(mut host: Host) { … }`";

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut faults = Faults::default();
    let mut arguments = args::parse(arguments, &["module", "guest"], &["embedded"], USAGE, &mut faults);
    let embedded = arguments.iter().position(|argument| argument.name == "embedded").map(|at| arguments.remove(at));
    let subject = Subject::parse(&arguments, &mut faults);
    let test = faults.take(Test::parse(item.clone()));
    match (subject, test) {
        (Some(subject), Some(test)) if faults.is_empty() => test.expand(&subject, embedded.is_none()),
        _ => {
            // The function is not a test, and should not be reported as unused.
            let mut output = quote("#[allow(dead_code)]", &[]);
            output.extend(item);
            output.extend(faults.into_tokens());
            output
        }
    }
}

/// The filter under test.
enum Subject {
    /// The filter whose `__proxy_filter` is in this module.
    Module(TokenStream),
    /// A wasm module by name, and its native code if it is also a module of the test.
    Guest(TokenTree, Option<TokenStream>),
}

impl Subject {
    fn parse(arguments: &[Argument], faults: &mut Faults) -> Option<Self> {
        match arguments {
            _ if !faults.is_empty() => None,
            [] => faults.take(Self::of_this_package()),
            arguments => {
                let value = |name| arguments.iter().find(|argument| argument.name == name).map(|found| &*found.value);
                let module = |value| {
                    let path = Path::parse(value).ok_or_else(|| Error::at(value, "expected the path of a module"));
                    path.map(|path| path.stream())
                };
                let module = faults.take(value("module").map(module).transpose())?;
                let guest = |value| StringLiteral::parse(value, "the name of a guest as a string literal");
                match faults.take(value("guest").map(guest).transpose())? {
                    Some(guest) => Some(Self::Guest(guest.token, module)),
                    None => module.map(Self::Module),
                }
            }
        }
    }

    /// Returns the filter in the library of the package that cargo builds a test of.
    fn of_this_package() -> Result<Self> {
        let package = env::var("CARGO_PKG_NAME").map_err(|_| {
            Error::new(
                Span::call_site(),
                "not built by cargo, so the filter has to be named: `test(module = some::path)`",
            )
        })?;
        let library = package.replace('-', "_");
        // An integration test and a binary may have the library's name without being the library.
        let other_target = ["CARGO_TARGET_TMPDIR", "CARGO_BIN_NAME"].iter().any(|name| env::var_os(name).is_some());
        let is_library = !other_target && env::var("CARGO_CRATE_NAME").is_ok_and(|name| name == library);
        let path = if is_library { "crate".to_owned() } else { format!("::{library}") };
        Ok(Self::Module(quote(&path, &[])))
    }

    fn tokens(&self) -> TokenStream {
        let some = |template, value: &TokenStream| quote(template, &[("value", value.clone())]);
        let none = || quote("::core::option::Option::None", &[]);
        let native = |path| some("::core::option::Option::Some(#value::__proxy_filter::module)", path);
        let (guest, module) = match self {
            Self::Module(path) => (none(), native(path)),
            Self::Guest(name, path) => (
                some("::core::option::Option::Some(#value)", &name.clone().into()),
                path.as_ref().map_or_else(none, native),
            ),
        };
        quote(
            "::proxy_filter_host::Subject {
                package: ::core::env!(\"CARGO_PKG_NAME\"),
                manifest_dir: ::core::env!(\"CARGO_MANIFEST_DIR\"),
                guest: #guest,
                module: #module,
            }",
            &[("guest", guest), ("module", module)],
        )
    }
}

/// A test function.
struct Test {
    name: Ident,
    /// Its attributes, without those for the generated tests.
    function: TokenStream,
    should_panic: TokenStream,
    ignore: TokenStream,
}

impl Test {
    fn parse(item: TokenStream) -> Result<Self> {
        let mut cursor = Cursor::new(item, Span::call_site());
        let attributes = cursor.attributes();
        let rest = cursor.mark();
        impl_block::visibility(&mut cursor);
        let qualifiers = impl_block::qualifiers(&mut cursor);
        let function = Function::parse(&mut cursor, qualifiers).ok_or_else(|| Error::new(cursor.span(), EXPECTED))?;
        let wrong = |tokens: &[TokenTree], what: &str| Err(Error::at(tokens, format!("{what}\n{EXPECTED}")));
        if let [first, ..] = function.qualifiers.as_slice() {
            return wrong(&function.qualifiers, &format!("a test cannot be `{first}`"));
        }
        if !function.generics.is_empty() {
            return wrong(&function.generics, "a test cannot be generic");
        }
        if function.parameters().len() != 1 {
            return wrong(
                &[function.parameters.clone().into()],
                "a test takes one argument: the host that runs its filter",
            );
        }
        if !function.output.is_empty() {
            return wrong(&function.output, "a test returns nothing: unwrap results instead");
        }
        cursor.rest();
        let only = |name: &str| -> TokenStream {
            attributes.iter().filter(|attribute| attribute.is(name)).flat_map(|found| found.tokens.clone()).collect()
        };
        let kept = attributes.iter().filter(|attribute| !attribute.is("should_panic") && !attribute.is("ignore"));
        let function_tokens =
            kept.flat_map(|attribute| attribute.tokens.clone()).chain(cursor.taken_since(rest)).collect();
        Ok(Self {
            name: function.name,
            function: function_tokens,
            should_panic: only("should_panic"),
            ignore: only("ignore"),
        })
    }

    fn expand(self, subject: &Subject, in_envoy: bool) -> TokenStream {
        let native = match subject {
            Subject::Module(_) | Subject::Guest(_, Some(_)) => {
                "#[test] #ignore #should_panic
                    fn native() { run::native(&super::#SUBJECT, super::#name) }"
            }
            Subject::Guest(_, None) => "",
        };
        let text = self.name.to_string();
        let constant = format!("__SUBJECT_OF_{}", text.trim_start_matches("r#").to_uppercase());
        quote(
            // The path of the filter is outside of the generated module, so that `module = …` is
            // resolved as the author wrote it.
            &format!(
                "#[cfg(test)]
                #function
                #[cfg(test)]
                const {constant}: ::proxy_filter_host::Subject = #subject;
                #[cfg(test)]
                mod #name {{
                    use ::proxy_filter_host::__private as run;
                    {}
                    #[test] #ignore #should_panic
                    fn wasm() {{ run::wasm(&super::{constant}, super::#name) }}
                    {}
                }}",
                native.replace("#SUBJECT", &constant),
                if in_envoy { ENVOY.replace("#SUBJECT", &constant) } else { String::new() },
            ),
            &[
                ("function", self.function),
                ("subject", subject.tokens()),
                ("name", TokenTree::from(self.name).into()),
                ("ignore", self.ignore),
                ("should_panic", self.should_panic),
            ],
        )
    }
}
