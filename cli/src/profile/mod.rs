//! `run --profile`: where a module executes its instructions.

mod source;

use crate::output::{self, Failure, Result, TITLE, WARN, grouped, paint};
use crate::view;
use proxy_filter_host::Profiler;
use serde_json::{Value, json};
use source::Source;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

const PAGE: &str = include_str!("../page/flame.html");
/// The rows of a table in the terminal.
const SHOWN: usize = 20;

/// A function on a stack of calls.
#[derive(Default)]
struct Node {
    name: String,
    /// The position of the caller. The first node, which is no function, is its own.
    caller: usize,
    children: BTreeMap<String, usize>,
    /// The instructions without those of functions that it calls.
    own: u64,
}

/// The instructions of a function, wherever it is called.
#[derive(Default)]
struct Function {
    own: u64,
    with_callees: u64,
    /// `None` for a function that is inlined everywhere.
    calls: Option<u64>,
}

/// The instructions of a run by stack, function and source line.
pub(crate) struct Profile {
    instructions: u64,
    nodes: Vec<Node>,
    functions: Vec<(String, Function)>,
    lines: Vec<((String, u32), u64)>,
    /// The instructions without a line: the compiler made them, or merged those of several lines.
    without_line: u64,
    has_lines: bool,
}

impl Profile {
    /// Attributes what a profiler has counted to the source of the module.
    pub(crate) fn new(module: &[u8], profiler: &Profiler) -> Self {
        let source = Source::read(module);
        let mut nodes = vec![Node::default()];
        let mut functions = BTreeMap::<String, Function>::new();
        let mut lines = HashMap::<_, u64>::new();
        let mut without_line = 0;
        let frames = profiler.frames();
        let mut bases = Vec::new();
        for frame in &frames {
            let caller = frame.caller.and_then(|(caller, address)| {
                Some(descend(&mut nodes, *bases.get(caller)?, &source, frames.get(caller)?.function, address))
            });
            let base = caller.unwrap_or_default();
            bases.push(base);
            *functions.entry(source.name(frame.function)).or_default().calls.get_or_insert_default() += frame.calls;
            for (address, count) in &frame.instructions {
                let node = descend(&mut nodes, base, &source, frame.function, *address);
                if let Some(node) = nodes.get_mut(node) {
                    node.own += count;
                    functions.entry(node.name.clone()).or_default().own += count;
                }
                let places = source.places(frame.function, *address);
                match places.last().and_then(|place| place.line.clone()) {
                    Some(line) => *lines.entry(line).or_default() += count,
                    None => without_line += count,
                }
            }
        }
        for node in &nodes {
            // A function that calls itself has the instructions of the inner call once.
            let names: BTreeSet<_> = stack(&nodes, node).into_iter().collect();
            for name in names {
                functions.entry(name.to_owned()).or_default().with_callees += node.own;
            }
        }
        let mut functions: Vec<_> = functions.into_iter().collect();
        functions.sort_by_key(|(_, function)| Reverse((function.own, function.with_callees)));
        let mut lines: Vec<_> = lines.into_iter().collect();
        lines.sort_by(|(one, first), (other, second)| second.cmp(first).then_with(|| one.cmp(other)));
        let (instructions, has_lines) = (profiler.instructions(), source.has_lines());
        Self { instructions, nodes, functions, lines, without_line, has_lines }
    }

