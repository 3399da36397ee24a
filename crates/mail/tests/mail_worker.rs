//! The mail worker's protocol: everything a connector does goes through unchanged, and neither end
//! can hurt the other.

use bytes::{Bytes, BytesMut};
use hinomi_mail::connector::maildir::MaildirConnector;
use hinomi_mail::connector::{Connector, ConnectorError, Folder, FolderRole, MailId, Mark, NewMail, Place, Search};
use hinomi_mail::worker::frame::{Frame, HEAD_BYTES_MAX, PIECE_BYTES_MAX};
use hinomi_mail::worker::message::{Ask, FromWorker, MailHead, Tell, ToWorker};
use hinomi_mail::worker::{Link, RemoteConnector, Served, Workers, refuse, serve};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// A worker that is there once.
#[derive(Debug)]
struct One(Mutex<Option<Arc<Link>>>);

impl Workers for One {
    fn link(&self) -> futures::future::BoxFuture<'_, Result<Arc<Link>, ConnectorError>> {
        let link = self.0.lock().expect("lock").clone();
        Box::pin(async move { link.ok_or_else(|| ConnectorError::refused("no worker")) })
    }
}

async fn remote(stream: DuplexStream) -> (RemoteConnector, Arc<Link>) {
    let link = Arc::new(Link::open(stream).await.expect("ready"));
    (RemoteConnector::new(Arc::new(One(Mutex::new(Some(Arc::clone(&link))))), 4), link)
}

fn maildirs(dir: &Path) -> Served {
    let template = format!("{}/%u", dir.display());
    Served { connector: Arc::new(MaildirConnector::new(&template, 4).expect("template")), whole: None, tenant: None }
}

fn mail(id: &str, bytes: usize) -> Bytes {
    let mut raw = format!("From: a@x.test\r\nMessage-ID: <{id}@x.test>\r\nSubject: s\r\n\r\n").into_bytes();
    let line = b"0123456789abcdef0123456789abcdef\r\n";
    while raw.len() < bytes {
        raw.extend_from_slice(line);
    }
    raw.into()
}

fn make_maildir(dir: &Path, user: &str) {
    for part in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(dir.join(user).join(part)).expect("maildir");
    }
}

#[tokio::test]
async fn a_mailbox_works_the_same_through_a_worker() {
    let dir = tempfile::tempdir().expect("temp dir");
    make_maildir(dir.path(), "alice");
    let (ours, theirs) = duplex(64 << 10);
    let worker = tokio::spawn(serve(theirs, maildirs(dir.path())));
    let (connector, link) = remote(ours).await;
    assert_eq!(connector.concurrency(), 4);
    let mut mailbox = connector.open("alice").await.expect("opens");
    assert!(mailbox.abilities().puts, "what is known without an answer is told with the opening");
    let inbox = mailbox.folder(FolderRole::Inbox).await.expect("inbox");
    let mark = mailbox.mark(&inbox).await.expect("mark");
    // several pieces, the last one short
    let raw = mail("big", 3 * PIECE_BYTES_MAX + 17);
    let new = NewMail {
        flags: vec!["\\Seen".to_owned()],
        internal_date: "22-Nov-2026 02:27:03 +0000".to_owned(),
        raw: raw.clone(),
    };
    let kept = mailbox.put(&mark, &new).await.expect("stored");
    assert_eq!((&kept.raw, &kept.flags, &kept.internal_date), (&raw, &new.flags, &new.internal_date));
    let search = Search::MessageId("big@x.test".to_owned());
    let found = mailbox.candidates(&search, 10).await.expect("found");
    assert_eq!(found, std::slice::from_ref(&kept));
    assert_eq!(mailbox.since(&mark, 10).await.expect("new"), std::slice::from_ref(&kept));
    assert!(mailbox.is_at(&kept.place).await.expect("there"));
    let junk = mailbox.folder(FolderRole::Junk).await.expect("junk");
    let moved = mailbox.relocate(&kept.place, &junk).await.expect("moved").expect("was there");
    assert!(!mailbox.is_at(&kept.place).await.expect("gone") && mailbox.is_at(&moved).await.expect("there"));
    assert_eq!(mailbox.relocate(&kept.place, &junk).await.expect("asked"), None, "not there any more");
    assert!(mailbox.destroy(&moved).await.expect("removed") && !mailbox.destroy(&moved).await.expect("gone"));
    // errors come as they are, and the session lives on
    let strange = Place { folder: inbox, id: MailId::Uid { uid_validity: 1, uid: 1 } };
    let error = mailbox.is_at(&strange).await.map(drop).expect_err("no id of a Maildir");
    assert!(!error.is_passing(), "{error}");
    assert_eq!(mailbox.candidates(&search, 10).await.expect("empty"), []);
    mailbox.close().await;
    let error = connector.open("nobody").await.map(drop);
    let later = connector.open("alice").await.expect("others go on");
    drop((error, later));
    drop((connector, link));
    worker.await.expect("ends").expect("when the server lets go");
}

