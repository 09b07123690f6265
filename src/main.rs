//! The command line: starts the database and the server, says where they are, and stops both.

use clap::Parser;
use latchkey::{
    API_KEY, App, Command, CommandLine, Config, Database, Device, Fixtures, Loaded, PoolLimits, Stop, WORKSPACE_ID,
    WorkspaceClock, connect, doctor, ensure_sandbox, fixtures, health, serve, to_iso,
};
use std::error::Error;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// An answer is made of many small pieces of memory: with the system's allocator they were a fifth of the time of a list.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// When memory is given back after much of it became free: what was answered may still be on its way.
const MEMORY_RELEASE_DELAYS: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(3), Duration::from_secs(30)];

/// Gives memory back to the system whenever much of it became free: the allocator by itself waits for the next request.
async fn give_memory_back(app: App) {
    loop {
        app.memory_freed().await;
        for wait in MEMORY_RELEASE_DELAYS {
            tokio::time::sleep(wait).await;
            collect();
        }
    }
}

/// Gives back what the allocator keeps for later.
#[expect(unsafe_code, reason = "the interface of the allocator is one of C")]
fn collect() {
    // SAFETY: it takes no pointers, may be called at any time from any thread, and leaves alone what is in use.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

fn main() -> ExitCode {
    let CommandLine { command, config } = CommandLine::parse();
    let done = match command {
        None => return ended(start(&config)),
        Some(Command::Serve(config)) => return ended(start(&config)),
        Some(Command::Health(asked)) => ask_health(&asked.server_url()),
        Some(Command::Doctor(config)) => examine(&config),
        Some(Command::FixturesSchema) => say(fixtures::SCHEMA.trim_end()),
    };
    ended(done.map(|is_fine| if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

/// The exit code of a command; what failed is said on standard error.
fn ended(done: Result<ExitCode, Box<dyn Error>>) -> ExitCode {
    match done {
        Ok(exit_code) => exit_code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "latchkey: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a text on standard output. Gives `true`: all is well.
fn say(text: impl std::fmt::Display) -> Result<bool, Box<dyn Error>> {
    writeln!(std::io::stdout(), "{text}")?;
    Ok(true)
}

/// Asks a server how it is, and says it. Gives whether it is well.
fn ask_health(url: &str) -> Result<bool, Box<dyn Error>> {
    say(health::ask(url)?)
}

/// Says what keeps a server from starting; gives whether one could.
fn examine(config: &Config) -> Result<bool, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let findings = runtime.block_on(doctor::look(config));
    for finding in &findings {
        say(finding)?;
    }
    Ok(findings.iter().all(doctor::Finding::is_fine))
}

/// Starts the database and the server, and serves until it is to stop.
fn start(config: &Config) -> Result<ExitCode, Box<dyn Error>> {
    config.check()?;
    log(config);
    // Before anything slow: whoever asks the server to stop while it starts is heard.
    let stop = Stop::on_signals()?;
    // Before a database is started for what cannot be loaded.
    let fixtures = config.fixtures.as_deref().map(|file| Fixtures::read(file, &config.settings)).transpose()?;
    let mut database = Database::open(config)?;
    let given_up = database.given_up();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        tokio::select! {
            served = run(config, &database, fixtures, &stop) => served,
            reason = given_up => Err(format!("the private PostgreSQL cannot be kept running: {reason}").into()),
        }
    });
    // The pool first, then the server it is connected to. What still looks up a name is not waited for.
    runtime.shutdown_timeout(CLOSE_TIMEOUT);
    database.close()?;
    served?;
    Ok(stop.exit_code().map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// How long the connections to the database may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves until the server is to stop.
async fn run(
    config: &Config,
    database: &Database,
    fixtures: Option<Fixtures>,
    stop: &Stop,
) -> Result<(), Box<dyn Error>> {
    let (app, listener) = tokio::select! {
        // What was asked for before comes first.
        biased;
        () = stop.gently.cancelled() => return Ok(()),
        ready = prepare(config, database, fixtures) => ready?,
    };
    let pools = app.pools();
    let giving_back = tokio::spawn(give_memory_back(app.clone()));
    let served = serve(app, listener, stop).await;
    giving_back.abort();
    served?;
    tokio::select! {
        _ = tokio::time::timeout(CLOSE_TIMEOUT, pools.close()) => {}
        () = stop.at_once.cancelled() => {}
    }
    Ok(())
}

/// Everything up to the first request.
async fn prepare(
    config: &Config,
    database: &Database,
    fixtures: Option<Fixtures>,
) -> Result<(App, TcpListener), Box<dyn Error>> {
    let pools = connect(&database.url(), PoolLimits::of(&config.settings)).await?;
    let app = App::new(config.settings.clone(), pools)?;
    let locks = ensure_sandbox(&app).await?;
    let loaded = match fixtures {
        Some(fixtures) => fixtures.load(&app).await?,
        None => Loaded::default(),
    };
    let address = config.address.socket();
    let listener = TcpListener::bind(address).await.map_err(|error| {
        format!("cannot listen on {address}: {error}. Choose another port with --port, or 0 for any.")
    })?;
    welcome(config, database, &locks, &loaded, listener.local_addr()?)?;
    Ok((app, listener))
}

/// Sends what is logged to standard error.
fn log(config: &Config) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if config.settings.log_json {
        log.json().init();
    } else {
        log.with_ansi(std::io::stderr().is_terminal()).init();
    }
}

/// Says what is where, and what to try first.
fn welcome(
    config: &Config,
    database: &Database,
    locks: &[Device],
    loaded: &Loaded,
    address: SocketAddr,
) -> std::io::Result<()> {
    let base_url = format!("http://{address}");
    let mut out = std::io::stdout().lock();
    writeln!(out, "Latchkey {}: a local Seam Connect\n", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "  base url   {base_url}")?;
    writeln!(out, "  api key    {API_KEY}")?;
    writeln!(out, "  workspace  {WORKSPACE_ID}")?;
    if let WorkspaceClock::Held { at } = config.settings.clock {
        writeln!(out, "  clock      held at {} in new workspaces", to_iso(at))?;
    }
    if let Database::Private(private) = database {
        writeln!(out, "  database   psql '{}'", private.url())?;
        if config.ephemeral {
            writeln!(out, "  data       gone when the server stops")?;
        }
    }
    writeln!(out, "\n  locks")?;
    for lock in locks {
        writeln!(out, "    {:<16} {:<12} {}", lock.name, lock.brand.display_name, lock.device_id)?;
    }
    if config.fixtures.is_some() {
        writeln!(out, "\n  fixtures")?;
        for (workspace, api_key) in &loaded.created {
            writeln!(out, "    loaded   {}  {api_key}  {}", workspace.workspace_id, workspace.name)?;
        }
        for workspace_id in &loaded.left {
            writeln!(out, "    was here {workspace_id}  left as it is")?;
        }
    }
    if let [first, second, ..] = locks {
        writeln!(out, "\n  one PIN on two locks:\n")?;
        writeln!(
            out,
            "curl -s {base_url}/access_codes/create_multiple -H 'Authorization: Bearer {}' \
             -H 'Content-Type: application/json' -d '{{\"device_ids\":[\"{}\",\"{}\"],\"name\":\"My guest\"}}'\n",
            API_KEY, first.device_id, second.device_id
        )?;
    }
    writeln!(out, "ready on {base_url}")?;
    out.flush()
}
