//! `/_emulator/stream`: requests and events of a workspace as they come, as server-sent events.

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

/// After how long without anything to tell a sign of life is sent.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How many messages wait for the client to read them, besides those in the log.
const BUFFER: usize = 16;

#[derive(Deserialize)]
pub(super) struct Listen {
    #[serde(default)]
    unauthenticated: bool,
}

/// Tells of requests and events until the client or the server leaves.
pub(super) async fn listen(
    call: Control<Listen>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>> {
    let workspace_id = requests::whose(&call, call.input.unauthenticated).await?;
    let messages = call.app.requests.listen();
    let last = call.headers.get("last-event-id").and_then(|id| id.to_str().ok());
    // What another process told is not known here: then everything that is kept is told.
    let last = last.map(|id| call.app.requests.number_of(id).unwrap_or(0));
    let (sender, mut events) = channel(BUFFER);
    let app = call.app;
    tokio::spawn(async move {
        let mut stream = EventStream { app: app.clone(), workspace_id, last: 0, sender };
        tokio::select! {
            // `None`: the client has left, and nobody is to be told.
            _ = stream.run(messages, last) => {}
            () = app.stopping.cancelled() => {}
        }
    });
    let events = stream::poll_fn(move |cx| events.poll_recv(cx).map(|event| event.map(Ok)));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive")))
}

/// A client that is told.
struct EventStream {
    app: App,
    workspace_id: Option<Uuid>,
    /// The number of the last request it was told of.
    last: u64,
    sender: Sender<Event>,
}

impl EventStream {
    /// Ends when the client has left.
    async fn run(&mut self, mut messages: Receiver<StreamMessage>, last: Option<u64>) -> Option<()> {
        // Something at once, so that the client knows that it is heard.
        self.sender.send(Event::default().comment("listening")).await.ok()?;
        if let Some(last) = last {
            for entry in self.app.requests.after(last) {
                self.request(&entry).await?;
            }
        }
        loop {
            let heard = tokio::select! {
                heard = messages.recv() => heard,
                () = self.sender.closed() => return None,
            };
            match heard {
                Ok(StreamMessage::Request(entry)) => self.request(&entry).await?,
                Ok(StreamMessage::Event(event)) if Some(event.workspace_id) == self.workspace_id => {
                    let data = serde_json::to_value(EventBody::from(EventRow::from((*event).clone()))).ok()?;
                    self.message(None, "event", &data).await?;
                }
                Ok(StreamMessage::Event(_)) => {}
                Err(RecvError::Lagged(missed)) => {
                    self.message(None, "missed", &json!({ "missed": missed })).await?;
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Tells of a request, unless it is another workspace's or known already.
    async fn request(&mut self, entry: &LoggedRequest) -> Option<()> {
        if entry.number <= self.last {
            return Some(());
        }
        self.last = entry.number;
        if entry.workspace_id != self.workspace_id {
            return Some(());
        }
        let id = self.app.requests.cursor(entry.number);
        let data = requests::shown(&self.app, entry);
        self.message(Some(&id), "request", &data).await
    }

    async fn message(&mut self, id: Option<&str>, event: &str, data: &Value) -> Option<()> {
        let message = id.map_or_else(Event::default, |id| Event::default().id(id));
        // JSON has no line breaks of its own.
        self.sender.send(message.event(event).data(data.to_string())).await.ok()
    }
}
