//! Two network namespaces with a cable between them: a box for clients and the proxy, and one for the host.
//!
//! ```text
//! near 10.77.1.1 ──veth── 10.77.1.2 far
//! ```

use super::{Lab, run};
use anyhow::Result;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The address of the far side.
pub(crate) const FAR: &str = "10.77.1.2";
const NEAR: &str = "10.77.1.1";
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Both namespaces; dropping it deletes them.
pub(crate) struct Namespaces {
    lab: Arc<Lab>,
    near: String,
    far: String,
}

impl Namespaces {
    /// Makes the pair. Needs the right to administer networks; the error says what was refused.
    pub(crate) fn new(lab: &Arc<Lab>) -> Result<Namespaces> {
        let id = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let (near, far) = (format!("rdpn-{id}"), format!("rdpf-{id}"));
        let pair = Namespaces { lab: Arc::clone(lab), near, far };
        for name in [&pair.near, &pair.far] {
            ip(&["netns", "add", name])?;
            lab.reaper.add_namespace(name);
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        ip(&["link", "add", "near0", "netns", &pair.near, "type", "veth", "peer", "name", "far0", "netns", &pair.far])?;
        for (name, device, address) in [(&pair.near, "near0", NEAR), (&pair.far, "far0", FAR)] {
            ip(&["-n", name, "addr", "add", &format!("{address}/24"), "dev", device])?;
            ip(&["-n", name, "link", "set", device, "up"])?;
        }
        Ok(pair)
    }

    /// `program`, to be run on the near side.
    pub(crate) fn near(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.near]).arg(program.as_ref());
        command
    }

    /// Loads an nftables table into the far side.
    pub(crate) fn far_rules(&self, rules: &str) -> Result<()> {
        run(Command::new("ip").args(["netns", "exec", &self.far, "nft", rules]))?;
        Ok(())
    }

    /// Adds a route on the near side.
    pub(crate) fn near_route(&self, route: &[&str]) -> Result<()> {
        ip(&[&["-n", &self.near, "route", "add"], route].concat())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        self.lab.reaper.remove_namespace(&self.near);
        self.lab.reaper.remove_namespace(&self.far);
    }
}

fn ip(args: &[&str]) -> Result<()> {
    run(Command::new("ip").args(args))?;
    Ok(())
}
