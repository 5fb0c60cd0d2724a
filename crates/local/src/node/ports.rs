//! A loopback port for each Pod.
//!
//! Between the choice of a port and the moment when a process listens there, minutes can
//! pass: a start waits for its turn, a crash for its back-off. All the while the port is
//! held by a socket of ours that is bound and does not listen, so that nobody else takes
//! it, neither another cluster of this machine nor an outgoing connection, and whoever
//! connects too early is refused, as it should be.
//!
//! Between the release of a port and its process' listening there are still some
//! milliseconds, in which another cluster that looks for a port could find it free. So
//! each takes its ports from blocks of its own: the first port of a block is nobody's, and
//! who holds it has the block.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use parking_lot::Mutex;
use tokio::net::TcpSocket;

/// Below the range that systems take for outgoing connections (32768 on Linux,
/// 49152 elsewhere): the gateway's own connections shall not take a Pod's port
/// between two of its runs.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;
/// Ports in a block, the one that stands for it included.
const BLOCK: u16 = 100;

/// Hands out ports that are free now and given to no other Pod of this node.
#[derive(Debug)]
pub struct Ports {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u16,
    taken: HashSet<u16>,
    held: HashMap<u16, TcpSocket>,
    /// The blocks that are this node's, by their first port.
    blocks: HashMap<u16, TcpSocket>,
}

impl Ports {
    /// `seed` says where to begin, so that two clusters on one machine rarely
    /// try the same blocks.
    pub fn new(seed: u16) -> Self {
        let next = block_of(FIRST + seed % (LAST - FIRST));
        Self {
            state: Mutex::new(State {
                next,
                taken: HashSet::new(),
                held: HashMap::new(),
                blocks: HashMap::new(),
            }),
        }
    }

    /// A free port, held from now on: `wish`, if it is free.
    pub fn take(&self, wish: Option<u16>) -> io::Result<u16> {
        let mut state = self.state.lock();
        if let Some(port) = wish
            && state.take(port)
        {
            return Ok(port);
        }
        for _ in FIRST..LAST {
            let port = state.next;
            state.next = if port + 1 < LAST { port + 1 } else { FIRST };
            if state.take(port) {
                return Ok(port);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("no loopback port from {FIRST} to {LAST} is free"),
        ))
    }

    /// Holds a taken port again while nothing of its Pod listens there; `false` when
    /// somebody else has it by now.
    pub fn hold(&self, port: u16) -> bool {
        let mut state = self.state.lock();
        if state.held.contains_key(&port) {
            return true;
        }
        match hold(port) {
            Ok(socket) => {
                state.held.insert(port, socket);
                true
            }
            Err(_) => false,
        }
    }

    /// Lets go of a taken port, for the process that is about to listen there.
    pub fn release(&self, port: u16) {
        self.state.lock().held.remove(&port);
    }

    /// Gives a port back.
    pub fn give_back(&self, port: u16) {
        let mut state = self.state.lock();
        state.taken.remove(&port);
        state.held.remove(&port);
    }
}

/// The first port of a port's block.
fn block_of(port: u16) -> u16 {
    port - (port - FIRST) % BLOCK
}

impl State {
    /// Whether a block is this node's; a free one becomes it.
    fn owns(&mut self, block: u16) -> bool {
        if self.blocks.contains_key(&block) {
            return true;
        }
        match hold(block) {
            Ok(socket) => {
                self.blocks.insert(block, socket);
                true
            }
            Err(_) => false,
        }
    }

    fn take(&mut self, port: u16) -> bool {
        let is_ours = (FIRST..LAST).contains(&port) && self.owns(block_of(port));
        if !is_ours || port == block_of(port) || self.taken.contains(&port) {
            return false;
        }
        let Ok(socket) = hold(port) else {
            return false;
        };
        self.taken.insert(port);
        self.held.insert(port, socket);
        true
    }
}

/// Binds to a port on which somebody could listen now. The socket that stays does not
/// allow its address to be shared: with that, others could listen beside it.
fn hold(port: u16) -> io::Result<TcpSocket> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    drop(TcpListener::bind(address)?);
    let socket = TcpSocket::new_v4()?;
    // Connections of an earlier listener that are still being closed hinder whoever does
    // not share. So it shares with them, and from then on with nobody.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.set_reuseaddr(false)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;

    use super::*;

    fn is_free(port: u16) -> bool {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
    }

    #[test]
    fn a_port_is_given_once_and_never_one_that_is_in_use() {
        let ports = Ports::new(7);
        let first = ports.take(None).unwrap();
        assert_ne!(ports.take(Some(first)).unwrap(), first);
        ports.give_back(first);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        assert_ne!(ports.take(Some(first)).unwrap(), first);
        drop(listener);
        assert_eq!(ports.take(Some(first)).unwrap(), first);
    }

    #[test]
    fn a_port_whose_last_connections_are_still_being_closed_is_held_as_well() {
        let ports = Ports::new(11);
        let port = ports.take(None).unwrap();
        ports.give_back(port);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        // The side that closes first is the one that keeps the port waiting.
        drop(listener.accept().unwrap());
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        drop((client, listener));
        assert!(is_free(port));
        assert_eq!(ports.take(Some(port)).unwrap(), port);
        assert!(!is_free(port));
    }

    #[test]
    fn a_port_is_nobody_elses_until_it_is_released() {
        let (ours, theirs) = (Ports::new(9), Ports::new(9));
        let port = ours.take(None).unwrap();
        assert!(!is_free(port));
        assert!(ours.hold(port), "it is held already");
        ours.release(port);
        assert!(is_free(port), "for the process");
        let other = theirs.take(Some(port)).unwrap();
        assert_ne!(block_of(other), block_of(port), "not for another cluster");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(!ours.hold(port), "the process has it");
        drop(listener);
        assert!(ours.hold(port) && !is_free(port));
    }
}
