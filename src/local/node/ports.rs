//! A loopback port for each Pod.

use std::collections::HashSet;
use std::io;
use std::net::TcpListener;

use parking_lot::Mutex;

/// Below the range that systems take for outgoing connections (32768 on Linux,
/// 49152 elsewhere): the gateway's own connections shall not take a Pod's port
/// between two of its runs.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

/// Hands out ports that are free now and given to no other Pod of this node.
#[derive(Debug)]
pub struct Ports {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u16,
    taken: HashSet<u16>,
}

impl Ports {
    /// `seed` says where to begin, so that two clusters on one machine rarely
    /// try the same ones.
    pub fn new(seed: u16) -> Self {
        let next = FIRST + seed % (LAST - FIRST);
        Self {
            state: Mutex::new(State {
                next,
                taken: HashSet::new(),
            }),
        }
    }

    /// A free port: `wish`, if it is.
    pub fn take(&self, wish: Option<u16>) -> io::Result<u16> {
        let mut state = self.state.lock();
        if let Some(port) = wish
            && !state.taken.contains(&port)
            && is_free(port)
        {
            state.taken.insert(port);
            return Ok(port);
        }
        for _ in FIRST..LAST {
            let port = state.next;
            state.next = if port + 1 < LAST { port + 1 } else { FIRST };
            if !state.taken.contains(&port) && is_free(port) {
                state.taken.insert(port);
                return Ok(port);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("no loopback port from {FIRST} to {LAST} is free"),
        ))
    }

    /// Gives a port back.
    pub fn give_back(&self, port: u16) {
        self.state.lock().taken.remove(&port);
    }
}

/// Whether something could listen there now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_never_one_that_is_in_use() {
        let ports = Ports::new(7);
        let first = ports.take(None).unwrap();
        assert_ne!(ports.take(Some(first)).unwrap(), first);
        ports.give_back(first);
        let listener = TcpListener::bind(("127.0.0.1", first)).unwrap();
        assert_ne!(ports.take(Some(first)).unwrap(), first);
        drop(listener);
        assert_eq!(ports.take(Some(first)).unwrap(), first);
    }
}