#[tokio::test]
async fn mailboxes_are_worked_on_side_by_side() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (ours, theirs) = duplex(16 << 10);
    let worker = tokio::spawn(serve(theirs, maildirs(dir.path())));
    let (connector, _link) = remote(ours).await;
    let work = (0..40).map(|number| {
        let user = format!("user{number}");
        make_maildir(dir.path(), &user);
        let connector = connector.clone();
        tokio::spawn(async move {
            let mut mailbox = connector.open(&user).await.expect("opens");
            let inbox = mailbox.folder(FolderRole::Inbox).await.expect("inbox");
            let mark = mailbox.mark(&inbox).await.expect("mark");
            let raw = mail(&user, 10_000 * (number + 1));
            let date = "22-Nov-2026 02:27:03 +0000".to_owned();
            let new = NewMail { flags: Vec::new(), internal_date: date, raw: raw.clone() };
            assert_eq!(mailbox.put(&mark, &new).await.expect("stored").raw, raw);
            // some are left in the middle of a question
            if number % 4 == 0 {
                let search = Search::MessageId(format!("{user}@x.test"));
                let asked = mailbox.candidates(&search, 10);
                tokio::select! { biased; _ = asked => {}, () = tokio::task::yield_now() => {} }
                return;
            }
            let search = Search::MessageId(format!("{user}@x.test"));
            assert_eq!(mailbox.candidates(&search, 10).await.expect("found")[0].raw, raw);
            mailbox.close().await;
        })
    });
    for done in futures::future::join_all(work.collect::<Vec<_>>()).await {
        done.expect("worked");
    }
    assert!(!worker.is_finished());
}

/// Plays a worker: reads frames, writes what the test wants.
struct Liar {
    stream: DuplexStream,
    buffer: BytesMut,
}

impl Liar {
    async fn begin() -> (Liar, RemoteConnector, Arc<Link>) {
        let (ours, theirs) = duplex(1 << 20);
        let mut liar = Liar { stream: theirs, buffer: BytesMut::new() };
        liar.say(&FromWorker::Ready, &[]).await;
        let (connector, link) = remote(ours).await;
        (liar, connector, link)
    }

    async fn say(&mut self, said: &FromWorker, piece: &[u8]) {
        let mut bytes = Vec::new();
        Frame::put(&serde_json::to_vec(said).expect("JSON"), piece, &mut bytes).expect("frame");
        // the server may have hung up already
        let _ = self.stream.write_all(&bytes).await;
    }

    async fn tell(&mut self, session: u64, tell: Tell, piece: &[u8]) {
        self.say(&FromWorker::Told { session, tell }, piece).await;
    }

    async fn hear(&mut self) -> ToWorker {
        loop {
            if let Some(frame) = Frame::take(&mut self.buffer).expect("frames") {
                return ToWorker::read(&frame.head).expect("said");
            }
            assert!(self.stream.read_buf(&mut self.buffer).await.expect("reads") > 0, "the server hung up");
        }
    }

    /// Lets a mailbox be opened and answers its first question with lies.
    async fn lies(tells: Vec<(Tell, Vec<u8>)>) -> (ConnectorError, Option<String>) {
        let (mut liar, connector, link) = Liar::begin().await;
        let lying = tokio::spawn(async move {
            let ToWorker::Open { session, .. } = liar.hear().await else { panic!("no opening") };
            liar.tell(session, Tell::Opened { folders: Vec::new() }, &[]).await;
            let ToWorker::Ask { .. } = liar.hear().await else { panic!("no question") };
            for (tell, piece) in tells {
                liar.tell(session, tell, &piece).await;
            }
            liar
        });
        let mut mailbox = connector.open("alice").await.expect("opens");
        let search = Search::MessageId("x".to_owned());
        let error = mailbox.candidates(&search, 2).await.map(drop).expect_err("a lie");
        drop(lying.await.expect("lied"));
        (error, link.over())
    }
}

