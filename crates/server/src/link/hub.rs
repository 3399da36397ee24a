//! The hub: who is connected, and commands on their way to sensors.
//!
//! A command is stored before it is sent, sent again at every connection until its receipt or its
//! expiry, and obeyed once: the sensor keeps the highest sequence and the results of what it did.

use crate::abort::abort_point;
use crate::app::Ctx;
use crate::ids;
use hinomi_model::{ActionId, CommandId, DeviceId, Timestamp};
use hinomi_store::{CommandRow, CommandState, StoreError};
use hinomi_wire::proto::{SignedCommand, ToSensor, to_sensor::Message};
use hinomi_wire::{Command, CommandEnvelope};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Sender of one connection.
pub(super) type Sender = mpsc::Sender<Result<ToSensor, Status>>;

/// A command could not be ordered.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The store failed.
    #[error("store command for device {device}")]
    Store {
        /// The device.
        device: DeviceId,
        /// Why.
        #[source]
        source: StoreError,
    },
}

/// A connection the hub has registered.
#[derive(Clone)]
pub(super) struct Connection {
    number: u64,
    sender: Sender,
    /// Cancelled when the server wants this connection to end.
    pub end: CancellationToken,
}

#[derive(Default)]
struct Connections {
    next: u64,
    open: HashMap<DeviceId, Connection>,
}

/// Connected sensors. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hub {
    connections: Arc<Mutex<Connections>>,
    /// Sequences are taken, stored and sent one command at a time: a sensor refuses a sequence below
    /// one it has seen.
    ordering: Arc<tokio::sync::Mutex<()>>,
    /// Told when an answer is stored or a device has gone.
    news: Arc<Notify>,
}

/// What a device that has just connected is being sent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OnTheWay {
    /// Highest version of the block list; 0 = none.
    pub block_list: u64,
    /// Last version of the rules.
    pub rules: Option<u64>,
}

impl Hub {
    /// True while the device is connected.
    pub fn online(&self, device: DeviceId) -> bool {
        self.lock().open.contains_key(&device)
    }

    /// Devices connected now.
    pub fn devices(&self) -> Vec<DeviceId> {
        self.lock().open.keys().copied().collect()
    }

    /// Registers a connection that has been welcomed; an older one of the same device ends.
    pub(super) fn connect(&self, device: DeviceId, sender: Sender) -> Connection {
        let mut connections = self.lock();
        connections.next += 1;
        let connection = Connection { number: connections.next, sender, end: CancellationToken::new() };
        if let Some(older) = connections.open.insert(device, connection.clone()) {
            older.end.cancel();
        }
        connection
    }

    /// Forgets a connection; false when a newer one has replaced it.
    pub(super) fn disconnect(&self, device: DeviceId, connection: &Connection) -> bool {
        let mut connections = self.lock();
        let current = connections.open.get(&device).is_none_or(|open| open.number == connection.number);
        if current {
            connections.open.remove(&device);
            self.news.notify_waiters();
        }
        current
    }

    /// Ends the connection of a device (its certificate was revoked).
    pub fn drop_device(&self, device: DeviceId) {
        if let Some(connection) = self.lock().open.remove(&device) {
            connection.end.cancel();
            self.news.notify_waiters();
        }
    }

    /// Tells those who [`wait`](Self::wait) that a device's answer is stored.
    pub(crate) fn answered(&self) {
        self.news.notify_waiters();
    }

