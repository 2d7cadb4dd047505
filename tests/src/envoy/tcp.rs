//! Both sides of a TCP connection through Envoy: a client, and a server that accepts one
//! connection, as a script says.

use super::wire::LIMIT;
use crate::tcp::{CONNECTS, DirectionState, ReceivedBytes, Step, StepOutcome};
use rustix::net::sockopt::set_socket_linger;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long it may take until something happens because of a step. Of some steps nothing comes.
const REACTION: Duration = Duration::from_millis(400);
/// A step has ended when no event has occurred for this time.
const QUIET: Duration = Duration::from_millis(100);
/// How often a side looks whether it has been closed here.
const GLANCE: Duration = Duration::from_millis(10);

/// A server that does not speak by itself.
pub(super) struct Server {
    listener: TcpListener,
}

impl Server {
    /// Starts the server on a port that the kernel chooses.
    pub(super) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener })
    }

    /// Where Envoy finds it.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn accept(&self) -> io::Result<Option<Side>> {
        match self.listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                Side::new(stream).map(Some)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// One side of a connection. What it receives is read on a thread of its own, so that both sides
/// can send at once.
struct Side {
    stream: TcpStream,
    inbox: Arc<Mutex<Inbox>>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Inbox {
    heard: ReceivedBytes,
    /// This side has closed the connection.
    closed: bool,
}

impl Side {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_read_timeout(Some(GLANCE))?;
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let (shared, mut socket) = (Arc::clone(&inbox), stream.try_clone()?);
        let reader = std::thread::spawn(move || read(&mut socket, &shared));
        Ok(Self { stream, inbox, reader: Some(reader) })
    }

    fn send(&mut self, bytes: &[u8]) {
        // The other side may have closed: what it sent before is still to be read.
        let _ = self.stream.write_all(bytes);
    }

    fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset.
    fn reset(mut self) -> io::Result<()> {
        set_socket_linger(&self.stream, Some(Duration::ZERO))?;
        self.let_go();
        Ok(())
    }

    /// Stops reading. The connection is closed when this side is dropped.
    fn let_go(&mut self) {
        lock(&self.inbox).closed = true;
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.let_go();
    }
}

fn read(socket: &mut TcpStream, inbox: &Mutex<Inbox>) {
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let end = match socket.read(&mut chunk) {
            Ok(0) => DirectionState::Closed,
            Ok(length) => {
                lock(inbox).heard.bytes.extend(chunk.iter().take(length));
                continue;
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) =>
            {
                if lock(inbox).closed {
                    return;
                }
                continue;
            }
            Err(_) => DirectionState::Reset,
        };
        return lock(inbox).heard.close(end);
    }
}

fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What changes when something happens: Envoy's progress, and how much each side has received and
/// how it ended.
type State = (usize, Option<(usize, DirectionState)>, (usize, DirectionState));

/// Both sides of a connection, and what they received before this moment.
struct Play<'a> {
    server: &'a Server,
    client: Option<Side>,
    upstream: Option<Side>,
    /// The inboxes of closed and of open sides.
    client_inbox: Arc<Mutex<Inbox>>,
    upstream_inbox: Option<Arc<Mutex<Inbox>>>,
    told: (usize, usize),
    /// As it was at the end of the last moment.
    last: State,
    /// What Envoy has done so far, as a number that changes.
    progress: &'a dyn Fn() -> usize,
}

/// Plays a connection to Envoy at `listener`, which connects to `server`. `progress` is a number
/// that changes when Envoy does something.
pub(super) fn play(
    listener: SocketAddr,
    server: &Server,
    script: &[Step],
    progress: &dyn Fn() -> usize,
) -> io::Result<Vec<StepOutcome>> {
    let client = Side::new(TcpStream::connect_timeout(&listener, LIMIT)?)?;
    let mut play = Play {
        server,
        client_inbox: Arc::clone(&client.inbox),
        client: Some(client),
        upstream: None,
        upstream_inbox: None,
        told: (0, 0),
        last: State::default(),
        progress,
    };
    let mut moments = vec![play.moment(CONNECTS.to_owned())?];
    for step in script {
        play.step(step)?;
        moments.push(play.moment(step.title())?);
    }
    Ok(moments)
}

impl Play<'_> {
    fn step(&mut self, step: &Step) -> io::Result<()> {
        match (step, &mut self.client, &mut self.upstream) {
            (Step::ClientSends(bytes), Some(client), _) => client.send(bytes),
            (Step::ClientFinishes, Some(client), _) => client.finish(),
            (Step::UpstreamSends(bytes), _, Some(upstream)) => upstream.send(bytes),
            (Step::UpstreamAnswers(answer), _, Some(upstream)) => {
                let received = lock(&upstream.inbox).heard.bytes.clone();
                upstream.send(&answer(&received));
            }
            (Step::UpstreamFinishes, _, Some(upstream)) => upstream.finish(),
            (Step::ClientResets, ..) => self.client.take().map_or(Ok(()), Side::reset)?,
            (Step::UpstreamResets, ..) => self.upstream.take().map_or(Ok(()), Side::reset)?,
            // That side is not there, or not any more.
            _ => {}
        }
        Ok(())
    }

    /// Waits until no more bytes arrive. Returns the bytes that both sides received.
    fn moment(&mut self, title: String) -> io::Result<StepOutcome> {
        let (reaction, limit) = (Instant::now() + REACTION, Instant::now() + LIMIT);
        while self.state()? == self.last && Instant::now() < reaction {
            std::thread::sleep(GLANCE);
        }
        loop {
            let before = self.state()?;
            std::thread::sleep(QUIET);
            self.last = self.state()?;
            if self.last == before || Instant::now() > limit {
                break;
            }
        }
        let (client, upstream) = self.told;
        let client = news(&self.client_inbox, client);
        let upstream = self.upstream_inbox.as_ref().map(|inbox| news(inbox, upstream));
        self.told.0 += client.bytes.len();
        self.told.1 += upstream.as_ref().map_or(0, |heard| heard.bytes.len());
        Ok(StepOutcome { title, client, upstream })
    }

    /// What can change.
    fn state(&mut self) -> io::Result<State> {
        if self.upstream_inbox.is_none()
            && let Some(side) = self.server.accept()?
        {
            self.upstream_inbox = Some(Arc::clone(&side.inbox));
            self.upstream = Some(side);
        }
        let of = |inbox: &Arc<Mutex<Inbox>>| {
            let inbox = lock(inbox);
            (inbox.heard.bytes.len(), inbox.heard.end)
        };
        Ok(((self.progress)(), self.upstream_inbox.as_ref().map(of), of(&self.client_inbox)))
    }
}

/// What has come since so many bytes.
fn news(inbox: &Mutex<Inbox>, since: usize) -> ReceivedBytes {
    let inbox = lock(inbox);
    ReceivedBytes { bytes: inbox.heard.bytes.get(since..).unwrap_or_default().to_vec(), end: inbox.heard.end }
}
