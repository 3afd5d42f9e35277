//! The line between the supervisor and a worker: messages in JSON, and descriptors beside them.
//!
//! It is a pair of Unix sockets that keep messages apart (SOCK_SEQPACKET). The worker finds its end as its standard input: a
//! number that needs no telling, and that no program takes for anything else. What may be long travels as a file in memory.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of a message.
const MESSAGE_BYTES_MAX: usize = 128 << 10;
/// Descriptors beside one message; the kernel takes 253.
pub(crate) const DESCRIPTORS_MAX: usize = 128;
/// Bytes of a file in memory that are read: the heritage of a worker with thousands of servers has a few megabytes.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// One end.
#[derive(Debug)]
pub(crate) struct Link {
    socket: OwnedFd,
}

/// What has arrived.
#[derive(Debug)]
pub(crate) enum Received<M> {
    /// A message and its descriptors.
    Message(M, Vec<OwnedFd>),
    /// Something that this version does not know.
    Unknown(String),
    /// The other side is gone.
    End,
}

impl Link {
    /// Both ends. Neither blocks.
    pub(crate) fn pair() -> io::Result<(Link, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Link { socket: ours }, theirs))
    }

    /// An end that another process has left or sent.
    pub(crate) fn from_descriptor(socket: OwnedFd) -> Link {
        Link { socket }
    }

    /// Sends a message, without waiting.
    ///
    /// # Errors
    /// EPIPE when the other side is gone, EAGAIN when it does not read.
    pub(crate) fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        debug_assert!(bytes.len() <= MESSAGE_BYTES_MAX && descriptors.len() <= DESCRIPTORS_MAX, "a message is short");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        rustix::net::sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut beside, flags)?;
        Ok(())
    }

    /// Sends messages with descriptors for as long as there are any.
    pub(crate) fn send_all(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        descriptors.chunks(DESCRIPTORS_MAX).try_for_each(|some| self.send(message, some))
    }

    /// The next message. Waits for one if `waits`.
    ///
    /// # Errors
    /// EAGAIN when there is none.
    pub(crate) fn receive<M: DeserializeOwned>(&self, waits: bool) -> io::Result<Received<M>> {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let flags = if waits { RecvFlags::CMSG_CLOEXEC } else { RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT };
        let received = loop {
            match rustix::net::recvmsg(&self.socket, &mut [IoSliceMut::new(&mut bytes)], &mut beside, flags) {
                Err(rustix::io::Errno::INTR) => {}
                // Who ends with unread messages leaves a reset behind.
                Err(rustix::io::Errno::CONNRESET) => return Ok(Received::End),
                received => break received?,
            }
        };
        if received.bytes == 0 {
            return Ok(Received::End);
        }
        let mut descriptors = Vec::new();
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        bytes.truncate(received.bytes);
        Ok(match serde_json::from_slice(&bytes) {
            Ok(message) => Received::Message(message, descriptors),
            Err(error) => Received::Unknown(error.to_string()),
        })
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl std::os::fd::AsRawFd for Link {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}

/// A file in memory that says `value`, and that nobody can change any more. It has no name, is on no disk, and only who is
/// given its descriptor can read it: keys travel in it.
pub(crate) fn file_of(value: &impl Serialize) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create("ringway", flags)?);
    file.write_all(&serde_json::to_vec(value)?)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

/// What such a file says. It may be read any number of times, by several processes at once.
pub(crate) fn read_file<T: DeserializeOwned>(file: &OwnedFd) -> io::Result<T> {
    let file = File::from(file.try_clone()?);
    let length = file.metadata()?.len();
    if length > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; length as usize];
    // Not by the offset, which all copies of the descriptor share.
    file.read_exact_at(&mut bytes, 0)?;
    Ok(serde_json::from_slice(&bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_apart_and_bring_their_descriptors() {
        let (ours, theirs) = Link::pair().unwrap();
        let theirs = Link::from_descriptor(theirs);
        let file = file_of(&"in memory").unwrap();
        assert!(File::from(file.try_clone().unwrap()).write_all(b"else").is_err(), "it is sealed");
        let many: Vec<_> = (0..DESCRIPTORS_MAX + 1).map(|_| file.as_fd()).collect();
        ours.send_all(&1_u32, &many).unwrap();
        ours.send(&"not a number", &[]).unwrap();
        drop(ours);
        let mut counts = Vec::new();
        loop {
            match theirs.receive::<u32>(true).unwrap() {
                Received::Message(number, descriptors) => {
                    assert_eq!(number, 1);
                    assert_eq!(read_file::<String>(&descriptors[0]).unwrap(), "in memory");
                    counts.push(descriptors.len());
                }
                Received::Unknown(_) => counts.push(0),
                Received::End => break,
            }
        }
        assert_eq!(counts, [DESCRIPTORS_MAX, 1, 0]);
    }
}
