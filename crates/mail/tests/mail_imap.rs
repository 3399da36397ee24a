//! The IMAP connection against hostile and broken servers, and the answer framer against any bytes.

use bytes::BytesMut;
use hinomi_mail::imap::{
    Connection, ImapError, Limits, Login, Query, RootTemplate, Secret, Security, Server, Trust, frame::Framer,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

const GREETING: &str = "* OK [CAPABILITY IMAP4rev1 LITERAL+ UIDPLUS MOVE AUTH=PLAIN SASL-IR] ready\r\n";

/// Serves one connection: greeting, login, then `answer` to each command; `TAG` stands for its tag.
async fn server(greeting: &'static str, answer: &'static str) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut lines = BufReader::new(read).lines();
                let _ = write.write_all(greeting.as_bytes()).await;
                let mut logged_in = false;
                while let Ok(Some(line)) = lines.next_line().await {
                    let tag = line.split(' ').next().unwrap_or_default();
                    let text = if logged_in { answer.replace("TAG", tag) } else { format!("{tag} OK in\r\n") };
                    logged_in = logged_in || line.contains("AUTHENTICATE");
                    if line.contains("CAPABILITY") {
                        let capabilities = format!("* CAPABILITY IMAP4rev1 LITERAL+ UIDPLUS MOVE\r\n{tag} OK\r\n");
                        let _ = write.write_all(capabilities.as_bytes()).await;
                        continue;
                    }
                    if write.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let limits = Limits {
        connect_timeout: Duration::from_millis(500),
        command_timeout: Duration::from_millis(500),
        transfer_timeout: Duration::from_millis(500),
        line_bytes_max: 10_000,
        literal_bytes_max: 100_000,
        answers_max: 1_000,
    };
    Server { host: "127.0.0.1".to_owned(), port, security: Security::None, trust: Trust::nobody(), limits }
}

async fn open(answer: &'static str) -> Connection {
    Connection::open(&Arc::new(server(GREETING, answer).await), &login()).await.expect("login")
}

fn login() -> Login {
    Login { user: "user*master".to_owned(), act_for: None, secret: Secret::Password("secret".to_owned()) }
}

#[tokio::test]
async fn lies_about_uids_are_not_believed() {
    let mut other =
        open("* 1 FETCH (UID 8 FLAGS () INTERNALDATE \"22-Nov-2026 00:00:00 +0000\" BODY[] {2}\r\nhi)\r\nTAG OK\r\n")
            .await;
    assert_eq!(other.fetch(7).await.expect("answered"), None, "another UID is not the one asked for");
    assert!(other.fetch(8).await.expect("answered").is_some());
    assert!(!other.has_uid(7).await.expect("answered"));
    assert!(!other.remove(7).await.expect("answered"), "it was never there");
    assert!(matches!(other.remove(8).await, Err(ImapError::StillThere(8))), "OK to EXPUNGE proves nothing");
    let mut silent = open("TAG OK done\r\n").await;
    assert_eq!(silent.move_to(7, "Junk").await.expect("answered"), None, "OK without COPYUID proves nothing");
    assert!(!silent.remove(7).await.expect("answered"));
    assert_eq!(silent.append("INBOX", &[], "22-Nov-2026 00:00:00 +0000", b"x").await.expect("answered"), None);
    let mut proved = open("* OK [COPYUID 5 7 99] moved\r\n* 1 EXPUNGE\r\nTAG OK [APPENDUID 5 100] done\r\n").await;
    assert_eq!(proved.move_to(7, "Junk").await.expect("answered").map(|moved| moved.target_uid), Some(99));
    assert_eq!(
        proved.append("INBOX", &[], "22-Nov-2026 00:00:00 +0000", b"x").await.expect("answered"),
        Some((5, 100))
    );
    assert_eq!(proved.move_to(8, "Junk").await.expect("answered"), None, "the proof is about another mail");
    let mut refusing = open("TAG NO [NOPERM] not yours\r\n").await;
    assert!(matches!(refusing.select("INBOX", false).await, Err(ImapError::Refused { .. })));
}

#[tokio::test]
async fn endless_and_stalled_answers_end_in_time() {
    let long: &'static str =
        Box::leak(format!("* LIST () \"/\" {}\r\nTAG OK\r\n", "x".repeat(50_000)).into_boxed_str());
    let deep: &'static str =
        Box::leak(format!("* 1 FETCH (BODYSTRUCTURE {}\r\nTAG OK\r\n", "(".repeat(9_000)).into_boxed_str());
    let many: &'static str = Box::leak(format!("{}TAG OK\r\n", "* 1 EXISTS\r\n".repeat(5_000)).into_boxed_str());
    for (answer, part) in [
        (long, "line too long"),
        (deep, "nested too deep"),
        (many, "too many answers"),
        ("* 1 FETCH (BODY[] {99999999}\r\n", "literal of"),
        ("* 1 FETCH (BODY[] {1000}\r\nonly this", "no answer"),
        ("* OK still working\r\n", "no answer"),
        ("* BYE shutting down\r\n", "closed"),
    ] {
        let started = Instant::now();
        let error = open(answer).await.fetch(1).await.expect_err(part).to_string();
        assert!(error.contains(part), "{part}: {error}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    for greeting in ["", "* BYE no\r\n", "220 smtp.example ESMTP\r\n"] {
        let refused = Connection::open(&Arc::new(server(greeting, "").await), &login()).await.map(|_| ());
        assert!(refused.is_err(), "{greeting}");
    }
    let junk = open("* \u{1}\u{2} what\r\n* XYZZY 1 2 3\r\n* 3 EXISTS\r\nTAG OK\r\n").await.uids_from(1).await;
    assert_eq!(junk.expect("what is not understood is skipped"), Vec::<u32>::new());
}

#[tokio::test]
async fn a_server_that_quotes_the_password_is_not_quoted() {
    let echo = "TAG NO user*master with hunter2-secret (AHVzZXIqbWFzdGVyAGh1bnRlcjItc2VjcmV0) may not\r\n";
    let secret = || Secret::Password("hunter2-secret".to_owned());
    let login = Login { user: "user*master".to_owned(), act_for: None, secret: secret() };
    let mut connection = Connection::open(&Arc::new(server(GREETING, echo).await), &login).await.expect("login");
    let refused = connection.select("INBOX", true).await.expect_err("refused");
    assert_eq!(refused.to_string(), "IMAP server refused SELECT: NO user*master with … (…) may not");
    let appended = connection.append("INBOX", &[], "22-Nov-2026 00:00:00 +0000", b"x").await;
    assert!(!appended.expect_err("refused").to_string().contains("hunter2"));
    // servers that refuse the login itself
    let refusing = "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] x\r\nh1 NO bad password hunter2-secret\r\n";
    let error = Connection::open(&Arc::new(server(refusing, "").await), &login).await.map(drop).expect_err("refused");
    assert!(error.to_string().contains("bad password …"), "{error}");
}

#[tokio::test]
async fn commands_cannot_be_injected() {
    let mut connection = open("TAG OK\r\n").await;
    for name in ["INBOX\r\nh9 DELETE INBOX", "a\0b", "日本"] {
        assert!(matches!(connection.select(name, true).await, Err(ImapError::BadText(_))), "{name:?}");
    }
    for flag in ["\\Seen) (\\Deleted", "", "a b", "{5}"] {
        assert!(matches!(connection.set_flags(1, &[flag.to_owned()]).await, Err(ImapError::BadText(_))), "{flag:?}");
    }
}

/// Whatever a server says, from the greeting on: every command comes to an end.
async fn speech(bytes: Vec<u8>) {
    let (ours, mut theirs) = tokio::io::duplex(64 << 10);
    let limits = Limits { line_bytes_max: 2_000, literal_bytes_max: 2_000, answers_max: 200, ..Limits::default() };
    let server = Server { host: "x".to_owned(), port: 1, security: Security::None, trust: Trust::nobody(), limits };
    let say = async move {
        let _ = theirs.write_all(&bytes).await;
        let _ = theirs.shutdown().await;
        // what we send goes nowhere
        let _ = tokio::io::copy(&mut theirs, &mut tokio::io::sink()).await;
    };
    let listen = async {
        let Ok(mut connection) = Connection::open_over(ours, &Arc::new(server), &login()).await else { return };
        let _ = connection.folders_and_inbox(Query::Header("Message-ID", "x@y")).await;
        let _ = connection.search(&["INBOX".to_owned(), "Junk".to_owned()], Query::Body("x")).await;
        let _ = connection.select("INBOX", false).await;
        let _ = connection.fetch(7).await;
        let _ = connection.move_to(7, "Junk").await;
        let _ = connection.remove(7).await;
        let _ = connection.append("INBOX", &[], "22-Nov-2026 00:00:00 +0000", b"x").await;
    };
    tokio::join!(say, listen);
}

proptest::proptest! {
    #[test]
    fn any_speech_comes_to_an_end(
        lines in proptest::collection::vec(
            "(\\* |h[0-9]{1,2} |\\+ |)(OK|NO|BAD|BYE|LIST|SEARCH|STATUS|[0-9]{1,3} (FETCH|EXPUNGE|EXISTS)|[ -~]{0,8})( \\[(UIDVALIDITY|COPYUID|APPENDUID|CAPABILITY)[ -~]{0,20}\\]|)( \\((UID 7|FLAGS \\(|BODY\\[\\] \\{[0-9]{1,4}\\}|[ -~]{0,10}){0,3}\\)?|)[ -~]{0,12}\r\n",
            0..40,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        let greeting = "* OK [CAPABILITY IMAP4rev1 LITERAL+ UIDPLUS MOVE AUTH=PLAIN SASL-IR] x\r\nh1 OK\r\n";
        runtime.block_on(speech([greeting.as_bytes(), lines.concat().as_bytes()].concat()));
    }

    #[test]
    fn any_bytes_in_any_pieces_frame_the_same(
        parts in proptest::collection::vec("(\\* [0-9] FETCH \\(UID 7 BODY\\[\\] \\{[0-9]{1,2}\\+?\\}|[ -~]{0,20}|\\(|\\))(\r\n|\n|)", 0..12),
        cut in 0_usize..200,
    ) {
        let bytes = parts.concat().into_bytes();
        let limits = Limits { line_bytes_max: 300, literal_bytes_max: 60, ..Limits::default() };
        let frames = |pieces: &[&[u8]]| {
            let (mut framer, mut buffer, mut frames) = (Framer::default(), BytesMut::new(), Vec::new());
            for piece in pieces {
                buffer.extend_from_slice(piece);
                loop {
                    match framer.take(&mut buffer, &limits) {
                        Ok(Some(frame)) => frames.push(frame),
                        Ok(None) => break,
                        Err(_) => return frames,
                    }
                }
            }
            frames
        };
        let cut = cut.min(bytes.len());
        proptest::prop_assert_eq!(frames(&[&bytes]), frames(&[&bytes[..cut], &bytes[cut..]]));
    }
}

#[tokio::test]
async fn a_shared_login_sees_one_mailbox_at_a_time() {
    let template = RootTemplate::parse("user/%u/").expect("template");
    // a server that shows folders of others, and the same answer to everything
    let mut loose = open(
        "* LIST () \"/\" user/alice\r\n* LIST () \"/\" user/alice/Junk\r\n* LIST () \"/\" user/alice2/Junk\r\n\
         * LIST () \"/\" user/bob\r\n* LIST () \"/\" INBOX\r\n* OK [UIDVALIDITY 7]\r\n* SEARCH 3\r\nTAG OK done\r\n",
    )
    .await;
    loose.enter(template.of("alice").expect("root"));
    let (folders, hits) = loose.folders_and_inbox(Query::Header("Message-ID", "x@y")).await.expect("look");
    assert_eq!(folders.iter().map(|folder| folder.name.as_str()).collect::<Vec<_>>(), ["INBOX", "Junk"]);
    let hits = hits.expect("hits");
    assert_eq!((hits.folder.as_str(), hits.uid_validity, hits.uids.as_slice()), ("INBOX", 7, &[3][..]));
    loose.enter(template.of("bob").expect("root"));
    let folders = loose.folders().await.expect("list");
    assert_eq!(folders.iter().map(|folder| folder.name.as_str()).collect::<Vec<_>>(), ["INBOX"]);
    assert_eq!(loose.entered(), 2);

    // a mailbox that cannot be opened was not looked into
    let mut closed = open("TAG NO [NOPERM] not yours\r\n").await;
    closed.enter(template.of("alice").expect("root"));
    let refused = closed.folders_and_inbox(Query::Body("x")).await.map(drop).expect_err("refused");
    assert!(matches!(refused, ImapError::Refused { command: "EXAMINE", .. }), "{refused}");
    assert!(closed.folders().await.is_err());
}
