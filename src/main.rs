//! Command line: starts the database and the server, prints their addresses, and stops both.

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use latchkey::background::Announcement;
use latchkey::{
    API_KEY, App, Command, CommandLine, Config, Database, Device, Fixtures, Loaded, PERSONAL_ACCESS_TOKEN, PoolLimits,
    Probe, Stop, WORKSPACE_ID, WorkspaceClock, attach, connect, doctor, ensure_sandbox, env, exec, fixtures, health,
    load_seed_of_fake, log, reset, run_probe, serve, to_iso,
};
use std::error::Error;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;

/// A response needs many small allocations: with the allocator of the system they took a fifth of the time of a list
/// request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Delays, one after the other, after which memory is returned to the system when much of it became free. The first can
/// be too early: the response may not be sent yet.
const MEMORY_RELEASE_DELAYS: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(3), Duration::from_secs(30)];

/// Returns memory to the system whenever much of it became free. The allocator alone would wait for the next request.
async fn return_memory(app: App) {
    loop {
        app.memory_freed().await;
        for delay in MEMORY_RELEASE_DELAYS {
            tokio::time::sleep(delay).await;
            collect();
        }
    }
}

/// Returns free memory, which the allocator reserves for later allocations, to the system.
#[expect(unsafe_code, reason = "the allocator has a C interface")]
fn collect() {
    // SAFETY: the function takes no pointers, may be called at any time from any thread, and does not touch memory in
    // use.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

/// Makes the kernel use memory in pages of the usual size for this process and those that it starts. With huge pages, an idle server has more than
/// twice the memory, and answers no faster.
fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages cannot be disabled");
    }
}

/// Removes the empty variables of options: an empty variable counts as unset.
#[expect(unsafe_code, reason = "other threads must not read the environment meanwhile")]
fn unset_empty_variables() {
    let command = CommandLine::command();
    let arguments = std::iter::once(&command).chain(command.get_subcommands()).flat_map(clap::Command::get_arguments);
    for name in arguments.filter_map(clap::Arg::get_env) {
        if std::env::var_os(name).is_some_and(|value| value.is_empty()) {
            // SAFETY: this is the first statement of the program, which has no other threads yet.
            unsafe { std::env::remove_var(name) }
        }
    }
}

