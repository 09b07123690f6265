//! The server's log on standard error: its filter and its formats.

mod writer;

pub use self::writer::LastLines;

use self::writer::Lines as LineWriter;
use crate::config::Settings;
use std::fmt;
use std::io::{self, IsTerminal as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Target of the lines of the access log (`http/access_log.rs`), for the filter and for their format.
pub(crate) const REQUESTS: &str = "latchkey::requests";

/// Sets up the log. `RUST_LOG` overrides the filter of the settings. The last lines are written when the result is
/// dropped.
///
/// # Errors
/// The thread that writes the log cannot be started.
pub fn start(settings: &Settings) -> io::Result<LastLines> {
    let requests = if settings.quiet { "error" } else { "info" };
    let chosen = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|directives| !directives.is_empty());
    let filter = chosen
        .and_then(|directives| EnvFilter::try_new(directives).ok())
        .unwrap_or_else(|| EnvFilter::new(format!("warn,{REQUESTS}={requests}")));
    let (writer, last_lines) = LineWriter::start(io::stderr())?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    if settings.log_json {
        log.json().with_span_list(false).init();
    } else {
        let wants_colors = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        log.with_ansi(wants_colors && io::stderr().is_terminal()).event_format(Lines::default()).init();
    }
    Ok(last_lines)
}

/// Format for people: a short line for each request, and the usual format for all other lines.
#[derive(Default)]
struct Lines {
    other: Format<Full, SystemTime>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if event.metadata().target() != REQUESTS {
            return self.other.format_event(ctx, writer, event);
        }
        let mut line = RequestLine::default();
        event.record(&mut line);
        SystemTime.format_time(&mut writer)?;
        line.write(&mut writer)
    }
}

/// Fields of a line of the access log.
#[derive(Default)]
struct RequestLine {
    method: String,
    path: String,
    status: u64,
    duration_ms: f64,
    request_id: String,
    request_body: String,
    response_body: String,
}

impl RequestLine {
    /// Writes time-independent parts: ` POST /access_codes/create 200 4.2 ms ID`, and the bodies on lines of their own.
    fn write(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let (begin, end) = match self.status {
            _ if !writer.has_ansi_escapes() => ("", ""),
            500.. => ("\x1b[31m", "\x1b[0m"),
            400..=499 => ("\x1b[33m", "\x1b[0m"),
            _ => ("\x1b[32m", "\x1b[0m"),
        };
        let Self { method, path, status, duration_ms, request_id, .. } = self;
        writeln!(writer, " {method} {path} {begin}{status}{end} {duration_ms:.1} ms {request_id}")?;
        for (mark, body) in [('>', &self.request_body), ('<', &self.response_body)] {
            if !body.is_empty() {
                writeln!(writer, "  {mark} {body}")?;
            }
        }
        Ok(())
    }
}

impl Visit for RequestLine {
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        let text = match field.name() {
            "method" => &mut self.method,
            "path" => &mut self.path,
            "request_id" => &mut self.request_id,
            "request_body" => &mut self.request_body,
            "response_body" => &mut self.response_body,
            _ => return,
        };
        value.clone_into(text);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "status" {
            self.status = value;
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "duration_ms" {
            self.duration_ms = value;
        }
    }
}
