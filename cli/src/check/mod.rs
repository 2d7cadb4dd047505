//! `check`: in which hosts a module loads, what its bytes and its memory are spent on, and whether
//! it accepts its configuration.

mod anatomy;
mod hosts;
mod settings;

use crate::host_argument::host_names;
use crate::module::{ModuleArgument, PluginArguments};
use crate::output::{self, BAD, Failure, GOOD, NAME, Result, TITLE, WARN, grouped, paint};
use crate::validate;
use anatomy::Anatomy;
use clap::Args;
use hosts::Verdict;
use proxy_filter_host::{HostProfile, ModuleReport};
use serde_json::{Value, json};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  proxy-filter check guard.wasm
  proxy-filter check guard.wasm --config plugin.json
  proxy-filter check --crates                  # build the package here with names: size by crate
  proxy-filter check guard.wasm --host nginx   # fail if nginx does not load it
  proxy-filter check guard.wasm --json | jq .hosts

The exit code is 1 if an Envoy, or a host that --host names, does not load the module, or if the
module refuses the configuration. Advice does not change the exit code.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    module: ModuleArgument,
    #[command(flatten)]
    plugin: PluginArguments,
    /// Check for this host only, and fail if it does not load the module; may be repeated.
    #[arg(long, value_name = "HOST", value_parser = host_names())]
    host: Vec<String>,
    /// Build the package again with the names of its functions, and list the size of each crate.
    #[arg(long)]
    crates: bool,
}

/// All that is known about a module.
struct Findings {
    report: ModuleReport,
    anatomy: Anatomy,
    hosts: Vec<Verdict>,
    /// What would make the module better: what is the matter, and what to do.
    advice: Vec<[String; 2]>,
    configuration: Option<validate::Verdict>,
}

/// Checks the module and prints the findings.
pub(crate) fn run(arguments: &Arguments, json: bool) -> Result {
    let module = arguments.module.load()?;
    let report = ModuleReport::read(&module.bytes).map_err(Failure::check)?;
    let mut anatomy = Anatomy::read(&module.bytes).map_err(Failure::check)?;
    let mut advice = settings::of_module(&anatomy);
    if let Some(package) = arguments.module.package() {
        advice.extend(settings::of_package(package)?);
    }
    if arguments.crates {
        let named = arguments.module.load_with_names()?;
        let named = Anatomy::read(&named.bytes).map_err(Failure::check)?;
        (anatomy.crates, anatomy.callers) = (named.crates, named.callers);
    }
    let chosen = |id: &str| arguments.host.is_empty() || arguments.host.iter().any(|host| host == id);
    let profiles: Vec<_> = HostProfile::ALL.into_iter().filter(|profile| chosen(profile.id())).collect();
    let hosts: Vec<_> = profiles.iter().map(|profile| hosts::judge(*profile, &report)).collect();
    let decisive =
        |index: usize| !arguments.host.is_empty() || profiles.get(index).is_some_and(|profile| profile.is_envoy());
    let refused = hosts.iter().enumerate().any(|(index, verdict)| !verdict.loads && decisive(index));
    let configuration = match arguments.plugin.read()? {
        Some(configuration) if report.refusal.is_none() => {
            Some(validate::start(&module, &arguments.plugin.root_id, &configuration))
        }
        _ => None,
    };
    let refused_configuration = configuration.as_ref().is_some_and(|verdict| verdict.refused.is_some());
    let findings = Findings { report, anatomy, hosts, advice, configuration };
    if json {
        output::json(&findings.json(&module.path.display().to_string()));
    } else {
        findings.print(&module.name());
    }
    if refused || refused_configuration { Err(Failure::check("")) } else { Ok(()) }
}

impl Findings {
    fn json(&self, path: &str) -> Value {
        let Self { report, anatomy, hosts, advice, configuration } = self;
        let sized = |sizes: &[(String, u64)]| {
            sizes.iter().map(|(name, bytes)| json!({ "name": name, "bytes": bytes })).collect::<Vec<_>>()
        };
        let sections: Vec<_> = anatomy.sections.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect();
        let foreign = report.foreign.iter().map(|foreign| {
            let callers = anatomy.callers.get(&foreign.name);
            json!({ "name": foreign.name, "cause": foreign.cause, "remedy": foreign.remedy, "called_by": callers })
        });
        let advice = advice.iter().map(|[what, remedy]| json!({ "what": what, "remedy": remedy }));
        json!({
            "module": path,
            "size": report.size,
            "abi": report.abi,
            "made_by": anatomy.made_by,
            "imports": report.imports,
            "exports": report.exports,
            "refusal": report.refusal,
            "foreign_imports": foreign.collect::<Vec<_>>(),
            "hosts": hosts,
            "sections": sized(&sections),
            "crates": sized(&anatomy.crates),
            "memory": { "pages": anatomy.pages, "most_pages": anatomy.most_pages, "stack": anatomy.stack },
            "advice": advice.collect::<Vec<_>>(),
            "configuration": configuration.as_ref().map(validate::Verdict::json),
        })
    }

