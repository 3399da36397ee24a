//! The vault and the user list, without a mail server.

use hinomi_server::mailboxes::{Directory, FileVault, VaultError};
use std::fs;

#[tokio::test]
async fn kept_mails_are_encrypted_bound_to_their_key_and_never_replaced() {
    let dir = tempfile::tempdir().expect("temp dir");
    let vault = FileVault::open(dir.path(), &[7; 32]).expect("opens");
    let (one, two) = ("ab".repeat(32), "cd".repeat(32));
    vault.keep(&one, b"secret mail".to_vec()).await.expect("kept");
    vault.keep(&one, b"other".to_vec()).await.expect("ignored");
    assert_eq!(vault.content(&one).await.expect("read").as_deref(), Some(&b"secret mail"[..]));
    let file = fs::read(dir.path().join("ab").join(&one)).expect("file");
    assert!(!file.windows(6).any(|window| window == b"secret"));

    fs::write(dir.path().join("cd").join(&two), &file).expect("copied under another key");
    assert!(matches!(vault.content(&two).await, Err(VaultError::Damaged(_))));
    let stranger = FileVault::open(dir.path(), &[8; 32]).expect("opens");
    assert!(matches!(stranger.content(&one).await, Err(VaultError::Damaged(_))));
    assert!(matches!(vault.content("../../etc/passwd").await, Err(VaultError::Key(_))));
    assert_eq!(vault.content(&"ef".repeat(32)).await.expect("read"), None);
}

#[test]
fn addresses_find_their_mailbox() {
    let list = "# people\nAlice@Example.test\n\nbob:{PLAIN}x:1000:1000::/home/bob\n";
    let directory = Directory::parse(list, &["example.test".to_owned()]);
    assert_eq!(directory.len(), 2);
    for (recipient, mailbox) in [
        ("alice@example.TEST", Some("alice@example.test")),
        ("alice+news@example.test", Some("alice@example.test")),
        ("bob@example.test", Some("bob")),
        ("bob+x@example.test", Some("bob")),
        ("bob@elsewhere.test", None),
        ("carol@example.test", None),
    ] {
        assert_eq!(directory.mailbox(recipient).as_deref(), mailbox, "{recipient}");
    }
}
