//! The attacker's side, on loopback: serves the second stage, counts beacons.

use anyhow::Result;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A harmless second stage: asks the same address again and again until it is stopped.
const STAGE_TWO: &str = r#"#!/bin/sh
# Hinomi story: an inert second stage. It only asks a loopback address for nothing.
while :; do
  curl -s -m 2 -o /dev/null "http://HOST/beacon"
  sleep 1
done
"#;

/// The attacker's web server.
pub struct Attacker {
    /// Where it listens.
    pub address: SocketAddr,
    beacons: Arc<AtomicU64>,
}

impl Attacker {
    /// Starts listening; ends with the runtime.
    pub async fn start() -> Result<Attacker> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let beacons = Arc::new(AtomicU64::new(0));
        let count = beacons.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, address, count.clone()));
            }
        });
        Ok(Attacker { address, beacons })
    }

    /// Beacons heard so far.
    pub fn beacons(&self) -> u64 {
        self.beacons.load(Ordering::Relaxed)
    }
}

async fn answer(mut stream: TcpStream, address: SocketAddr, beacons: Arc<AtomicU64>) {
    let mut request = vec![0; 2048];
    let Ok(read) = stream.read(&mut request).await else { return };
    let body = if request[..read].starts_with(b"GET /stage2") {
        STAGE_TWO.replace("HOST", &address.to_string())
    } else {
        beacons.fetch_add(1, Ordering::Relaxed);
        String::new()
    };
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let _ = stream.write_all(answer.as_bytes()).await;
}
