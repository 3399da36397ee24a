//! Whatever an IMAP server says after a login that went well.
#![no_main]

use hinomi_mail::imap::{Connection, Limits, Login, Query, Secret, Security, Server, Trust};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

const GREETING: &[u8] =
    b"* OK [CAPABILITY IMAP4rev1 LITERAL+ UIDPLUS MOVE LIST-EXTENDED LIST-STATUS SPECIAL-USE AUTH=PLAIN SASL-IR] x\r\nh1 OK\r\n";

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let (ours, mut theirs) = tokio::io::duplex(64 << 10);
        let say = async move {
            let _ = theirs.write_all(GREETING).await;
            let _ = theirs.write_all(data).await;
            let _ = theirs.shutdown().await;
            let _ = tokio::io::copy(&mut theirs, &mut tokio::io::sink()).await;
        };
        tokio::join!(say, listen(ours));
    });
});

async fn listen(stream: tokio::io::DuplexStream) {
    let limits = Limits { line_bytes_max: 20_000, literal_bytes_max: 50_000, answers_max: 2_000, ..Limits::default() };
    let server = Server { host: "x".to_owned(), port: 1, security: Security::None, trust: Trust::nobody(), limits };
    let login = Login { user: "u".to_owned(), act_for: None, secret: Secret::Password("p".to_owned()) };
    let Ok(mut connection) = Connection::open_over(stream, &Arc::new(server), &login).await else { return };
    let _ = connection.folders_and_inbox(Query::Header("Message-ID", "x@y")).await;
    let _ = connection.search(&["INBOX".to_owned(), "Junk".to_owned()], Query::Body("x")).await;
    let _ = connection.select("INBOX", false).await;
    let _ = connection.fetch(7).await;
    let _ = connection.move_to(7, "Junk").await;
    let _ = connection.remove(7).await;
    let _ = connection.append("INBOX", &[], "22-Nov-2026 00:00:00 +0000", b"x").await;
}