fn head(size: u64) -> Tell {
    let folder = Folder { id: "INBOX".to_owned(), name: "INBOX".to_owned(), role: None };
    let place = Place { folder, id: MailId::Uid { uid_validity: 1, uid: 1 } };
    Tell::Mail(MailHead { place, flags: Vec::new(), internal_date: String::new(), size })
}

#[tokio::test]
async fn a_worker_that_lies_is_cut_off() {
    let one = || (head(1), Vec::new());
    let piece = |bytes: usize| (Tell::Piece, vec![b'x'; bytes]);
    for (what, tells) in [
        ("another kind of answer", vec![(Tell::Flag(true), Vec::new())]),
        ("more mails than asked for", vec![one(), piece(1), one(), piece(1), one(), piece(1)]),
        ("more bytes than announced", vec![one(), piece(2)]),
        ("pieces without a mail", vec![piece(1)]),
        ("empty pieces", vec![one(), piece(0)]),
        ("an end within a mail", vec![one(), (Tell::End, Vec::new())]),
        ("a mail beyond all measure", vec![(head(u64::MAX), Vec::new())]),
    ] {
        let (error, over) = Liar::lies(tells).await;
        assert!(error.is_passing(), "{what}: the next worker may do better: {error}");
        assert!(over.is_some(), "{what}: nobody believes it any more");
    }
}

#[tokio::test]
async fn answers_must_fit_the_places_asked_about() {
    let (mut liar, connector, link) = Liar::begin().await;
    let inbox = Folder { id: "INBOX".to_owned(), name: "INBOX".to_owned(), role: Some(FolderRole::Inbox) };
    let lying = tokio::spawn(async move {
        let ToWorker::Open { session, .. } = liar.hear().await else { panic!("no opening") };
        liar.tell(session, Tell::Opened { folders: Vec::new() }, &[]).await;
        let ToWorker::Ask { ask: Ask::Relocate { from, .. }, .. } = liar.hear().await else { panic!("no question") };
        // a proof that is about another folder than the one the mail should be in
        liar.tell(session, Tell::Place(Some(from)), &[]).await;
        liar
    });
    let mut mailbox = connector.open("alice").await.expect("opens");
    let place = Place { folder: inbox, id: MailId::Uid { uid_validity: 1, uid: 1 } };
    let junk = Folder { id: "Junk".to_owned(), name: "Junk".to_owned(), role: Some(FolderRole::Junk) };
    assert!(mailbox.relocate(&place, &junk).await.is_err());
    assert!(link.over().is_some());
    drop(lying.await.expect("lied"));
}

#[tokio::test]
async fn a_worker_that_dies_fails_what_is_in_flight_as_passing() {
    let (mut liar, connector, link) = Liar::begin().await;
    let lying = tokio::spawn(async move {
        let ToWorker::Open { session, .. } = liar.hear().await else { panic!("no opening") };
        liar.tell(session, Tell::Opened { folders: Vec::new() }, &[]).await;
        let ToWorker::Ask { .. } = liar.hear().await else { panic!("no question") };
        // dies with the answer half told
        liar.tell(session, head(10), &[]).await;
        liar.tell(session, Tell::Piece, b"12345").await;
    });
    let mut mailbox = connector.open("alice").await.expect("opens");
    let error = mailbox.candidates(&Search::MessageId("x".to_owned()), 2).await.map(drop).expect_err("died");
    assert!(error.is_passing(), "{error}");
    lying.await.expect("played");
    assert_eq!(link.ended().await, "it ended");
    assert!(connector.open("bob").await.map(drop).expect_err("no worker").is_passing());
}

