//! `/_emulator/stream`: requests and events of a workspace as they occur, as server-sent events.

use super::{Control, requests};
use crate::api::body::event::EventBody;
use crate::engine::app::App;
use crate::engine::request_log::{LoggedRequest, StreamMessage};
use crate::error::Result;
use crate::store::events::EventRow;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

/// Idle time after which a keep-alive comment is sent.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Maximum number of messages that wait for the client, in addition to those that the request log buffers.
const BUFFER: usize = 16;

#[derive(Deserialize)]
pub(super) struct Listen {
    #[serde(default)]
    unauthenticated: bool,
    max_per_second: Option<f64>,
}

/// Duration of the periods in which the messages are counted for `max_per_second`.
const PERIOD: Duration = Duration::from_secs(1);

/// Time for which a stream with `max_per_second` waits when it has read all messages, so that messages are read together
/// and not each of them wakes a task. The request log buffers what many requests add meanwhile.
const PAUSE: Duration = Duration::from_millis(25);

/// Sends requests and events until the client disconnects or the server stops.
pub(super) async fn listen(
    call: Control<Listen>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>> {
    let workspace_id = requests::selected_workspace(&call, call.input.unauthenticated).await?;
    let messages = call.app.request_log.subscribe();
    let last = call.headers.get("last-event-id").and_then(|id| id.to_str().ok());
    // The id of another process's message is unknown here. In that case all stored requests are sent.
    let last = last.map(|id| call.app.request_log.number_of(id).unwrap_or(0));
    let (sender, mut events) = channel(BUFFER);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the contract limits it")]
    let max_per_second = call.input.max_per_second.map(|number| number as u32);
    let app = call.app;
    tokio::spawn(async move {
        let mut stream = EventStream { app: app.clone(), workspace_id, max_per_second, sent: 0, last: 0, sender };
        tokio::select! {
            // Returns only when the client has disconnected, so the result is not needed.
            _ = stream.run(messages, last) => {}
            () = app.stopping.cancelled() => {}
        }
    });
    let events = stream::poll_fn(move |cx| events.poll_recv(cx).map(|event| event.map(Ok)));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive")))
}

/// Stream of messages to one client.
struct EventStream {
    app: App,
    workspace_id: Option<Uuid>,
    /// Maximum number of messages in a [`PERIOD`]; `None`: unlimited.
    max_per_second: Option<u32>,
    /// Number of messages in this period.
    sent: u32,
    /// Number of the last request that was sent, or skipped because it belongs to another workspace.
    last: u64,
    sender: Sender<Event>,
}

impl EventStream {
    /// Sends messages until the client disconnects; then returns `None`.
    async fn run(&mut self, mut messages: Receiver<StreamMessage>, last: Option<u64>) -> Option<()> {
        // Send a comment immediately, so that the client can see that the stream is open.
        self.sender.send(Event::default().comment("listening")).await.ok()?;
        if let Some(last) = last {
            let (stored, _) = self.app.request_log.after(last);
            let too_many = self.max_per_second.map_or(0, |limit| stored.len().saturating_sub(limit as usize));
            if too_many > 0 {
                self.message(None, "missed", &json!({ "missed": too_many })).await?;
            }
            for entry in &stored[too_many..] {
                self.request(entry).await?;
            }
        }
        let mut period_end = Instant::now() + PERIOD;
        loop {
            let message = tokio::select! {
                message = messages.recv() => message,
                () = self.sender.closed() => return None,
            };
            self.pass_on(message).await?;
            let Some(limit) = self.max_per_second else { continue };
            if Instant::now() >= period_end {
                (self.sent, period_end) = (0, Instant::now() + PERIOD);
            }
            if self.sent >= limit {
                self.pause(period_end).await?;
                // What was added meanwhile is neither read nor converted, so that a busy server has no work with it.
                let missed = messages.len();
                messages = messages.resubscribe();
                if missed > 0 {
                    self.message(None, "missed", &json!({ "missed": missed })).await?;
                }
            } else if messages.is_empty() {
                self.pause(Instant::now() + PAUSE).await?;
            }
        }
    }

    /// Waits until an instant. Returns `None` if the client disconnects.
    async fn pause(&self, until: Instant) -> Option<()> {
        tokio::select! {
            () = sleep_until(until) => Some(()),
            () = self.sender.closed() => None,
        }
    }

    /// Sends what belongs to the workspace. Returns `None` if the client has disconnected.
    async fn pass_on(&mut self, message: Result<StreamMessage, RecvError>) -> Option<()> {
        match message {
            Ok(StreamMessage::Request(entry)) => self.request(&entry).await,
            Ok(StreamMessage::Event(event)) if Some(event.workspace_id) == self.workspace_id => {
                let data = serde_json::to_value(EventBody::from(EventRow::from((*event).clone()))).ok()?;
                self.message(None, "event", &data).await
            }
            Ok(StreamMessage::Event(_)) => Some(()),
            // The client reads too slowly. The number includes messages of other workspaces.
            Err(RecvError::Lagged(missed)) => self.message(None, "missed", &json!({ "missed": missed })).await,
            Err(RecvError::Closed) => None,
        }
    }

    /// Sends a request, unless it belongs to another workspace or was sent before.
    async fn request(&mut self, entry: &LoggedRequest) -> Option<()> {
        if entry.number <= self.last {
            return Some(());
        }
        self.last = entry.number;
        if entry.workspace_id != self.workspace_id {
            return Some(());
        }
        let id = self.app.request_log.cursor(entry.number);
        let data = requests::request_json(&self.app, entry);
        self.message(Some(&id), "request", &data).await
    }

    async fn message(&mut self, id: Option<&str>, event: &str, data: &Value) -> Option<()> {
        self.sent += 1;
        let message = id.map_or_else(Event::default, |id| Event::default().id(id));
        // Serialized JSON contains no line breaks, which would split the message.
        self.sender.send(message.event(event).data(data.to_string())).await.ok()
    }
}
