//! `/_emulator/stream`: requests and events of a workspace as they come, as server-sent events.

use super::{Control, requests};
use crate::engine::app::App;
use crate::engine::request_log::{Entry, Told};
use crate::error::Result;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use http_body_util::channel::{Channel, Sender};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
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
pub(super) async fn listen(call: Control<Listen>) -> Result<Response> {
    let workspace_id = requests::whose(&call, call.input.unauthenticated).await?;
    let told = call.app.requests.listen();
    let last = call.headers.get("last-event-id").and_then(|id| id.to_str().ok());
    // What another process told is not known here: then everything that is kept is told.
    let last = last.map(|id| call.app.requests.number_of(id).unwrap_or(0));
    let (sender, body) = Channel::<Bytes>::new(BUFFER);
    let app = call.app;
    tokio::spawn(async move {
        let mut telling = Telling { app: app.clone(), workspace_id, last: 0, sender };
        tokio::select! {
            // `None`: the client has left, and nobody is to be told.
            _ = telling.tell(told, last) => {}
            () = app.stopping.cancelled() => {}
        }
    });
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// A client that is told.
struct Telling {
    app: App,
    workspace_id: Option<Uuid>,
    /// The number of the last request it was told of.
    last: u64,
    sender: Sender<Bytes>,
}

impl Telling {
    /// Ends when the client has left.
    async fn tell(&mut self, mut told: Receiver<Told>, last: Option<u64>) -> Option<()> {
        // Something at once, so that the client knows that it is heard.
        self.send(": listening\n\n".to_owned()).await?;
        if let Some(last) = last {
            for entry in self.app.requests.after(last) {
                self.request(&entry).await?;
            }
        }
        loop {
            match tokio::time::timeout(KEEP_ALIVE, told.recv()).await {
                Err(_) => self.send(": keep-alive\n\n".to_owned()).await?,
                Ok(Ok(Told::Request(entry))) => self.request(&entry).await?,
                Ok(Ok(Told::Event(event))) if Some(event.workspace_id) == self.workspace_id => {
                    let data = serde_json::to_value(&*event).ok()?;
                    self.message(None, "event", &data).await?;
                }
                Ok(Ok(Told::Event(_))) => {}
                Ok(Err(RecvError::Lagged(missed))) => {
                    self.message(None, "missed", &json!({ "missed": missed })).await?;
                }
                Ok(Err(RecvError::Closed)) => return None,
            }
        }
    }

    /// Tells of a request, unless it is another workspace's or known already.
    async fn request(&mut self, entry: &Entry) -> Option<()> {
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
        let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
        // JSON has no line breaks of its own.
        self.send(format!("{id}event: {event}\ndata: {data}\n\n")).await
    }

    async fn send(&mut self, text: String) -> Option<()> {
        self.sender.send_data(text.into()).await.ok()
    }
}
