//! Addresses of sockets.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use entities::{NetworkPeer, RecordedPath};

/// An address as the kernel is given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PeerAddress {
    Inet(SocketAddr),
    /// A socket with a path, which may be relative.
    UnixPath(PathBuf),
    /// A socket of the kernel's own name space.
    UnixAbstract(Vec<u8>),
}

/// Longest address that the kernel takes (`struct sockaddr_storage`).
pub(super) const ADDRESS_BYTES_MAX: usize = 128;

/// Reads the bytes of a `struct sockaddr`; none for families that lead to no other program (netlink, …).
pub(super) fn parse_address(bytes: &[u8]) -> Option<PeerAddress> {
    let family = u16::from_ne_bytes(bytes.first_chunk::<2>().copied()?);
    let rest = bytes.get(2..)?;
    match i32::from(family) {
        libc::AF_INET => {
            let port = u16::from_be_bytes(rest.first_chunk::<2>().copied()?);
            let address = Ipv4Addr::from(rest.get(2..)?.first_chunk::<4>().copied()?);
            Some(PeerAddress::Inet(SocketAddrV4::new(address, port).into()))
        }
        libc::AF_INET6 => {
            let port = u16::from_be_bytes(rest.first_chunk::<2>().copied()?);
            let address = Ipv6Addr::from(rest.get(6..)?.first_chunk::<16>().copied()?);
            Some(PeerAddress::Inet(
                SocketAddrV6::new(address, port, 0, 0).into(),
            ))
        }
        libc::AF_UNIX => match rest.split_first() {
            Some((0, [])) | None => None,
            Some((0, name)) => Some(PeerAddress::UnixAbstract(name.to_vec())),
            Some(_) => {
                let path = rest.split(|&byte| byte == 0).next()?;
                Some(PeerAddress::UnixPath(PathBuf::from(
                    std::ffi::OsStr::from_bytes(path),
                )))
            }
        },
        _ => None,
    }
}

/// Whether an address is on another machine, as far as it tells.
pub(super) fn is_remote(address: &SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    !ip.is_loopback() && !ip.is_unspecified()
}

pub(super) fn inet_peer(address: &SocketAddr) -> NetworkPeer {
    let family = if address.is_ipv4() { "inet" } else { "inet6" };
    NetworkPeer {
        family: family.to_owned(),
        address: address.to_string(),
    }
}

pub(super) fn unix_peer(path: &Path) -> NetworkPeer {
    NetworkPeer {
        family: "unix".to_owned(),
        address: RecordedPath::new(path).as_str().to_owned(),
    }
}

/// A name of the kernel's own name space, written with `@` in place of its zero byte, as `ss` and `lsof` do.
pub(super) fn abstract_peer(name: &[u8]) -> NetworkPeer {
    let mut text = b"@".to_vec();
    text.extend_from_slice(name);
    unix_peer(Path::new(std::ffi::OsStr::from_bytes(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(family: i32, rest: &[u8]) -> Vec<u8> {
        let mut bytes = (family as u16).to_ne_bytes().to_vec();
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn addresses_of_each_family_are_read() {
        let four =
            parse_address(&address(libc::AF_INET, &[0x1f, 0x90, 127, 0, 0, 1, 0, 0])).unwrap();
        assert_eq!(four, PeerAddress::Inet("127.0.0.1:8080".parse().unwrap()));
        let mut bytes = vec![0, 80, 0, 0, 0, 0];
        bytes.extend(Ipv6Addr::LOCALHOST.octets());
        bytes.extend([0; 4]);
        let six = parse_address(&address(libc::AF_INET6, &bytes)).unwrap();
        assert_eq!(six, PeerAddress::Inet("[::1]:80".parse().unwrap()));
        let path = parse_address(&address(libc::AF_UNIX, b"run/x\0\0")).unwrap();
        assert_eq!(path, PeerAddress::UnixPath(PathBuf::from("run/x")));
        let name = parse_address(&address(libc::AF_UNIX, b"\0bus")).unwrap();
        assert_eq!(name, PeerAddress::UnixAbstract(b"bus".to_vec()));
        assert_eq!(abstract_peer(b"bus").address, "@bus");
    }

    #[test]
    fn short_and_foreign_addresses_are_no_peer() {
        for family in [
            libc::AF_INET,
            libc::AF_INET6,
            libc::AF_UNIX,
            libc::AF_NETLINK,
            0,
            0xffff,
        ] {
            // Two zeros and more are a name in the kernel's own name space.
            let lengths = if family == libc::AF_UNIX { 0..2 } else { 0..5 };
            for length in lengths {
                assert_eq!(
                    parse_address(&address(family, &vec![0; length])),
                    None,
                    "{family} {length}"
                );
            }
        }
        assert_eq!(parse_address(&[]), None);
        assert_eq!(parse_address(&[2]), None);
    }

    #[test]
    fn this_machine_is_not_remote() {
        for (text, remote) in [
            ("127.0.0.1:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("0.0.0.0:1", false),
            ("192.0.2.1:1", true),
            ("[2001:db8::1]:1", true),
        ] {
            assert_eq!(is_remote(&text.parse().unwrap()), remote, "{text}");
        }
    }
}
