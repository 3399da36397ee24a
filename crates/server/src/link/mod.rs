//! The sensor link: enrolment, one stream per sensor, commands down, receipts up.
//!
//! The device is the common name of the client certificate and nothing else; a sensor can speak for
//! itself only. What it sends is checked by `ingest`, what it is told is signed by `hub`.

mod enrol;
mod hub;
mod session;

pub use enrol::{NewToken, new_token};
pub use hub::{Hub, HubError};

use crate::app::Ctx;
use anyhow::{Context, Result};
use hinomi_wire::proto::sensor_link_server::{SensorLink, SensorLinkServer};
use hinomi_wire::proto::{EnrolReply, EnrolRequest, FromSensor, ToSensor};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

/// A sensor that is silent on the wire for this long is asked, then dropped.
const KEEPALIVE: Duration = Duration::from_secs(20);

struct Link {
    ctx: Ctx,
}

#[tonic::async_trait]
impl SensorLink for Link {
    type LinkStream = ReceiverStream<Result<ToSensor, Status>>;

    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolReply>, Status> {
        enrol::enrol(&self.ctx, request).await
    }

    async fn link(&self, request: Request<Streaming<FromSensor>>) -> Result<Response<Self::LinkStream>, Status> {
        session::open(&self.ctx, request).await
    }
}

/// Serves sensors until the server stops.
///
/// # Errors
/// When TLS cannot be set up or the listener breaks.
pub async fn serve(ctx: Ctx, listener: TcpListener) -> Result<()> {
    let (chain, key) = ctx.keys.server_pem();
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(chain, key))
        .client_ca_root(Certificate::from_pem(&ctx.keys.authority_pem))
        // enrolment comes without a certificate; `session` refuses everything else without one
        .client_auth_optional(true);
    let stop = ctx.stop.clone();
    Server::builder()
        .tls_config(tls)
        .context("set up TLS of the sensor listener")?
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .concurrency_limit_per_connection(4)
        .add_service(SensorLinkServer::new(Link { ctx }))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async move { stop.cancelled().await })
        .await
        .context("serve sensors")
}