    /// Writes the flame graph: a page for the browser, or stacks for other tools if the name of the
    /// file ends in `.folded`.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub(crate) fn write(&self, path: &Path, title: &str) -> Result {
        if path.extension().is_some_and(|ending| ending == "folded") {
            let stacks = self.stacks().map(|(stack, own)| {
                let names: Vec<_> = stack.iter().map(|name| name.replace(';', ":")).collect();
                format!("{} {own}\n", names.join(";"))
            });
            return output::write(path, stacks.collect::<Vec<_>>().concat());
        }
        if path.extension().is_none_or(|ending| ending != "html") {
            return Err(Failure::usage(format!("{}: the profile is an .html or a .folded file", path.display())));
        }
        let nodes: Vec<_> = self.nodes.iter().map(|node| json!([node.name, node.caller, node.own])).collect();
        let lines: Vec<_> = self.lines.iter().map(|((file, line), count)| json!([file, line, count])).collect();
        let data = json!({ "nodes": nodes, "lines": lines, "without_line": self.without_line });
        output::write(path, view::fill(PAGE, title, &data))
    }

    /// The stacks with instructions of their own.
    fn stacks(&self) -> impl Iterator<Item = (Vec<&str>, u64)> {
        self.nodes.iter().filter(|node| node.own > 0).map(|node| (stack(&self.nodes, node), node.own))
    }

    /// The profile as JSON. `exchanges` are those of the run, with their instructions.
    pub(crate) fn json(&self, exchanges: &[(&str, u64)]) -> Value {
        json!({
            "instructions": self.instructions,
            "exchanges": exchanges.iter().map(|(name, count)| json!({ "name": name, "instructions": count })).collect::<Vec<_>>(),
            "functions": self.functions.iter().map(|(name, function)| json!({
                "name": name, "instructions": function.own, "with_callees": function.with_callees, "calls": function.calls,
            })).collect::<Vec<_>>(),
            "lines": self.lines.iter().map(|((file, line), count)| json!({
                "file": file, "line": line, "instructions": count,
            })).collect::<Vec<_>>(),
            "without_line": self.without_line,
            "stacks": self.stacks().map(|(stack, own)| json!({ "stack": stack, "instructions": own })).collect::<Vec<_>>(),
        })
    }

    /// Prints the functions and lines with most instructions.
    pub(crate) fn show(&self, exchanges: &[(&str, u64)]) {
        let during: u64 = exchanges.iter().map(|(_, count)| count).sum();
        let total = paint(TITLE, format!("{} instructions", grouped(self.instructions)));
        let rest = grouped(self.instructions.saturating_sub(during));
        let during = grouped(during);
        let exchanges = match exchanges.len() {
            0 => None,
            1 => Some("the exchange".to_owned()),
            count => Some(format!("{count} exchanges")),
        };
        let parts = exchanges.map(|all| format!(": {during} in {all}, {rest} at the start and the end of the plugin"));
        anstream::println!("\n{total}{}", parts.unwrap_or_default());
        let heading = format!("{:>14} {:>6} {:>14} {:>8}  function", "instructions", "%", "with callees", "calls");
        anstream::println!("{}", paint(TITLE, heading));
        for (name, function) in self.functions.iter().filter(|(_, function)| function.own > 0).take(SHOWN) {
            let calls = function.calls.map_or_else(|| "inlined".into(), grouped);
            let [own, with_callees] = [function.own, function.with_callees].map(grouped);
            anstream::println!("{own:>14} {:>6} {with_callees:>14} {calls:>8}  {name}", self.percent(function.own));
        }
        if self.has_lines {
            anstream::println!("{}", paint(TITLE, format!("{:>14} {:>6}  source line", "instructions", "%")));
            for ((file, line), count) in self.lines.iter().take(SHOWN) {
                anstream::println!("{:>14} {:>6}  {file}:{line}", grouped(*count), self.percent(*count));
            }
            let share = self.percent(self.without_line);
            anstream::println!("{:>14} {share:>6}  without a line", grouped(self.without_line));
        } else {
            let advice = "The module has no source lines: name the directory of the package, which is built with \
                          them, or build the module with debug information.";
            anstream::println!("{}", paint(WARN, advice));
        }
    }

    /// A share of all instructions, in tenths of a percent.
    fn percent(&self, count: u64) -> String {
        let tenths = count.saturating_mul(1000).checked_div(self.instructions).unwrap_or_default();
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

/// Goes from a node to the function of an instruction, with what is inlined there.
fn descend(nodes: &mut Vec<Node>, from: usize, source: &Source<'_>, function: u32, address: u64) -> usize {
    source.places(function, address).iter().fold(from, |caller, place| {
        let next = nodes.len();
        let Some(node) = nodes.get_mut(caller) else { return caller };
        let found = *node.children.entry(place.function.clone()).or_insert(next);
        if found == next {
            nodes.push(Node { name: place.function.clone(), caller, ..Node::default() });
        }
        found
    })
}

/// The names on the stack of a node, the outermost first.
fn stack<'a>(nodes: &'a [Node], node: &'a Node) -> Vec<&'a str> {
    let callers = std::iter::successors(Some(node), |node| nodes.get(node.caller));
    let mut names: Vec<_> = callers.take_while(|node| !node.name.is_empty()).map(|node| node.name.as_str()).collect();
    names.reverse();
    names
}
