//! The milter server: with a driver of its own for every way a peer can misbehave, and behind a
//! real Postfix.

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use hinomi_mail::milter::wire::{self, Options, Packet};
use hinomi_mail::milter::{Counters, Decision, Envelope, Judge, Limits, MilterServer, OnFailure};
use hinomi_testkit::mail::{MailRig, MailRigConfig};
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Decides by the subject and remembers what it saw.
#[derive(Default)]
struct BySubject {
    seen: Mutex<Vec<(Envelope, Bytes)>>,
}

impl Judge for BySubject {
    fn judge(&self, envelope: Envelope, raw: Bytes) -> BoxFuture<'_, Result<Decision, String>> {
        Box::pin(async move {
            let text = String::from_utf8_lossy(&raw).into_owned();
            self.seen.lock().expect("lock").push((envelope, raw));
            if text.contains("Subject: hang") {
                std::future::pending::<()>().await;
            }
            if text.contains("Subject: fail") {
                return Err("broken".to_owned());
            }
            if text.contains("Subject: reject") {
                return Ok(Decision::Reject { text: "no 100% thanks\r\nX-Injected: 1".to_owned() });
            }
            if text.contains("Subject: quarantine") {
                return Ok(Decision::Quarantine { reason: "test".to_owned() });
            }
            Ok(Decision::Deliver {
                add_headers: vec![("X-Hinomi-Message-Id".to_owned(), "ours\r\nX-Injected: 1".to_owned())],
                remove_headers: vec!["X-Hinomi-Message-Id".to_owned()],
            })
        })
    }
}

async fn start(limits: Limits) -> (MilterServer, Arc<BySubject>) {
    let judge = Arc::new(BySubject::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    (MilterServer::start(listener, judge.clone(), limits).expect("starts"), judge)
}

/// The mail server's side of the protocol.
struct Driver {
    stream: TcpStream,
}

impl Driver {
    async fn open(addr: SocketAddr, steps: u32) -> Driver {
        let mut driver = Driver { stream: TcpStream::connect(addr).await.expect("connect") };
        driver.send(&wire::options(Options { version: 6, actions: 0x1ff, steps })).await;
        assert_eq!(driver.answer().await.first(), Some(&b'O'));
        driver
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("write");
    }

    async fn answer(&mut self) -> Vec<u8> {
        let length = self.stream.read_u32().await.expect("answer") as usize;
        let mut data = vec![0; length];
        self.stream.read_exact(&mut data).await.expect("answer");
        data
    }

    /// Waits until the server closes; false when it answers instead.
    async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read(&mut byte)).await;
        matches!(read.expect("the server closes in time"), Ok(0) | Err(_))
    }

    async fn message(&mut self, subject: &str, body: &[u8]) -> Vec<u8> {
        self.send(&wire::packet(b'C', &[b"client.test\0", b"4", &[0, 25], b"192.0.2.1\0"])).await;
        self.send(&wire::packet(b'H', &[b"client.test\0"])).await;
        self.send(&wire::packet(b'D', &[b"M", b"i\0", b"QUEUE1\0"])).await;
        self.send(&wire::packet(b'M', &[b"<a@x.test>\0", b"SIZE=1\0"])).await;
        self.send(&wire::packet(b'R', &[b"<b@y.test>\0"])).await;
        self.send(&wire::packet(b'L', &[b"Subject\0", b" ", subject.as_bytes(), b"\0"])).await;
        self.send(&wire::packet(b'L', &[b"To\0", b" one,\n\ttwo\0"])).await;
        self.send(&wire::packet(b'N', &[])).await;
        self.send(&wire::packet(b'B', &[body])).await;
        self.send(&wire::packet(b'E', &[])).await;
        self.answer().await
    }
}

/// Steps a current Postfix offers.
const POSTFIX_STEPS: u32 = 0x1f_ffff;

fn count(counters: &Counters) -> [u64; 4] {
    [&counters.messages, &counters.malformed, &counters.broken, &counters.stalled].map(|counter| counter.load(Relaxed))
}

