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
use uuid::Uuid;

/// Idle time after which a keep-alive comment is sent.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Maximum number of messages that wait for the client, in addition to those that the request log buffers.
const BUFFER: usize = 16;

#[derive(Deserialize)]
pub(super) struct Listen {
    #[serde(default)]
    unauthenticated: bool,
}

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
    let app = call.app;
    tokio::spawn(async move {
        let mut stream = EventStream { app: app.clone(), workspace_id, last: 0, sender };
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
            for entry in self.app.request_log.after(last) {
                self.request(&entry).await?;
            }
        }
        loop {
            let message = tokio::select! {
                message = messages.recv() => message,
                () = self.sender.closed() => return None,
            };
            match message {
                Ok(StreamMessage::Request(entry)) => self.request(&entry).await?,
                Ok(StreamMessage::Event(event)) if Some(event.workspace_id) == self.workspace_id => {
                    let data = serde_json::to_value(EventBody::from(EventRow::from((*event).clone()))).ok()?;
                    self.message(None, "event", &data).await?;
                }
                Ok(StreamMessage::Event(_)) => {}
                // The client reads too slowly. The number includes messages of other workspaces.
                Err(RecvError::Lagged(missed)) => {
                    self.message(None, "missed", &json!({ "missed": missed })).await?;
                }
                Err(RecvError::Closed) => return None,
            }
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
        let message = id.map_or_else(Event::default, |id| Event::default().id(id));
        // Serialized JSON contains no line breaks, which would split the message.
        self.sender.send(message.event(event).data(data.to_string())).await.ok()
    }
}
