//! What Envoy serves of WASI preview 1, under both names that the interface has had: the log, the
//! clocks, random bytes, and the environment.
//!
//! There are no files and no sockets: other functions have an error for every call, or do nothing.

use super::functions::Functions;
use crate::engine::{Import, Memory, Trap, WireType};
use crate::host_profile::Quirk;
use proxy_filter::log::LogLevel;
use proxy_filter::sys::HostFunctions;
use std::sync::Arc;
use std::time::Duration;

/// The modules that have the functions.
const MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// Numbers of errors.
const SUCCESS: u32 = 0;
const BAD_FILE: u32 = 8;
const FAULT: u32 = 21;
const INVALID: u32 = 28;
const NO_ENTRY: u32 = 44;
const NO_SYSTEM_CALL: u32 = 52;
const NOT_A_DIRECTORY: u32 = 20;
const NOT_SUPPORTED: u32 = 58;

/// More random bytes at once are refused.
const RANDOM_AT_ONCE: usize = 64 * 1024;

/// The files that are open.
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// The result of a call: the number of an error.
type Answer = Result<(), u32>;

/// A call of a function.
struct Call<'a> {
    functions: &'a Functions,
    memory: &'a mut dyn Memory,
    arguments: &'a [u64],
}

/// A function: its name, its parameters (`w` for 32 bits, `d` for 64), and what it does.
type Function = (&'static str, &'static str, fn(&mut Call<'_>) -> Answer);

const FUNCTIONS: [Function; 45] = [
    ("args_get", "ww", |_| Ok(())),
    ("args_sizes_get", "ww", |call| {
        call.put(0, &0_u32.to_le_bytes())?;
        call.put(1, &0_u32.to_le_bytes())
    }),
    ("environ_get", "ww", environ_get),
    ("environ_sizes_get", "ww", environ_sizes_get),
    ("clock_res_get", "ww", |call| {
        clock(call.word(0))?;
        call.put(1, &1_u64.to_le_bytes())
    }),
    ("clock_time_get", "wdw", |call| {
        let time = match clock(call.word(0))? {
            Clock::Wall => call.functions.proxy_get_current_time_nanoseconds().unwrap_or_default(),
            Clock::Monotonic => nanoseconds(call.functions.state().clock.now()),
        };
        call.put(2, &time.to_le_bytes())
    }),
    ("random_get", "ww", random_get),
    ("fd_write", "wwww", |call| call.write(3)),
    ("fd_pwrite", "wwwdw", |call| call.write(4)),
    ("fd_fdstat_get", "ww", |call| {
        call.open(0)?;
        // It may be written. A result that does not fit is no error.
        let mut status = [0; 24];
        if let Some(rights) = status.get_mut(8) {
            *rights = 64;
        }
        let _ = call.put(1, &status);
        Ok(())
    }),
    ("fd_fdstat_set_flags", "ww", |_| Err(NO_SYSTEM_CALL)),
    ("fd_fdstat_set_rights", "wdd", |call| call.open(0)),
    ("fd_advise", "wddw", |_| Ok(())),
    ("fd_allocate", "wdd", |call| call.open(0)),
    ("fd_datasync", "w", |call| call.open(0)),
    ("fd_sync", "w", |call| call.open(0)),
    ("fd_filestat_get", "ww", |_| Err(BAD_FILE)),
    ("fd_filestat_set_size", "wd", |call| call.open(0)),
    ("fd_filestat_set_times", "wddw", |call| call.open(0)),
    ("fd_read", "wwww", |_| Err(NO_SYSTEM_CALL)),
    ("fd_pread", "wwwdw", |_| Err(NO_SYSTEM_CALL)),
    ("fd_readdir", "wwwdw", |call| {
        call.put(4, &0_u32.to_le_bytes())?;
        Err(NOT_A_DIRECTORY)
    }),
    ("fd_renumber", "ww", |call| {
        call.open(0)?;
        call.open(1)?;
        Err(NOT_SUPPORTED)
    }),
    ("fd_seek", "wdww", |_| Ok(())),
    ("fd_tell", "ww", |call| {
        call.open(0)?;
        call.put(1, &0_u64.to_le_bytes())
    }),
    ("fd_close", "w", |_| Ok(())),
    ("fd_prestat_get", "ww", |_| Err(BAD_FILE)),
    ("fd_prestat_dir_name", "www", |_| Err(NO_SYSTEM_CALL)),
    ("path_open", "wwwwwddww", |_| Err(NO_ENTRY)),
    ("path_create_directory", "www", |_| Err(NOT_SUPPORTED)),
    ("path_filestat_get", "wwwww", |_| Err(NOT_SUPPORTED)),
    ("path_filestat_set_times", "wwwwddw", |_| Err(NOT_SUPPORTED)),
    ("path_link", "wwwwww", |_| Err(NOT_SUPPORTED)),
    ("path_readlink", "wwwwww", |call| {
        call.put(5, &0_u32.to_le_bytes())?;
        Err(NOT_SUPPORTED)
    }),
    ("path_remove_directory", "www", |_| Err(NOT_SUPPORTED)),
    ("path_rename", "wwwwww", |_| Err(NOT_SUPPORTED)),
    ("path_symlink", "wwww", |_| Err(NOT_SUPPORTED)),
    ("path_unlink_file", "www", |_| Err(NOT_SUPPORTED)),
    ("sock_accept", "www", |call| {
        call.put(2, &0_u64.to_le_bytes())?;
        Err(NOT_SUPPORTED)
    }),
    ("sock_recv", "wwwwww", |call| {
        call.put(4, &0_u32.to_le_bytes())?;
        call.put(5, &0_u16.to_le_bytes())?;
        Err(NOT_SUPPORTED)
    }),
    ("sock_send", "wwwww", |call| {
        call.put(4, &0_u32.to_le_bytes())?;
        Err(NOT_SUPPORTED)
    }),
    ("sock_shutdown", "ww", |_| Err(NOT_SUPPORTED)),
    ("sched_yield", "", |_| Ok(())),
    ("poll_oneoff", "wwww", poll_oneoff),
    (EXIT, "w", |_| Ok(())),
];

/// The function without a result. Envoy continues to run the module.
const EXIT: &str = "proc_exit";

/// The functions as imports.
pub(super) fn imports(functions: &Arc<Functions>) -> Vec<Import> {
    let all = MODULES.into_iter().flat_map(|module| FUNCTIONS.into_iter().map(move |function| (module, function)));
    let import = |(module, (name, parameters, body)): (_, Function)| {
        let functions = Arc::clone(functions);
        let call = move |memory: &mut dyn Memory, arguments: &[u64]| -> Result<u32, Trap> {
            functions.permit(name)?;
            let answer = body(&mut Call { functions: &functions, memory, arguments });
            let error = answer.err().unwrap_or(SUCCESS);
            functions.called(name, error);
            Ok(error)
        };
        let wide = |letter| if letter == 'd' { WireType::I64 } else { WireType::I32 };
        Import {
            module,
            name,
            parameters: parameters.chars().map(wide).collect(),
            returns: name != EXIT,
            call: Box::new(call),
        }
    };
    all.map(import).collect()
}

impl Call<'_> {
    fn word(&self, index: usize) -> u32 {
        self.arguments.get(index).and_then(|word| u32::try_from(*word).ok()).unwrap_or_default()
    }

    /// Writes where an argument points.
    fn put(&mut self, argument: usize, bytes: &[u8]) -> Answer {
        self.put_at(self.word(argument), bytes)
    }

    fn put_at(&mut self, pointer: u32, bytes: &[u8]) -> Answer {
        self.memory.write(pointer, bytes).ok_or(FAULT)
    }

    /// Whether an argument is a file that is open.
    fn open(&self, argument: usize) -> Answer {
        if matches!(self.word(argument), STDOUT | STDERR) { Ok(()) } else { Err(BAD_FILE) }
    }

    /// Two numbers of the module's memory, one after the other.
    fn pair(&self, pointer: u32) -> Result<(u32, u32), u32> {
        let bytes = self.memory.read(pointer, 8).ok_or(FAULT)?;
        let mut numbers = bytes.chunks_exact(4).filter_map(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
        Ok((numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()))
    }

    /// Logs what the module writes, one line for each call, without a line break at its end.
    fn write(&mut self, written: usize) -> Answer {
        self.open(0)?;
        let level = if self.word(0) == STDOUT { LogLevel::Info } else { LogLevel::Error };
        let (list, count) = (self.word(1), self.word(2));
        let mut text = Vec::new();
        for index in 0..count {
            let entry = index.checked_mul(8).and_then(|offset| list.checked_add(offset)).ok_or(FAULT)?;
            let (pointer, size) = self.pair(entry)?;
            if size > 0 {
                text.extend(self.memory.read(pointer, size).ok_or(FAULT)?);
            }
        }
        if !text.is_empty() {
            let line = text.strip_suffix(b"\n").unwrap_or(&text);
            self.functions.proxy_log(level.raw(), line).map_err(|_| BAD_FILE)?;
        }
        let size = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.put(written, &size.to_le_bytes())
    }
}

enum Clock {
    Wall,
    Monotonic,
}

fn clock(id: u32) -> Result<Clock, u32> {
    match id {
        0 => Ok(Clock::Wall),
        1 => Ok(Clock::Monotonic),
        _ => Err(NOT_SUPPORTED),
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The environment variables, each as bytes that end with zero.
fn environment(functions: &Functions) -> Vec<Vec<u8>> {
    let state = functions.state();
    state.settings.environment.iter().map(|(name, value)| format!("{name}={value}\0").into_bytes()).collect()
}

fn environ_get(call: &mut Call<'_>) -> Answer {
    let (mut list, mut place) = (call.word(0), call.word(1));
    for variable in environment(call.functions) {
        call.put_at(list, &place.to_le_bytes())?;
        call.put_at(place, &variable)?;
        list = list.wrapping_add(4);
        place = place.wrapping_add(u32::try_from(variable.len()).unwrap_or(u32::MAX));
    }
    Ok(())
}

fn environ_sizes_get(call: &mut Call<'_>) -> Answer {
    let variables = environment(call.functions);
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes();
    call.put(0, &number(variables.len()))?;
    call.put(1, &number(variables.iter().map(Vec::len).sum()))
}

fn random_get(call: &mut Call<'_>) -> Answer {
    let size = call.word(1) as usize;
    if size > RANDOM_AT_ONCE {
        return Err(INVALID);
    }
    if size == 0 {
        return Ok(());
    }
    let mut bytes = vec![0; size];
    call.functions.state().random.fill(&mut bytes);
    call.put(0, &bytes)
}

/// The bytes of a subscription, and what is read of it: its kind, the clock, the time, and whether
/// that is a time of day.
const SUBSCRIPTION: u32 = 48;

/// No event ever occurs. A module that awaits a time polls until it is reached, so the call
/// advances the clock to it.
fn poll_oneoff(call: &mut Call<'_>) -> Answer {
    if call.functions.state().plays(Quirk::NoPoll) {
        return Err(NO_SYSTEM_CALL);
    }
    let (list, count) = (call.word(0), call.word(2));
    let subscriptions = (0..count).map_while(|index| {
        let bytes = call.memory.read(list.checked_add(index.checked_mul(SUBSCRIPTION)?)?, SUBSCRIPTION)?;
        Some(bytes)
    });
    let due = subscriptions.filter_map(|bytes| {
        let is_clock = *bytes.get(8)? == 0;
        let time = Duration::from_nanos(u64::from_le_bytes(bytes.get(24..32)?.try_into().ok()?));
        let absolute = bytes.get(40)? & 1 != 0;
        let state = call.functions.state();
        let now = state.clock.now();
        let due = match (absolute, *bytes.get(16)?) {
            (false, _) => now.checked_add(time)?,
            (true, 0) => now.checked_add(time.saturating_sub(state.clock.wall()))?,
            (true, _) => time,
        };
        is_clock.then_some(due)
    });
    if let Some(due) = due.min() {
        call.functions.state().clock.go_on_to(due);
    }
    call.put(3, &0_u32.to_le_bytes())
}

/// Random bytes for a module that runs natively.
pub(crate) fn random_get_natively(functions: &Functions, bytes: &mut [u8]) -> u32 {
    let error = if bytes.len() > RANDOM_AT_ONCE {
        INVALID
    } else {
        functions.state().random.fill(bytes);
        SUCCESS
    };
    functions.called("random_get", error);
    error
}
