//! Playing one exchange and showing what the filter made of it.

use proxy_filter_host::{Colour, Host, Outcome, Reply, changes};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The result of a subcommand: an error is printed.
pub(super) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What a client sends, what the upstream answers, and how the plugin is configured.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) configuration: String,
    pub(super) root_id: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
    pub(super) http2: bool,
    pub(super) reply_status: u16,
    pub(super) reply_headers: Vec<(String, String)>,
    pub(super) reply_body: String,
    /// What the client sends on a TCP connection, whose upstream echoes it: no exchange then.
    pub(super) sends: Vec<String>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            configuration: String::new(),
            root_id: String::new(),
            method: "GET".into(),
            path: "/".into(),
            headers: Vec::new(),
            body: None,
            http2: false,
            reply_status: 200,
            reply_headers: vec![("content-type".into(), "text/plain".into())],
            reply_body: "hello from the upstream\n".into(),
            sends: Vec::new(),
        }
    }
}

impl Script {
    fn play(&self, host: &mut Host) -> Result<Outcome> {
        host.root_id(&self.root_id);
        host.configure(&self.configuration)?;
        let script = self.clone();
        host.upstream(move |_| {
            let reply = Reply::new(script.reply_status).body(script.reply_body.as_str());
            script.reply_headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
        });
        let mut request = host.request(&self.method, &self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &self.body {
            request = request.body(body.as_str());
        }
        if self.http2 {
            request = request.http2();
        }
        Ok(request.send())
    }
}

/// Plays the exchange with and without the filter, and shows the difference.
pub(super) fn run(module: &[u8], script: &Script, colour: Colour) -> Result<()> {
    let mut host = Host::for_module(module);
    if !script.sends.is_empty() {
        return connect(&mut host, script, colour);
    }
    let exchange = script.play(&mut host)?;
    let plain = script.play(&mut Host::without_module())?;
    println!("{}", colour.title(&format!("{} {}", script.method, script.path)));
    for line in host.start_logs() {
        println!("     {}: {}", line.level.name(), line.message);
    }
    print!("{}", exchange.trace(colour));
    println!("{}", colour.title("what the filter changed in the request"));
    match (plain.upstream(), exchange.upstream()) {
        (Some(before), Some(after)) => print!("{}", changes(before, after, colour)),
        (_, None) => println!("  it did not reach the upstream"),
        (None, Some(_)) => println!("  it reached the upstream"),
    }
    println!("{}", colour.title("what the filter changed in the response"));
    println!("{}", changes(plain.response(), exchange.response(), colour));
    for violation in host.violations() {
        println!("{}", colour.title(&format!("a rule of the host was broken: {violation}")));
    }
    Ok(())
}

/// Plays a connection to an upstream that echoes.
fn connect(host: &mut Host, script: &Script, colour: Colour) -> Result<()> {
    host.root_id(&script.root_id);
    host.tcp();
    host.configure(&script.configuration)?;
    let echoed = Arc::new(AtomicUsize::new(0));
    let mut connection = host.connect();
    for text in &script.sends {
        let echoed = Arc::clone(&echoed);
        connection = connection.send(text).upstream_answers(move |received| {
            let before = echoed.swap(received.len(), Ordering::Relaxed);
            received.get(before..).unwrap_or_default().to_vec()
        });
    }
    let connection = connection.play();
    println!("{}", colour.title("a connection"));
    println!("{}", connection.trace(colour));
    Ok(())
}
