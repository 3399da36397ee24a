//! The rig itself: two at once, delivery, and nothing left behind.

use hinomi_testkit::mail::{MailRig, MailRigConfig};
use std::time::Duration;

const MAIL: &[u8] =
    b"From: a@sender.test\r\nTo: user01@example.test\r\nSubject: hello\r\nMessage-ID: <1@sender.test>\r\n\r\nhello\r\n";

#[tokio::test]
async fn two_rigs_deliver_and_leave_nothing() {
    let config = || MailRigConfig { users: 3, tls: true, ..MailRigConfig::default() };
    let (one, two) = tokio::join!(MailRig::start(config()), MailRig::start(config()));
    let (one, two) = (one.expect("first rig"), two.expect("second rig"));
    for rig in [&one, &two] {
        rig.send("a@sender.test", &["user01@example.test", "user03@example.test"], MAIL).await.expect("send");
    }
    for rig in [&one, &two] {
        rig.wait_for("user01@example.test", 1, Duration::from_secs(20)).await.expect("delivered");
        rig.wait_for("user03@example.test", 1, Duration::from_secs(20)).await.expect("delivered");
        let mails = rig.imap("user01@example.test").await.expect("login").mails("INBOX").await.expect("fetch");
        assert!(String::from_utf8_lossy(&mails[0].raw).contains("Message-ID: <1@sender.test>"));
        let mut other = rig.imap("user02@example.test").await.expect("login");
        assert_eq!(other.count("INBOX").await.expect("status"), 0);
        assert!(other.folders().await.expect("list").contains(&"Junk".to_owned()));
    }
    let dirs = [one.dir.clone(), two.dir.clone()];
    let ports = [one.smtp_addr, two.imap_addr];
    drop((one, two));
    for dir in dirs {
        assert!(!dir.exists(), "{} is left", dir.display());
    }
    for port in ports {
        std::net::TcpListener::bind(port).expect("the port is free again");
    }
}