#[tokio::test]
async fn nonsense_instead_of_frames_ends_a_link() {
    for nonsense in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &[0xff; 64], &[2, 0, 0, 0, 0, 0, 0, 0, b'{', b'}']] {
        let (mut liar, _connector, link) = Liar::begin().await;
        liar.stream.write_all(nonsense).await.expect("said");
        assert!(!link.ended().await.is_empty());
    }
    for first in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"", &[1]] {
        let (ours, mut theirs) = duplex(1 << 16);
        theirs.write_all(first).await.expect("said");
        drop(theirs);
        assert!(Link::open(ours).await.is_err());
    }
    let (ours, theirs) = duplex(1 << 16);
    refuse(theirs, "no secret is stored".to_owned()).await.expect("said");
    assert_eq!(Link::open(ours).await.map(drop).expect_err("refused"), "no secret is stored");
}

/// Plays a server that does not keep to the protocol.
#[tokio::test]
async fn a_worker_survives_what_it_is_asked_or_ends_cleanly() {
    let dir = tempfile::tempdir().expect("temp dir");
    make_maildir(dir.path(), "alice");
    let framed = |said: &ToWorker, piece: &[u8]| {
        let mut bytes = Vec::new();
        Frame::put(&serde_json::to_vec(said).expect("JSON"), piece, &mut bytes).expect("frame");
        bytes
    };
    for nonsense in [
        b"\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        [(HEAD_BYTES_MAX as u32 + 1).to_le_bytes(), [0; 4]].concat(),
        [&[4, 0, 0, 0, 0, 0, 0, 0][..], b"null"].concat(),
        framed(&ToWorker::Open { session: 1, mailbox: String::new(), whole: false }, &[]),
    ] {
        let (mut ours, theirs) = duplex(1 << 16);
        let worker = tokio::spawn(serve(theirs, maildirs(dir.path())));
        ours.write_all(&nonsense).await.expect("said");
        assert!(worker.await.expect("no panic").is_err());
    }
    let (mut ours, theirs) = duplex(1 << 20);
    let worker = tokio::spawn(serve(theirs, maildirs(dir.path())));
    let mark = Mark {
        folder: Folder { id: String::new(), name: "Inbox".to_owned(), role: None },
        next: MailId::File { name: "x".to_owned() },
    };
    let put = Ask::Put { mark, flags: Vec::new(), internal_date: String::new(), size: 4 };
    for said in [
        // sessions that are not there
        framed(&ToWorker::Piece { session: 7 }, b"x"),
        framed(&ToWorker::Close { session: 7 }, &[]),
        framed(&ToWorker::Drop { session: 7 }, &[]),
        // bytes nobody announced, more bytes than announced, questions for another kind of session
        framed(&ToWorker::Open { session: 1, mailbox: "alice".to_owned(), whole: false }, &[]),
        framed(&ToWorker::Piece { session: 1 }, b"x"),
        framed(&ToWorker::Ask { session: 1, ask: put }, &[]),
        framed(&ToWorker::Piece { session: 1 }, b"too long"),
        framed(&ToWorker::Ask { session: 1, ask: Ask::Fetch("1".to_owned()) }, &[]),
        // a number twice, a mailbox outside of the folder, one that cannot be read whole
        framed(&ToWorker::Open { session: 1, mailbox: "alice".to_owned(), whole: false }, &[]),
        framed(&ToWorker::Open { session: 2, mailbox: "../alice".to_owned(), whole: false }, &[]),
        framed(&ToWorker::Open { session: 3, mailbox: "alice".to_owned(), whole: true }, &[]),
        framed(&ToWorker::Ping, &[]),
    ] {
        ours.write_all(&said).await.expect("said");
    }
    let mut buffer = BytesMut::new();
    let mut errors = 0;
    loop {
        while let Some(frame) = Frame::take(&mut buffer).expect("frames") {
            match FromWorker::read(&frame.head).expect("said") {
                FromWorker::Told { tell: Tell::Error(_), .. } => errors += 1,
                FromWorker::Pong | FromWorker::Ready => {}
                FromWorker::Told { tell: Tell::Opened { .. } | Tell::Abilities(_), .. } => {}
                other => panic!("{other:?}"),
            }
        }
        if errors == 6 {
            break;
        }
        assert!(ours.read_buf(&mut buffer).await.expect("reads") > 0, "it ended after {errors} errors");
    }
    drop(ours);
    worker.await.expect("no panic").expect("ends with the server");
}