#[tokio::test]
async fn a_message_is_put_together_as_it_was() {
    let (server, judge) = start(Limits::default()).await;
    let mut driver = Driver::open(server.addr, POSTFIX_STEPS).await;
    for round in 1..=2 {
        let answer = driver.message("hello", b"line\r\n").await;
        assert_eq!(answer, b"hX-Hinomi-Message-Id\0 oursX-Injected: 1\0", "one line, whatever it was");
        assert_eq!(driver.answer().await, b"c");
        let (envelope, raw) = judge.seen.lock().expect("lock").pop().expect("seen");
        assert_eq!(raw, "Subject: hello\r\nTo: one,\r\n\ttwo\r\n\r\nline\r\n", "message {round} on one connection");
        assert_eq!(
            (envelope.mail_from.as_str(), envelope.recipients.as_slice()),
            ("a@x.test", &["b@y.test".to_owned()][..])
        );
        assert_eq!((envelope.client_ip, envelope.queue_id.as_str()), ("192.0.2.1".parse().ok(), "QUEUE1"));
    }
    assert_eq!(driver.message("reject", b"").await, b"y550 5.7.1 no 100pct thanksX-Injected: 1\0");
    assert_eq!(driver.message("quarantine", b"").await, b"d");
}

#[tokio::test]
async fn an_old_mail_server_gets_an_answer_to_every_step() {
    let (server, judge) = start(Limits::default()).await;
    let mut driver = Driver::open(server.addr, 0).await;
    for packet in [
        wire::packet(b'C', &[b"n\0", b"U"]),
        wire::packet(b'H', &[b"h\0"]),
        wire::packet(b'M', &[b"<>\0"]),
        wire::packet(b'R', &[b"<b@y.test>\0"]),
        wire::packet(b'T', &[]),
        wire::packet(b'L', &[b"Subject\0", b"old\0"]),
        wire::packet(b'N', &[]),
        wire::packet(b'B', &[b"x"]),
    ] {
        driver.send(&packet).await;
        assert_eq!(driver.answer().await, b"c");
    }
    driver.send(&wire::packet(b'E', &[b"y"])).await;
    driver.answer().await;
    assert_eq!(judge.seen.lock().expect("lock")[0].1, "Subject: old\r\n\r\nxy");
}

#[tokio::test]
async fn misbehaving_peers_cost_only_their_connection() {
    let limits = Limits {
        negotiation_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(300),
        recipients_max: 3,
        ..Limits::default()
    };
    let (server, _) = start(limits).await;
    let mut good = Driver::open(server.addr, POSTFIX_STEPS).await;
    for bad in [
        wire::packet(b'?', &[]),
        wire::packet(b'M', &[b"no end mark"]),
        wire::packet(b'C', &[b"name\0"]),
        wire::packet(b'E', &[]),
        wire::packet(b'O', &[b"again"]),
        Bytes::from_static(&[0, 0, 0, 0]),
        Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, b'B']),
        Bytes::from([wire::packet(b'M', &[b"<a>\0"]), wire::packet(b'R', &[b"<b>\0"]).repeat(4).into()].concat()),
    ] {
        let mut driver = Driver::open(server.addr, POSTFIX_STEPS).await;
        driver.send(&bad).await;
        assert!(driver.is_closed().await, "{bad:?}");
    }
    // half a packet, then the writing half is closed
    let mut driver = Driver::open(server.addr, POSTFIX_STEPS).await;
    driver.send(&[0, 0, 0, 9, b'M', b'<']).await;
    driver.stream.shutdown().await.expect("half-close");
    assert!(driver.is_closed().await);
    // closed between packets of a message
    let mut driver = Driver::open(server.addr, POSTFIX_STEPS).await;
    driver.send(&wire::packet(b'M', &[b"<a@x.test>\0"])).await;
    driver.stream.shutdown().await.expect("half-close");
    assert!(driver.is_closed().await);
    // never says anything; says only half a packet
    let mut silent = Driver { stream: TcpStream::connect(server.addr).await.expect("connect") };
    let mut stalled = Driver::open(server.addr, POSTFIX_STEPS).await;
    stalled.send(&[0, 0]).await;
    // meanwhile the good one is served
    good.message("fine", b"x").await;
    assert_eq!(good.answer().await, b"c");
    assert!(silent.is_closed().await && stalled.is_closed().await);
    let [messages, malformed, broken, stalled] = count(&server.counters);
    assert_eq!((messages, malformed, broken), (1, 8, 1));
    assert!(stalled >= 2, "{stalled}");
}

#[tokio::test]
async fn a_late_or_broken_judge_is_settled_by_the_setting() {
    for (on_failure, expected) in
        [(OnFailure::Deliver, &b"c"[..]), (OnFailure::TempFail, b"y451 4.7.1 message cannot be inspected now\0")]
    {
        let deadline = Duration::from_millis(200);
        let (server, _) = start(Limits { judge_deadline: deadline, on_failure, ..Limits::default() }).await;
        let mut driver = Driver::open(server.addr, POSTFIX_STEPS).await;
        let started = Instant::now();
        assert_eq!(driver.message("hang", b"").await, expected);
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_eq!(driver.message("fail", b"").await, expected);
        assert_eq!((server.counters.judge_late.load(Relaxed), server.counters.judge_failed.load(Relaxed)), (1, 1));
    }
}

