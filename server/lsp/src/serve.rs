//! Serving over standard input and output, from the first byte to the exit code.

use crate::changes::Changes;
use crate::front::Front;
use crate::log::{Log, hook_panics};
use crate::requests;
use crate::server::{Parts, Server, Shared};
use crate::settings::{LogSettings, Settings};
use crate::status::Status;
use crate::transport::{Transport, spawn_writer};
use crate::worker::{Loader, Worker};
use std::io::{self, BufReader};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tower_lsp::LspService;

/// How often the parent is looked for.
const PARENT_EVERY: Duration = Duration::from_secs(2);
/// How long what was answered last may take to be written after the end.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// More than the cores of a small machine: planning and splicing are short, but nothing else waits for them.
const THREADS: usize = 4;
/// What computes or reads for long does so beside them; what finds no thread waits.
const THREADS_ASIDE: usize = 4;

/// Serves standard input and output until `exit`, the end of the input or of the parent.
///
/// Answers the exit code of the process: 0 when `shutdown` came first, else 1 (LSP 3.18, "Exit Notification").
///
/// # Errors
/// When the system gives no threads.
pub fn serve(loader: Loader) -> io::Result<u8> {
    let (log, problems) = Log::start(&LogSettings::default());
    hook_panics();
    for problem in problems {
        tracing::warn!(%problem, "log");
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(THREADS_ASIDE)
        .enable_time()
        .build()?;
    let (outgoing, writer) = spawn_writer(io::stdout())?;
    let shared = connect(&runtime, loader, log, &outgoing)?;
    drop(outgoing);
    // A reader that waits for a client that has gone must not keep the process: its thread is not joined.
    let code = if shared.is_shut_down() { 0 } else { 1 };
    shared.worker.stop();
    drop(shared);
    runtime.shutdown_timeout(LAST_WORDS);
    let _ = join_for(writer, LAST_WORDS);
    Ok(code)
}

/// Builds the server and runs it to the end of its input.
fn connect(
    runtime: &Runtime,
    loader: Loader,
    log: Log,
    outgoing: &crate::transport::Outgoing,
) -> io::Result<Arc<Shared>> {
    let _in_runtime = runtime.enter();
    let status = Status::new();
    let panics = Arc::clone(&status.0.panics);
    let worker = Worker::new(loader, Arc::clone(&status.0));
    let log = Mutex::new(log);
    let on_log = Box::new(move |settings: &Settings| {
        let log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.apply(&settings.log).err().map(|error| error.to_string())
    });
    let parts = Parts { worker, status, changes: Changes::start()?, watch_parent, on_log };
    let builder =
        LspService::build_with_lifecycle_methods(|client| Server { shared: Shared::new(client, parts) });
    let (service, socket) = requests::register(builder).finish();
    let shared = Arc::clone(&service.inner().shared);
    let front = Front::new(service, Arc::clone(&shared), requests::lanes());
    let transport = Transport::new(front, socket, outgoing.clone(), runtime.handle().clone(), panics);
    transport.run(BufReader::with_capacity(1 << 16, io::stdin().lock()));
    Ok(shared)
}

/// Ends the process once the parent has: an editor that crashed closes no pipe of a child it shares.
fn watch_parent(parent: i32) {
    if parent <= 0 {
        tracing::warn!(parent, "the parent process that the client names is none; it is not watched");
        return;
    }
    if !is_alive(parent) {
        // In a container, behind a wrapper or over a bridge the editor's number is that of another machine's list.
        tracing::warn!(
            parent,
            "the process that the client names is not visible from here; it is not watched"
        );
        return;
    }
    tokio::spawn(async move {
        while is_alive(parent) {
            tokio::time::sleep(PARENT_EVERY).await;
        }
        tracing::warn!(parent, "the parent process has ended");
        std::process::exit(1);
    });
}

#[cfg(unix)]
fn is_alive(process: i32) -> bool {
    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};
    // A process of another user is a process.
    Pid::from_raw(process).is_none_or(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// Elsewhere the end of the input has to do.
#[cfg(not(unix))]
fn is_alive(_process: i32) -> bool {
    true
}

/// Waits for a thread, but not for ever.
fn join_for(thread: thread::JoinHandle<()>, most: Duration) -> Result<(), std::sync::mpsc::RecvTimeoutError> {
    let (done, ended) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let _ = thread.join();
        let _ = done.send(());
    });
    ended.recv_timeout(most)
}
