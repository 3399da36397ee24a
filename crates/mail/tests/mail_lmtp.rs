//! The LMTP server against clients that behave and clients that do not.

use bytes::Bytes;
use futures::future::BoxFuture;
use hinomi_mail::lmtp::{Envelope, Limits, LmtpServer, Receiver};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
struct Box {
    mails: Mutex<Vec<(Envelope, Bytes)>>,
    full: AtomicBool,
}

impl Receiver for Box {
    fn take(&self, envelope: Envelope, raw: Bytes) -> BoxFuture<'_, Result<(), String>> {
        std::boxed::Box::pin(async move {
            if self.full.load(Ordering::Relaxed) {
                return Err("full".to_owned());
            }
            self.mails.lock().expect("lock").push((envelope, raw));
            Ok(())
        })
    }
}

async fn server(limits: Limits) -> (LmtpServer, Arc<Box>) {
    let taken = Arc::new(Box::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    (LmtpServer::start(listener, taken.clone(), limits).expect("starts"), taken)
}

/// Sends everything at once and reads until the server closes.
async fn talk(server: &LmtpServer, text: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.addr).await.expect("connects");
    stream.write_all(text).await.expect("sent");
    stream.shutdown().await.expect("half closed");
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    // a reset after the last answer is a close too
    let _ = tokio::time::timeout(Duration::from_secs(20), read).await.expect("the server closes");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn every_recipient_gets_an_answer_after_the_mail_is_taken() {
    let (server, taken) = server(Limits::default()).await;
    let text = b"LHLO me\r\nMAIL FROM:<a@x.example> SIZE=20\r\nRCPT TO:<b@y.example>\r\nRCPT TO:<\"c>d\"@y.example>\r\nDATA\r\n\
        Subject: x\r\n\r\n..dot\r\nbare\n.\nfeed\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n";
    let answer = talk(&server, text).await;
    assert_eq!(answer.matches("250 2.0.0 taken").count(), 3, "{answer}");
    assert!(answer.starts_with("220 ") && answer.ends_with("221 2.0.0 goodbye\r\n"), "{answer}");
    let mails = taken.mails.lock().expect("lock").clone();
    assert_eq!(mails[0].0.recipients, ["b@y.example", "\"c>d\"@y.example"]);
    assert_eq!(&mails[0].1[..], b"Subject: x\r\n\r\n.dot\r\nbare\n.\nfeed\r\n");
    assert_eq!((mails[1].0.mail_from.as_str(), &mails[1].1[..]), ("", &b"x\r\n"[..]));

    taken.full.store(true, Ordering::Relaxed);
    let answer = talk(&server, b"LHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<b@y>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n").await;
    assert!(answer.contains("451 4.3.0"), "{answer}");
    assert_eq!(server.counters.put_off.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn wrong_order_and_nonsense_are_answered() {
    let (server, taken) = server(Limits::default()).await;
    let text = b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nEHLO x\r\nLHLO x\r\nMAIL FROM:a@x\r\nRCPT TO:<b@y>\r\nMAIL FROM:<a@x>\r\n\
        MAIL FROM:<a@x>\r\nDATA\r\n\xff\xfe\r\nNOOP\r\nRSET\r\nQUIT\r\n";
    let answer = talk(&server, text).await;
    for (code, times) in [("503 ", 6), ("500 ", 3), ("221 ", 1), ("252 ", 1)] {
        assert_eq!(answer.lines().filter(|line| line.starts_with(code)).count(), times, "{code} in {answer}");
    }
    assert!(taken.mails.lock().expect("lock").is_empty());
}

#[tokio::test]
async fn limits_hold() {
    let limits = Limits {
        message_bytes_max: 1_000,
        recipients_max: 2,
        line_bytes_max: 200,
        mistakes_max: 3,
        command_timeout: Duration::from_millis(300),
        data_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let (server, taken) = server(limits).await;
    let head = "LHLO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n";
    let answer = talk(&server, format!("{head}RCPT TO:<c@y>\r\nRCPT TO:<d@y>\r\nRSET\r\nQUIT\r\n").as_bytes()).await;
    assert!(answer.contains("452 4.5.3"), "{answer}");
    let announced = talk(&server, b"LHLO me\r\nMAIL FROM:<a@x> SIZE=1001\r\nQUIT\r\n").await;
    assert!(announced.contains("552 5.3.4"), "{announced}");
    for body in ["line\r\n".repeat(1_000), "x".repeat(50_000) + "\r\n"] {
        let answer = talk(&server, format!("{head}DATA\r\n{body}.\r\nQUIT\r\n").as_bytes()).await;
        assert!(answer.contains("552 5.3.4") && answer.contains("221"), "{answer}");
    }
    assert_eq!(server.counters.too_big.load(Ordering::Relaxed), 2);
    let endless = talk(&server, "a".repeat(10_000).as_bytes()).await;
    assert!(!endless.contains("250"), "{endless}");
    assert!(talk(&server, "nonsense\r\n".repeat(10).as_bytes()).await.contains("421"));

    // one that begins a mail and says nothing more is let go
    let mut slow = TcpStream::connect(server.addr).await.expect("connects");
    slow.write_all(format!("{head}DATA\r\nSubject: ").as_bytes()).await.expect("sent");
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), slow.read_to_end(&mut rest)).await.expect("closed").expect("read");
    assert!(taken.mails.lock().expect("lock").is_empty());
    assert!(server.counters.closed.load(Ordering::Relaxed) >= 3);
}
