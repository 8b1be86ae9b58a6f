//! Ports for programs that tests start: each is given out once, whatever other test programs run on this machine.
//!
//! They are below those that the kernel gives to outgoing connections, which the clients of other tests take. A process
//! takes them in blocks, and a block is its own while it listens on the first port of it: nobody else can, and the kernel
//! takes it back when the process ends, however that ends.

use std::net::TcpListener;
use std::sync::Mutex;

const FIRST: u16 = 18_000;
/// One after the last.
const END: u16 = 30_000;
/// Enough for most test programs; the others take a few of them.
const BLOCK: u16 = 100;

/// A block of this process, and the next of its ports.
struct Block {
    next: u16,
    end: u16,
    _guard: TcpListener,
}

/// The blocks that are used up are kept, too: what was started there may still run.
static BLOCKS: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// A port that nobody listens on, and that nobody else is told.
pub(crate) fn free_port() -> u16 {
    let mut blocks = BLOCKS.lock().expect("no test ends while it has this");
    loop {
        if let Some(port) = blocks.last_mut().and_then(Block::take) {
            return port;
        }
        let mut guards = (FIRST..END).step_by(usize::from(BLOCK));
        let block = guards.find_map(Block::guarded_by);
        let block =
            block.expect("the test programs that run now leave a block of ports to this one");
        blocks.push(block);
    }
}

impl Block {
    fn guarded_by(port: u16) -> Option<Block> {
        let guard = TcpListener::bind(("127.0.0.1", port)).ok()?;
        Some(Block {
            next: port + 1,
            end: port + BLOCK,
            _guard: guard,
        })
    }

    /// The next of them but those on which somebody listens who knows nothing of blocks.
    fn take(&mut self) -> Option<u16> {
        let mut rest = self.next..self.end;
        let port = rest.find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok());
        self.next = rest.start;
        port
    }
}