fn main() -> ExitCode {
    unset_empty_variables();
    let matches = CommandLine::command().get_matches();
    let CommandLine { command, config } = CommandLine::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match command {
        None => return exit_code(with_port_of_fake(config, &matches).and_then(start)),
        Some(Command::Serve(config)) => {
            let options = matches.subcommand_matches("serve").unwrap_or(&matches);
            return exit_code(with_port_of_fake(*config, options).and_then(start));
        }
        Some(Command::Health(options)) => check_health(&options.server_url()),
        Some(Command::Doctor(config)) => run_doctor(&config),
        Some(Command::Exec(options)) => {
            let run = options.config.check().map_err(Into::into).and_then(|()| {
                exec::exec(&options.config, &server_options(), &options.command).map(ExitCode::from).map_err(Into::into)
            });
            return exit_code(run);
        }
        Some(Command::Attach(config)) => run_attach(&config),
        Some(Command::Env(options)) => env::script(&options.server_url()).map_err(Into::into).and_then(print),
        Some(Command::Reset(options)) => {
            let api_key = options.api_key.as_deref().unwrap_or(API_KEY);
            reset::reset(&options.server.server_url(), api_key).map(|()| true).map_err(Into::into)
        }
        Some(Command::Probe(options)) => return print_probe(&options),
        Some(Command::Completion { shell }) => {
            clap_complete::generate(shell, &mut CommandLine::command(), "latchkey", &mut std::io::stdout());
            Ok(true)
        }
        Some(Command::FixturesSchema) => print(fixtures::SCHEMA.trim_end()),
    };
    exit_code(result.map(|is_fine| if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

/// Returns the exit code of a command, and prints its error on standard error.
fn exit_code(result: Result<ExitCode, Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "latchkey: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a text on standard output. Returns true, the result of a successful command.
fn print(text: impl std::fmt::Display) -> Result<bool, Box<dyn Error>> {
    writeln!(std::io::stdout(), "{text}")?;
    Ok(true)
}

/// Prints the state of a healthy server and returns true. A server that is not healthy is an error.
fn check_health(url: &str) -> Result<bool, Box<dyn Error>> {
    print(health::ask(url)?)
}

/// Returns the options of the server in the arguments of `attach` and `exec`: those after the command and before `--`.
fn server_options() -> Vec<OsString> {
    std::env::args_os().skip(2).take_while(|argument| argument != "--").collect()
}

/// Prints the shared server, and keeps it running until standard input ends. A server that ends before is an error.
fn run_attach(config: &Config) -> Result<bool, Box<dyn Error>> {
    config.check()?;
    let server = attach::attach(config, &server_options())?;
    print(serde_json::to_string(server.info())?)?;
    let (ended, end) = std::sync::mpsc::channel();
    let watch = server.watch();
    let of_server = ended.clone();
    std::thread::spawn(move || of_server.send(watch.wait_until_ended()));
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut ignored = [0; 1024];
        while !matches!(input.read(&mut ignored), Ok(0) | Err(_)) {}
        ended.send(Ok(()))
    });
    end.recv()??;
    Ok(true)
}

/// Exit code of a probe that could not be made.
const NO_PROBE: u8 = 2;

/// Prints the report of a probe, and writes it to the file of the options.
fn print_probe(options: &Probe) -> ExitCode {
    let report = match run_probe(options) {
        Ok(report) => report,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "latchkey: {error}");
            return ExitCode::from(NO_PROBE);
        }
    };
    // First, so that a file that cannot be written loses nothing.
    let printed = writeln!(std::io::stdout(), "{}", report.markdown().trim_end());
    if let Some(file) = &options.report
        && let Err(error) = report.write(file)
    {
        let _ = writeln!(std::io::stderr(), "latchkey: cannot write the report to {}: {error}", file.display());
        return ExitCode::from(NO_PROBE);
    }
    if let Err(error) = printed
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        let _ = writeln!(std::io::stderr(), "latchkey: cannot print the report: {error}");
        return ExitCode::from(NO_PROBE);
    }
    let _ = writeln!(std::io::stderr(), "latchkey: {}", report.summary());
    match report.is_same() {
        _ if report.is_empty() => ExitCode::from(NO_PROBE),
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Prints the findings of [`doctor`]. Returns true if a server can start.
fn run_doctor(config: &Config) -> Result<bool, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let findings = runtime.block_on(doctor::check(&config.clone().completed()?));
    for finding in &findings {
        print(finding)?;
    }
    Ok(findings.iter().all(doctor::Finding::is_fine))
}

/// Sets the port of a server that behaves as Seam's own fake to that of the variable `PORT`, unless an option or another
/// variable sets it.
fn with_port_of_fake(mut config: Config, options: &ArgMatches) -> Result<Config, Box<dyn Error>> {
    let port = std::env::var_os("PORT").filter(|port| !port.is_empty());
    if config.settings.like_fake
        && options.value_source("port") == Some(ValueSource::DefaultValue)
        && let Some(port) = port
    {
        let port = port.to_str().and_then(|port| port.parse().ok());
        config.address.port = port.ok_or("the variable PORT is no port: set it to 0 to 65535, or use --port")?;
    }
    Ok(config)
}

