//! Sender authentication never takes longer than its deadline, with or without DNS.

use hinomi_mail::auth::{Authenticator, Client};
use std::time::{Duration, Instant};

const SIGNED: &[u8] =
    b"DKIM-Signature: v=1; a=rsa-sha256; d=x.invalid; s=s; h=from; bh=AAAA; b=AAAA\r\nFrom: a@x.invalid\r\n\r\nhi\r\n";
const PLAIN: &[u8] = b"From: a@x.invalid\r\n\r\nDKIM-Signature: in the body does not count\r\n";

fn client(ip: &str) -> Client<'static> {
    Client { ip: ip.parse().ok(), helo: "x.invalid", mail_from: "a@x.invalid" }
}

#[tokio::test]
async fn a_deadline_is_a_deadline() {
    let deadline = Duration::from_millis(300);
    let authenticator = Authenticator::system(deadline);
    for _ in 0..5 {
        let started = Instant::now();
        let result = authenticator.check(client("192.0.2.1"), SIGNED).await;
        // half a second of slack for a busy machine
        assert!(started.elapsed() < deadline + Duration::from_millis(500), "{:?}", started.elapsed());
        assert_ne!((result.spf.as_str(), result.dkim.as_str(), result.dmarc.as_str()), ("pass", "pass", "pass"));
    }
}

#[tokio::test]
async fn without_dns_the_answers_say_so() {
    let authenticator = Authenticator::without_dns();
    let words = async |ip, raw| {
        let result = authenticator.check(client(ip), raw).await;
        [result.spf, result.dkim, result.dmarc].join(" ")
    };
    assert_eq!(words("192.0.2.1", SIGNED).await, "temperror temperror temperror");
    assert_eq!(words("192.0.2.1", PLAIN).await, "temperror none temperror");
    assert_eq!(words("127.0.0.1", PLAIN).await, "none none none");
}
