//! Whatever a mail worker tells the server, and whatever a server asks of a worker.
#![no_main]

use bytes::BytesMut;
use hinomi_mail::connector::maildir::MaildirConnector;
use hinomi_mail::connector::{Connector, ConnectorError, Search, Tenant, TraceAsked, Whole};
use hinomi_mail::worker::frame::Frame;
use hinomi_mail::worker::message::{FromWorker, ToWorker};
use hinomi_mail::worker::{Link, RemoteConnector, Served, Workers, serve};
use hinomi_model::Timestamp;
use libfuzzer_sys::fuzz_target;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

#[derive(Debug)]
struct One(Arc<Link>);

impl Workers for One {
    fn link(&self) -> Pin<Box<dyn Future<Output = Result<Arc<Link>, ConnectorError>> + Send + '_>> {
        Box::pin(async { Ok(Arc::clone(&self.0)) })
    }
}

fuzz_target!(|data: &[u8]| {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(frame)) = Frame::take(&mut buffer) {
        let _ = (ToWorker::read(&frame.head), FromWorker::read(&frame.head));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let (ours, theirs) = duplex(64 << 10);
        let _ = tokio::join!(say(theirs, data, true), listen(ours));
        let (ours, theirs) = duplex(64 << 10);
        let connector = Arc::new(MaildirConnector::new("/nonexistent/%u", 1).expect("template"));
        let _ = tokio::join!(say(ours, data, false), serve(theirs, Served { connector, whole: None, tenant: None }));
    });
});

/// Says the bytes: with a frame around each line, so that the heads behind the lengths are reached too.
async fn say(mut stream: DuplexStream, data: &[u8], ready: bool) {
    let mut bytes = Vec::new();
    if ready {
        let _ = Frame::put(b"{\"say\":\"ready\"}", &[], &mut bytes);
    }
    for line in data.split(|byte| *byte == b'\n') {
        let (head, piece) = line.split_at(line.iter().position(|byte| *byte == 0).unwrap_or(line.len()));
        let _ = Frame::put(head, piece, &mut bytes);
    }
    bytes.extend_from_slice(data);
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

async fn listen(stream: DuplexStream) {
    let Ok(link) = Link::open(stream).await else { return };
    let connector = RemoteConnector::new(Arc::new(One(Arc::new(link))), 1);
    if let Ok(mut walk) = connector.walk("b").await {
        let _ = walk.changes("INBOX", None).await;
        let _ = walk.fetch("1").await;
    }
    let _ = connector.owners().await;
    let (from, to) = (Timestamp::default(), Timestamp::default());
    let _ = connector.recipients(&TraceAsked { message_id: "x@y".to_owned(), from, to, max: 3 }).await;
    if let Ok(mut mailbox) = connector.open("a").await {
        let _ = mailbox.candidates(&Search::MessageId("x".to_owned()), 3).await;
        let _ = mailbox.folder(hinomi_mail::connector::FolderRole::Inbox).await;
    }
}
