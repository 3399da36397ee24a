//! The hub: who is connected, and commands on their way to sensors.
//!
//! A command is stored before it is sent, sent again at every connection until its receipt or its
//! expiry, and obeyed once: the sensor keeps the highest sequence and the results of what it did.

use crate::app::Ctx;
use crate::ids;
use hinomi_model::{ActionId, CommandId, DeviceId, Timestamp};
use hinomi_store::{CommandRow, CommandState, StoreError};
use hinomi_wire::proto::{SignedCommand, ToSensor, to_sensor::Message};
use hinomi_wire::{Command, CommandEnvelope};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
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

#[derive(Default)]
struct Connections {
    next: u64,
    open: HashMap<DeviceId, (u64, Sender)>,
}

/// Connected sensors. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hub {
    connections: Arc<Mutex<Connections>>,
    /// Sequences are taken and stored one command at a time.
    ordering: Arc<tokio::sync::Mutex<()>>,
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

    /// Registers a connection; a newer one of the same device replaces it.
    pub(super) fn connect(&self, device: DeviceId, sender: Sender) -> u64 {
        let mut connections = self.lock();
        connections.next += 1;
        let number = connections.next;
        connections.open.insert(device, (number, sender));
        number
    }

    /// Forgets a connection; false when a newer one has replaced it.
    pub(super) fn disconnect(&self, device: DeviceId, number: u64) -> bool {
        let mut connections = self.lock();
        let current = connections.open.get(&device).is_some_and(|(open, _)| *open == number);
        if current {
            connections.open.remove(&device);
        }
        current
    }

    /// Drops the connection of a device (its certificate was revoked).
    pub fn drop_device(&self, device: DeviceId) {
        self.lock().open.remove(&device);
    }

    /// Orders a command: signs it, stores it, sends it when the device is connected. It stays
    /// ordered until the receipt arrives or `expires_at` passes.
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
        drop(ordering);
        self.push(device, signed);
        Ok(command_id)
    }

    /// Sends everything still open to a device that has just connected.
    pub(super) async fn push_open(&self, ctx: &Ctx, device: DeviceId) -> Result<(), StoreError> {
        for row in ctx.store.open_commands(device, ctx.now()).await? {
            self.push(device, SignedCommand { envelope: row.envelope.into(), signature: row.signature.into() });
        }
        Ok(())
    }

    fn push(&self, device: DeviceId, signed: SignedCommand) {
        let sender = self.lock().open.get(&device).map(|(_, sender)| sender.clone());
        if let Some(sender) = sender {
            // a full or closed channel loses nothing: the command is sent again at the next connection
            if sender.try_send(Ok(ToSensor { message: Some(Message::Command(signed)) })).is_err() {
                tracing::warn!(device.id = %device, "command for {device} waits for the next connection");
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