    fn print(&self, name: &str) {
        let Self { report, anatomy, hosts, advice, configuration } = self;
        let abi = report.abi.as_ref().map_or_else(|| "no ABI".to_owned(), |abi| format!("ABI {abi}"));
        let makers = anatomy.made_by.join(", ");
        let made_by = if makers.is_empty() { makers } else { format!(", {makers}") };
        anstream::println!("{}: {} bytes, {abi}{made_by}", paint(TITLE, name), grouped(report.size as u64));
        title("Hosts");
        for group in grouped_hosts(hosts) {
            print_host(&group);
        }
        if !report.foreign.is_empty() {
            title("Foreign imports");
            for foreign in &report.foreign {
                anstream::println!("  {} {}", paint(BAD, "✗"), paint(NAME, &foreign.name));
                anstream::println!("      cause: {}", foreign.cause);
                if let Some(callers) = anatomy.callers.get(&foreign.name) {
                    let callers: Vec<_> = callers.iter().map(String::as_str).collect();
                    anstream::println!("      called by: {}", callers.join(", "));
                }
                anstream::println!("      what to do: {}", foreign.remedy);
            }
        }
        title("Imports and exports");
        anstream::println!("  imports: {}", report.imports.join(", "));
        anstream::println!("  exports: {}", report.exports.join(", "));
        title("Size");
        for (kind, bytes) in &anatomy.sections {
            anstream::println!("  {:>11}  {kind}", grouped(*bytes));
        }
        if anatomy.crates.is_empty() {
            anstream::println!(
                "  no names in the module: `proxy-filter check PACKAGE --crates` lists the size of each crate"
            );
        } else {
            title("Code by crate");
            for (name, bytes) in &anatomy.crates {
                anstream::println!("  {:>11}  {name}", grouped(*bytes));
            }
        }
        title("Memory of each VM");
        let stack =
            anatomy.stack.map_or_else(String::new, |stack| format!(", with a stack of {} bytes", grouped(stack)));
        let pages = if anatomy.pages == 1 { "1 page".to_owned() } else { format!("{} pages", anatomy.pages) };
        anstream::println!("  {pages} of 64 KiB at the start{stack}");
        if !advice.is_empty() {
            title("Advice");
            for [what, remedy] in advice {
                anstream::println!("  {} {what}", paint(WARN, "!"));
                anstream::println!("      what to do: {remedy}");
            }
        }
        if let Some(verdict) = configuration {
            title("Configuration");
            verdict.print();
        }
    }
}

fn title(text: &str) {
    anstream::println!("\n{}", paint(TITLE, text));
}

/// Hosts in a row that do the same, as one.
fn grouped_hosts(hosts: &[Verdict]) -> Vec<Verdict> {
    let mut groups: Vec<Verdict> = Vec::new();
    for host in hosts {
        match groups.last_mut() {
            Some(group) if *group == (Verdict { host: group.host.clone(), ..host.clone() }) => {
                let first = group.host.split(" to ").next().unwrap_or_default();
                let last = host.host.rsplit(' ').next().unwrap_or_default();
                group.host = format!("{first} to {last}");
            }
            _ => groups.push(host.clone()),
        }
    }
    groups
}

fn print_host(host: &Verdict) {
    let Verdict { callbacks, functions, never_called, failing, .. } = host;
    let all = functions.len() + failing.len();
    let works = never_called.is_empty() && failing.is_empty();
    let (mark, style) = match (host.loads, works) {
        (false, _) => ("✗", BAD),
        (true, true) => ("✓", GOOD),
        (true, false) => ("!", WARN),
    };
    let verdict = if host.loads {
        format!(
            "loads; calls {} of {} callbacks, {} of {all} host functions work",
            callbacks.len(),
            callbacks.len() + never_called.len(),
            functions.len()
        )
    } else {
        "does not load".to_owned()
    };
    anstream::println!("  {} {}: {verdict} ({})", paint(style, mark), paint(NAME, &host.host), host.source);
    for reason in host.reasons.iter().flat_map(|reason| reason.lines()) {
        anstream::println!("      {reason}");
    }
    for name in never_called {
        anstream::println!("      {name}: never called");
    }
    for hosts::Failing { function, effect } in failing {
        anstream::println!("      {function}: {effect}");
    }
    for note in &host.notes {
        anstream::println!("      {note}");
    }
}