    /// Waits for the answer to a command, at most `limit`; ends early when the device goes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn wait(
        &self,
        ctx: &Ctx,
        device: DeviceId,
        command: CommandId,
        limit: Duration,
    ) -> Result<(), StoreError> {
        let end = Instant::now() + limit;
        loop {
            // before the look: an answer that comes in between is not missed
            let mut news = pin!(self.news.notified());
            news.as_mut().enable();
            let open = ctx.store.command(command).await?.is_some_and(|row| row.state == CommandState::Open);
            if !open || !self.online(device) || tokio::time::timeout_at(end, news).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Orders a command: signs it, stores it, sends it when the device is connected. It stays
    /// ordered until the receipt arrives or `expires_at` passes. An action orders one command per
    /// device, however often it is resumed: the command ordered before is returned.
    ///
    /// # Errors
    /// When it cannot be stored; then nothing was sent.
    pub async fn send(
        &self,
        ctx: &Ctx,
        device: DeviceId,
        command: Command,
        action: Option<ActionId>,
        expires_at: Timestamp,
    ) -> Result<CommandId, HubError> {
        let failed = |source| HubError::Store { device, source };
        let command_id: CommandId = ids::new();
        let issued_at = ctx.now();
        let ordering = self.ordering.lock().await;
        let mut tx = ctx.store.begin().await.map_err(failed)?;
        if let Some(action) = action {
            let known = tx.commands_of_action(action).await.map_err(failed)?;
            if let Some(known) = known.into_iter().find(|known| known.device_id == device) {
                return Ok(known.id);
            }
        }
        let sequence = tx.next_command_sequence(device).await.map_err(failed)?;
        let envelope = CommandEnvelope { command_id, device_id: device, sequence, issued_at, expires_at, command };
        let signed = hinomi_wire::sign(&envelope, ctx.keys.command());
        let row = CommandRow {
            id: command_id,
            device_id: device,
            sequence,
            envelope: signed.envelope.to_vec(),
            signature: signed.signature.to_vec(),
            action_id: action,
            state: CommandState::Open,
            issued_at,
            expires_at,
            result: None,
        };
        tx.put_command(&row).await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        abort_point("command.stored");
        self.push(device, signed);
        abort_point("command.sent");
        drop(ordering);
        Ok(command_id)
    }

    /// Registers a connection and sends everything still open to its device, before any newer
    /// command. Returns the connection and the newest block list among the commands.
    pub(super) async fn open(
        &self,
        ctx: &Ctx,
        device: DeviceId,
        sender: Sender,
    ) -> (Connection, Result<OnTheWay, StoreError>) {
        let _ordering = self.ordering.lock().await;
        let connection = self.connect(device, sender);
        let rows = match ctx.store.open_commands(device, ctx.now()).await {
            Ok(rows) => rows,
            Err(error) => return (connection, Err(error)),
        };
        let mut on_the_way = OnTheWay::default();
        for row in rows {
            match serde_json::from_slice(&row.envelope) {
                Ok(CommandEnvelope { command: Command::SetBlockedHashes { version, .. }, .. }) => {
                    on_the_way.block_list = on_the_way.block_list.max(version);
                }
                Ok(CommandEnvelope { command: Command::SetRules { version, .. }, .. }) => {
                    on_the_way.rules = Some(version);
                }
                _ => {}
            }
            self.push(device, SignedCommand { envelope: row.envelope.into(), signature: row.signature.into() });
        }
        (connection, Ok(on_the_way))
    }

    fn push(&self, device: DeviceId, signed: SignedCommand) {
        let connection = self.lock().open.get(&device).cloned();
        if let Some(connection) = connection {
            // a full or closed channel loses nothing: the sensor connects again and gets every open
            // command in order; a later command alone would make it refuse this one
            if connection.sender.try_send(Ok(ToSensor { message: Some(Message::Command(signed)) })).is_err() {
                tracing::warn!(device.id = %device, "command for {device} waits for the next connection");
                connection.end.cancel();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_ends_when_it_is_replaced_revoked_or_cannot_take_a_command() {
        let (hub, device) = (Hub::default(), ids::new());
        let channel = || mpsc::channel(1);
        let ((one, _), (two, _), (three, _waiting)) = (channel(), channel(), channel());
        let first = hub.connect(device, one);
        let second = hub.connect(device, two);
        assert!(first.end.is_cancelled() && !second.end.is_cancelled());
        assert!(!hub.disconnect(device, &first), "a newer one has replaced it");
        assert!(hub.online(device));
        hub.drop_device(device);
        assert!(second.end.is_cancelled() && !hub.online(device));
        // a command that does not fit ends the connection: the next one gets all of them in order
        let third = hub.connect(device, three);
        hub.push(device, SignedCommand::default());
        assert!(!third.end.is_cancelled());
        hub.push(device, SignedCommand::default());
        assert!(third.end.is_cancelled());
    }
}
