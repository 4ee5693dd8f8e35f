//! What the processes that start a command tell each other, as packets of one size.

/// Bytes of a packet.
pub(super) const PACKET_BYTES: usize = 32;

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Keeper: the command's first process is there.
    Started { pid: u32 },
    /// Keeper: the command's first process was stopped by a signal.
    Stopped { signal: i32 },
    /// Keeper: the command's first process has ended.
    Exited { status: i32 },
    /// Keeper: no descendant is left. Times and memory of all of them.
    Finished {
        user_us: u64,
        system_us: u64,
        peak_kib: u64,
        reaped: u32,
    },
    /// Command: everything before the filter is done; it waits to be let go.
    Ready,
    /// Command: the filter is in place; its listener may come with this.
    Filtered { has_no_new_privileges: bool },
    /// Command: it could not be started.
    Failed { stage: Stage, error: i32 },
}

/// What of starting a command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Mounts,
    Directory,
    Filter,
    Execute,
    Other,
}

const STAGES: [Stage; 5] = [
    Stage::Mounts,
    Stage::Directory,
    Stage::Filter,
    Stage::Execute,
    Stage::Other,
];

impl Message {
    /// Its packet. Allocates nothing, so that it may be used after a fork.
    pub(super) fn to_packet(self) -> [u8; PACKET_BYTES] {
        let (kind, small, numbers): (u8, i32, [u64; 3]) = match self {
            Self::Started { pid } => (1, pid as i32, [0; 3]),
            Self::Stopped { signal } => (2, signal, [0; 3]),
            Self::Exited { status } => (3, status, [0; 3]),
            Self::Finished {
                user_us,
                system_us,
                peak_kib,
                reaped,
            } => (4, reaped as i32, [user_us, system_us, peak_kib]),
            Self::Ready => (5, 0, [0; 3]),
            Self::Filtered {
                has_no_new_privileges,
            } => (6, i32::from(has_no_new_privileges), [0; 3]),
            Self::Failed { stage, error } => {
                let stage = STAGES
                    .iter()
                    .position(|known| *known == stage)
                    .unwrap_or_default();
                (7, error, [stage as u64, 0, 0])
            }
        };
        let mut packet = [0; PACKET_BYTES];
        let parts = std::iter::once(kind)
            .chain([0; 3])
            .chain(small.to_ne_bytes())
            .chain(numbers.into_iter().flat_map(u64::to_ne_bytes));
        for (byte, part) in packet.iter_mut().zip(parts) {
            *byte = part;
        }
        packet
    }

    /// Reads a packet.
    pub(super) fn from_packet(packet: &[u8; PACKET_BYTES]) -> Option<Self> {
        let small = i32::from_ne_bytes(packet.get(4..8)?.try_into().ok()?);
        let number = |index: usize| {
            let at = 8 + index * 8;
            Some(u64::from_ne_bytes(packet.get(at..at + 8)?.try_into().ok()?))
        };
        Some(match packet.first()? {
            1 => Self::Started { pid: small as u32 },
            2 => Self::Stopped { signal: small },
            3 => Self::Exited { status: small },
            4 => Self::Finished {
                user_us: number(0)?,
                system_us: number(1)?,
                peak_kib: number(2)?,
                reaped: small as u32,
            },
            5 => Self::Ready,
            6 => Self::Filtered {
                has_no_new_privileges: small != 0,
            },
            7 => Self::Failed {
                stage: *STAGES.get(number(0)? as usize)?,
                error: small,
            },
            _ => return None,
        })
    }
}

/// What a keeper is told, a byte each.
pub(super) mod order {
    /// End what is left: by force when some time has passed.
    pub(in super::super) const END: u8 = b'E';
    /// End what is left by force, at once.
    pub(in super::super) const KILL: u8 = b'K';
    /// All is done here, and our terminal as it was: the keeper may go.
    pub(in super::super) const LEAVE: u8 = b'L';
    /// Let the command go on that was stopped, in the foreground of its terminal.
    pub(in super::super) const CONTINUE: u8 = b'C';
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_its_packet() {
        let messages = [
            Message::Started { pid: 4_194_303 },
            Message::Stopped { signal: 20 },
            Message::Exited { status: -1 },
            Message::Finished {
                user_us: u64::MAX,
                system_us: 1,
                peak_kib: 2,
                reaped: 3,
            },
            Message::Ready,
            Message::Filtered {
                has_no_new_privileges: true,
            },
            Message::Failed {
                stage: Stage::Other,
                error: 13,
            },
            Message::Failed {
                stage: Stage::Mounts,
                error: 1,
            },
        ];
        for message in messages {
            assert_eq!(Message::from_packet(&message.to_packet()), Some(message));
        }
    }

    #[test]
    fn foreign_packets_are_refused() {
        assert_eq!(Message::from_packet(&[0; PACKET_BYTES]), None);
        assert_eq!(Message::from_packet(&[0xff; PACKET_BYTES]), None);
        let mut packet = Message::Failed {
            stage: Stage::Other,
            error: 1,
        }
        .to_packet();
        packet[8] = 99;
        assert_eq!(Message::from_packet(&packet), None);
    }
}