/// Starts the database and the server, and serves until the server is stopped.
fn start(config: Config) -> Result<ExitCode, Box<dyn Error>> {
    config.check()?;
    let config = &config.completed()?;
    let _lines = log::start(&config.settings)?;
    use_small_pages();
    let announcement = Announcement::begin()?;
    // Before any slow step, so that a signal during the start is handled.
    let stop = Stop::on_signals()?;
    // Before the database is started: no database is needed to find mistakes in the file.
    let fixtures = config.fixtures.as_deref().map(|file| Fixtures::read(file, &config.settings)).transpose()?;
    let mut database = Database::open(config, stop.graceful.clone())?;
    let failed = database.wait_until_failed();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        tokio::select! {
            served = run(config, &database, fixtures, announcement.as_ref(), &stop) => served,
            reason = failed => Err(format!("the private PostgreSQL cannot be kept running: {reason}").into()),
        }
    });
    // Ends all tasks that use the database before the private server is stopped. The timeout also limits the wait for
    // blocking tasks, such as name lookups.
    runtime.shutdown_timeout(CLOSE_TIMEOUT);
    database.close()?;
    served?;
    Ok(stop.exit_code().map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// Timeout for closing the connections to the database. The runtime then has the same time again to stop.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves until the server is stopped.
async fn run(
    config: &Config,
    database: &Database,
    fixtures: Option<Fixtures>,
    announcement: Option<&Announcement>,
    stop: &Stop,
) -> Result<(), Box<dyn Error>> {
    let (app, listener) = tokio::select! {
        // A stop that was requested before has priority.
        biased;
        () = stop.graceful.cancelled() => return Ok(()),
        ready = prepare(config, database, fixtures) => ready?,
    };
    let pools = app.pools();
    let returning_memory = tokio::spawn(return_memory(app.clone()));
    if let Some(announcement) = announcement {
        announcement.ready(format!("http://{}", listener.local_addr()?))?;
    }
    let serving = serve(app, listener, stop);
    tokio::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        () = unused(announcement) => {
            stop.graceful.cancel();
            serving.await
        }
    };
    returning_memory.abort();
    served?;
    tokio::select! {
        _ = tokio::time::timeout(CLOSE_TIMEOUT, pools.close()) => {}
        () = stop.immediate.cancelled() => {}
    }
    Ok(())
}

/// Waits until a server in the background has no users any more. Any other server runs until it is stopped.
async fn unused(announcement: Option<&Announcement>) {
    match announcement {
        Some(announcement) => announcement.wait_until_unused().await,
        None => std::future::pending().await,
    }
}

/// Connects to the database, creates the sandbox and the fixtures, opens the listener, and prints the welcome text.
async fn prepare(
    config: &Config,
    database: &Database,
    fixtures: Option<Fixtures>,
) -> Result<(App, TcpListener), Box<dyn Error>> {
    let pools = connect(database, PoolLimits::of(&config.settings)).await?;
    let app = App::new(config.settings.clone(), pools)?;
    let locks = ensure_sandbox(&app).await?;
    if config.settings.like_fake {
        load_seed_of_fake(&app).await?;
    }
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

/// Prints addresses, credentials and locks, and a first request to try.
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
    writeln!(out, "  base url      {base_url}")?;
    writeln!(out, "  console       {base_url} in a browser")?;
    writeln!(out, "  api key       {API_KEY}")?;
    writeln!(out, "  access token  {PERSONAL_ACCESS_TOKEN}")?;
    writeln!(out, "  workspace     {WORKSPACE_ID}")?;
    if config.settings.like_fake {
        writeln!(out, "  as the fake   its ids and tokens: curl {base_url}/_fake/default_seed")?;
    }
    if let WorkspaceClock::Held { at } = config.settings.clock {
        writeln!(out, "  clock         held at {} in new workspaces", to_iso(at))?;
    }
    match database {
        Database::Named(_) => writeln!(out, "  data          in the PostgreSQL of DATABASE_URL")?,
        Database::Private(private) => {
            writeln!(out, "  database      psql '{}'", private.url())?;
            if config.ephemeral {
                writeln!(out, "  data          deleted when the server stops")?;
            } else {
                writeln!(out, "  data          {}", private.data_directory().display())?;
            }
        }
    }
    writeln!(out, "  reset         curl -X POST {base_url}/_emulator/workspaces/reset")?;
    writeln!(out, "  stop          Ctrl-C")?;
    writeln!(out, "\n  locks")?;
    for lock in locks {
        writeln!(out, "    {:<16} {:<12} {}", lock.display_name(), lock.brand.display_name, lock.device_id)?;
    }
    if config.fixtures.is_some() {
        writeln!(out, "\n  fixtures")?;
        for (workspace, api_key) in &loaded.created {
            writeln!(out, "    created  {}  {api_key}  {}", workspace.workspace_id, workspace.name)?;
        }
        for workspace_id in &loaded.unchanged {
            writeln!(out, "    exists   {workspace_id}  unchanged")?;
        }
    }
    if let [first, second, ..] = locks {
        writeln!(out, "\n  a first request, one PIN on two locks:\n")?;
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