#[tokio::test]
async fn endless_messages_are_cut_and_too_many_connections_wait() {
    let (server, judge) = start(Limits { message_bytes_max: 1_000, connections_max: 2, ..Limits::default() }).await;
    let mut driver = Driver::open(server.addr, POSTFIX_STEPS).await;
    driver.message("big", &[b'x'; 60_000]).await;
    let (envelope, raw) = judge.seen.lock().expect("lock").pop().expect("seen");
    assert!(envelope.truncated && raw.len() <= 1_000);
    let second = Driver::open(server.addr, POSTFIX_STEPS).await;
    let third = Driver::open(server.addr, POSTFIX_STEPS);
    let waited = tokio::time::timeout(Duration::from_millis(200), third).await;
    assert!(waited.is_err(), "the third waits");
    drop(second);
    Driver::open(server.addr, POSTFIX_STEPS).await;
}

fn mail(subject: &str) -> Vec<u8> {
    format!(
        "From: a@x.test\r\nTo: b@example.test,\r\n\tc@example.test\r\nX-Hinomi-Message-Id: forged-1\r\nSubject: {subject}\r\n\
         X-Hinomi-Message-Id: forged-2\r\nMessage-ID: <m@x.test>\r\nDate:  Sun, 22 Nov 2026 02:27:03 +0000\r\n\r\nhello\r\n"
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_postfix() {
    let limits =
        Limits { judge_deadline: Duration::from_secs(1), on_failure: OnFailure::TempFail, ..Limits::default() };
    let (server, judge) = start(limits).await;
    let config = MailRigConfig { users: 2, milter: Some(server.addr), ..MailRigConfig::default() };
    let rig = MailRig::start(config).await.expect("rig");
    let user = rig.users[0].as_str();
    rig.send("a@x.test", &[user, &rig.users[1]], &mail("fine")).await.expect("accepted");
    rig.wait_for(user, 1, Duration::from_secs(20)).await.expect("delivered");
    let stored = rig.imap(user).await.expect("login").mails("INBOX").await.expect("mails");
    let text = String::from_utf8_lossy(&stored[0].raw).into_owned();
    assert!(text.contains("X-Hinomi-Message-Id: ours") && !text.contains("forged"), "{text}");
    assert!(!text.contains("\nX-Injected"), "{text}");
    let (envelope, raw) = judge.seen.lock().expect("lock").pop().expect("seen");
    assert_eq!((envelope.recipients.len(), envelope.client_ip), (2, "127.0.0.1".parse().ok()));
    assert!(!envelope.queue_id.is_empty());
    // the sending library ends the data with one more line end
    let raw = raw.strip_suffix(b"\r\n").expect("ends with a line end");
    assert_eq!(raw, mail("fine"), "the judge sees the mail byte for byte");

    for (subject, word) in [("reject", "5.7.1"), ("hang", "4.7.1"), ("fail", "4.7.1")] {
        let error = rig.send("a@x.test", &[user], &mail(subject)).await.expect_err(subject);
        assert!(format!("{error:#}").contains(word), "{subject}: {error:#}");
    }
    rig.send("a@x.test", &[user], &mail("quarantine")).await.expect("the sender learns nothing");
    rig.send("a@x.test", &[user], &mail("last")).await.expect("accepted");
    rig.wait_for(user, 2, Duration::from_secs(20)).await.expect("delivered");
    assert_eq!(rig.imap(user).await.expect("login").count("INBOX").await.expect("count"), 2);
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic_the_packet_reader(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), cut in 0_usize..200) {
        let mut whole = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = wire::take(&mut whole) {}
        // the same bytes in two pieces give the same packets
        let all = |pieces: &[&[u8]]| {
            let (mut buffer, mut packets) = (BytesMut::new(), Vec::<Packet>::new());
            for piece in pieces {
                buffer.extend_from_slice(piece);
                loop {
                    match wire::take(&mut buffer) {
                        Ok(Some(packet)) => packets.push(packet),
                        Ok(None) => break,
                        Err(_) => return packets,
                    }
                }
            }
            packets
        };
        let framed = wire::packet(bytes.first().copied().unwrap_or(b'D'), &[&bytes]);
        let cut = cut.min(framed.len());
        proptest::prop_assert_eq!(all(&[&framed]), all(&[&framed[..cut], &framed[cut..]]));
    }
}
