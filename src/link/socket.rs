//! UDP sockets of a link.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use quinn::{AsyncUdpSocket, Runtime as _, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};

/// What the system is asked for: a burst of a fast link while this process is busy. It gives less without complaint.
const LISTEN_BUFFER_BYTES: usize = 4 * 1024 * 1024;
const DIAL_BUFFER_BYTES: usize = 1024 * 1024;

/// A socket that takes what comes to `address`.
pub(super) fn listening(address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    #[cfg(test)]
    if let Some(net) = super::tests::net::Net::here() {
        return net.listening(address);
    }
    let socket = udp(address, LISTEN_BUFFER_BYTES)?;
    socket.bind(&address.into())?;
    TokioRuntime.wrap_udp_socket(socket.into())
}

/// A socket that sends from `bind`, or through `interface` (SO_BINDTODEVICE: a source address alone does not choose the
/// route), or as the system likes. Without an address it speaks IPv6 and IPv4, where the system has both.
pub(super) fn dialling(
    bind: Option<IpAddr>,
    interface: Option<&str>,
) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    #[cfg(test)]
    if let (Some(net), Some(ip)) = (super::tests::net::Net::here(), bind) {
        return net.dialling(ip);
    }
    let Some(ip) = bind else {
        return dialling_from(Ipv6Addr::UNSPECIFIED.into(), interface)
            .or_else(|_| dialling_from(Ipv4Addr::UNSPECIFIED.into(), interface));
    };
    dialling_from(ip, interface)
}

fn dialling_from(ip: IpAddr, interface: Option<&str>) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    let address = SocketAddr::new(ip, 0);
    let socket = udp(address, DIAL_BUFFER_BYTES)?;
    if ip == IpAddr::from(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    if let Some(interface) = interface {
        bind_to_interface(&socket, interface)?;
    }
    socket.bind(&address.into())?;
    TokioRuntime.wrap_udp_socket(socket.into())
}

fn udp(address: SocketAddr, buffer_bytes: usize) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    let asked = socket
        .set_recv_buffer_size(buffer_bytes)
        .and_then(|()| socket.set_send_buffer_size(buffer_bytes));
    if let Err(error) = asked {
        tracing::debug!(%error, "the system keeps its own UDP buffer sizes");
    }
    Ok(socket)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn bind_to_interface(socket: &Socket, interface: &str) -> io::Result<()> {
    socket.bind_device(Some(interface.as_bytes()))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn bind_to_interface(_socket: &Socket, _interface: &str) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "a link can be bound to an interface on Linux only; write bind = \"ADDRESS\"",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_bound_to_the_address_it_was_given() {
        let ip: IpAddr = Ipv4Addr::LOCALHOST.into();
        let socket = dialling(Some(ip), None).expect("a socket");
        assert_eq!(socket.local_addr().expect("an address").ip(), ip);
    }

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        assert!(dialling(None, Some("no-such-if0")).is_err());
    }
}
